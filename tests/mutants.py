"""mutmut, with what it does not do by itself: statements are left out, conditions turned, results dropped, functions under
the decorators named below are reached, and of the tests that reach a fault the fastest run first.

    python tests/mutants.py run                       all of `tool.mutmut` in pyproject.toml
    python tests/mutants.py run "dopsd.training.*"    some; then `results`, `show NAME`
"""

import gc

import libcst as cst
from mutmut.mutation import file_mutation, mutators
from mutmut.runners.harness import PytestRunner
from mutmut.state import state
from mutmut.workers.isolation import ForkServerRunner

# arguments that only check the code itself, or say how fast memory is copied: nothing that works tells them from none
CHECKS = {"strict", "non_blocking", "pin_memory"}
TYPED = "cast"  # its first argument is the type checker's: it is not asked for when the code runs
KEPT = {"torch.no_grad()", "contextmanager", "property"}  # what may stand outside a function that is exchanged


def left_out(node: cst.Expr):
    if isinstance(node.value, cst.Call):
        yield cst.Pass()


def turned(node: cst.If | cst.While | cst.CompIf):
    yield node.with_changes(
        test=cst.UnaryOperation(cst.Not(), node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()]))
    )


def dropped(node: cst.Return):
    if node.value is not None and not (isinstance(node.value, cst.Name) and node.value.value == "None"):
        yield node.with_changes(value=cst.Name("None"), whitespace_after_return=cst.SimpleWhitespace(" "))


def checked(node: cst.CSTNode) -> bool:
    named = isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value in CHECKS
    return named or isinstance(node, cst.Assert)  # no caller lets one fail: it tells the type checker what they keep


def arguments(node: cst.Call):
    """mutmut's own operator, which drops arguments and sets them to None, on all but the checks."""
    types = node.args[: isinstance(node.func, cst.Name) and node.func.value == TYPED]
    checks = [a for a in node.args if checked(a)]
    given = [a for a in node.args[len(types) :] if not checked(a)]
    for changed in mutators.operator_arg_removal(node.with_changes(args=given)):
        yield changed.with_changes(args=[*types, *changed.args, *checks])


def reached(node: cst.CSTNode) -> bool:
    named = {cst.Module([]).code_for_node(d.decorator) for d in getattr(node, "decorators", ())}
    return isinstance(node, cst.FunctionDef) and bool(named) and named <= KEPT


def install() -> None:
    """Teach mutmut."""
    operators = mutators.mutation_operators
    operators[operators.index((cst.Call, mutators.operator_arg_removal))] = (cst.Call, arguments)
    operators += [
        (cst.Expr, left_out),
        (cst.If, turned),
        (cst.While, turned),
        (cst.CompIf, turned),
        (cst.Return, dropped),
    ]
    skipped = file_mutation.MutationVisitor._skip_node_and_children
    arranged = file_mutation.function_trampoline_arrangement

    def skip(self, node):
        return checked(node) or (not reached(node) and skipped(self, node))

    def arrange(function, mutants, class_name):
        """The decorators stay on what switches between the copies, and come off the copies."""
        if not reached(function):
            return arranged(function, mutants, class_name)
        before, (switch, *copies), after, names = arranged(function.with_changes(decorators=()), mutants, class_name)
        switch = switch.with_changes(decorators=(*function.decorators, *switch.decorators))
        return before, [switch, *copies], after, names

    submit = ForkServerRunner.submit

    def fastest_first(self, name, tests, *limits):
        submit(self, name, sorted(tests, key=state().duration_by_test.__getitem__), *limits)

    warm_up = PytestRunner.warm_up

    def frozen(self):
        warm_up(self)
        gc.freeze()  # else every fork walks, and so copies, all that was imported

    ForkServerRunner.submit, PytestRunner.warm_up = fastest_first, frozen
    file_mutation.MutationVisitor._skip_node_and_children = skip
    file_mutation.function_trampoline_arrangement = arrange


if __name__ == "__main__":
    from mutmut.__main__ import cli

    install()
    cli()
