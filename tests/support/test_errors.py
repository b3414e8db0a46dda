import sys

import pytest

from dopsd.support import errors
from dopsd.support.errors import Usage, UserError, nearest, printable, reported, told


def said(error: BaseException, capsys) -> tuple[str, int | str | None]:
    with pytest.raises(SystemExit) as stopped, reported():
        raise error
    return capsys.readouterr().err, stopped.value.code


def test_one_line_and_a_status(capsys):
    assert said(UserError("f: x; mend it"), capsys) == ("error: f: x; mend it\n", 1)
    assert said(Usage("no such option"), capsys) == ("error: no such option\n", 2)
    assert said(KeyboardInterrupt(), capsys) == ("stopped by the user\n", 130)
    line, status = said(PermissionError(13, "Permission denied", "/x"), capsys)
    assert line.startswith("error: /x: Permission denied; nothing finished is lost") and status == 1


def test_too_little_memory_names_what_takes_less(capsys):
    import torch

    line, status = said(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), capsys)
    assert status == 1 and "not enough memory (CUDA out of memory" in line and "backbone.quantize" in line
    with pytest.raises(RuntimeError, match="shapes"), reported():
        raise RuntimeError("shapes differ")


def test_what_is_printed_is_one_line_that_moves_no_cursor(capsys):
    line, _ = said(UserError("a\nb\x1b[2J\u202e\u2028\udcff\0 柯基 é"), capsys)
    assert line == "error: a\\nb\\x1b[2J\\u202e\\u2028\\udcff\\x00 柯基 é\n"
    assert printable("my corgi") == "my corgi"


def test_the_nearest_known_name():
    assert nearest("stps", ["steps", "size"]) == "; did you mean 'steps'?"
    assert nearest("xyz", ["steps", "size"]) == "; known: steps, size"
    assert nearest("xyz", [str(n) for n in range(30)]) == "" and nearest("x", []) == ""


def test_the_reason_of_an_error_is_its_first_line():
    assert told(ValueError("\n  one \n two")) == "one" and told(ValueError()) == "ValueError"


def test_no_library_is_imported_to_tell_an_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert not errors.out_of_memory(ValueError("x")) and errors.out_of_memory(MemoryError())
