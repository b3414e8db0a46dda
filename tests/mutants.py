"""mutmut, with what it does not do by itself: statements are left out, conditions turned, results dropped, functions under
the decorators named below are reached, and of the tests that reach a fault the fastest run first.

    python tests/mutants.py run                       all of `tool.mutmut` in pyproject.toml
    python tests/mutants.py run "dopsd.training.*"    some; then `results`, `show NAME`
"""

import libcst as cst
from mutmut.mutation import file_mutation, mutators
from mutmut.state import state
from mutmut.workers.isolation import ForkServerRunner

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


def reached(node: cst.CSTNode) -> bool:
    named = {cst.Module([]).code_for_node(d.decorator) for d in getattr(node, "decorators", ())}
    return isinstance(node, cst.FunctionDef) and bool(named) and named <= KEPT


def install() -> None:
    """Teach mutmut."""
    mutators.mutation_operators += [
        (cst.Expr, left_out),
        (cst.If, turned),
        (cst.While, turned),
        (cst.CompIf, turned),
        (cst.Return, dropped),
    ]
    skipped = file_mutation.MutationVisitor._skip_node_and_children
    arranged = file_mutation.function_trampoline_arrangement

    def skip(self, node):
        return not reached(node) and skipped(self, node)

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

    ForkServerRunner.submit = fastest_first
    file_mutation.MutationVisitor._skip_node_and_children = skip
    file_mutation.function_trampoline_arrangement = arrange


if __name__ == "__main__":
    from mutmut.__main__ import cli

    install()
    cli()
