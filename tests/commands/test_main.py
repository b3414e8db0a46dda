"""The command line around the commands: quick to help, one line for what a person can mend."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dopsd.commands import main as cli
from dopsd.support.errors import UserError

ROOT = Path(__file__).parents[2]


def own(*arguments: str, **options) -> subprocess.CompletedProcess:
    """A process of its own with this code."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")} | options.pop("env", {})
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, env=environment, **options
    )


def test_help_opens_no_heavy_library():
    code = "import sys; sys.argv[1:] = ['tune', '--help']; from dopsd.commands.main import main\ntry: main()\nfinally: "
    done = own(
        "-c",
        code + "print('LOADED', [m for m in ('torch', 'transformers', 'pandas', 'numpy', 'PIL') if m in sys.modules])",
    )
    assert done.returncode == 0 and "--learning-rate" in done.stdout and "LOADED []" in done.stdout, done.stderr


def test_a_command_says_nothing_of_other_packages(tmp_path):
    """All that a training imports is imported."""
    code = "import sys; sys.argv[1:] = ['export', 'none', '--out', 'e', '--name', 'x']; from dopsd.commands.main import main"
    code += "\ntry: main()\nfinally: import dopsd.commands.tune, dopsd.backbones.zimage, dopsd.training.weights"
    done = own("-c", code, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.startswith("error: none/") and done.stderr.count("\n") == 1, done.stderr


def main(monkeypatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["dopsd", *arguments])
    try:
        cli.main()
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_no_arguments_show_the_help(monkeypatch, capsys):
    assert main(monkeypatch) == 0 and "Usage: dopsd" in capsys.readouterr().out


def test_ctrl_c_anywhere_is_one_line_and_130(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt  # as Python makes of SIGINT, wherever it is

    monkeypatch.setattr(cli, "_preset", interrupted)
    assert main(monkeypatch, "draw", "x") == 130
    assert capsys.readouterr().err.strip() == "stopped by the user"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("a: b; mend it"), 1, "error: a: b; mend it"),
        (
            OSError(28, "No space left on device", "/x/y"),
            1,
            "error: /x/y: No space left on device; nothing finished is lost",
        ),
        (
            MemoryError("Unable to allocate 3 GiB"),
            1,
            "error: not enough memory (Unable to allocate 3 GiB); draw or train smaller",
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), 1, "error: not enough memory"),
    ],
)
def test_what_a_person_can_mend_is_one_line(monkeypatch, capsys, error, status, said):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(cli, "_preset", fails)
    assert main(monkeypatch, "draw", "x") == status
    assert capsys.readouterr().err.startswith(said)


def test_a_training_that_was_stopped_keeps_its_own_words_and_130(monkeypatch, capsys):
    from dopsd.training.stop import Stopped

    def stops(*_, **__):
        raise Stopped("stopped after step 2 of 4; the same command goes on")

    monkeypatch.setattr(cli, "_preset", stops)
    assert main(monkeypatch, "draw", "x") == 130
    assert capsys.readouterr().err == "stopped after step 2 of 4; the same command goes on\n"


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(cli, "_preset", fails)
    with pytest.raises(ZeroDivisionError):
        main(monkeypatch, "draw", "x")


def test_a_name_that_the_terminal_has_no_letters_for_is_printed_escaped(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(cli, "app", lambda **_: print("tuned/柯基: done"))
    assert main(monkeypatch, "draw", "x") == 0
    out.flush()
    assert out.buffer.getvalue() == b"tuned/\\u67ef\\u57fa: done\n"


def test_names_in_any_script_are_names_of_folders(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(monkeypatch, "tune", "--images", "none", "--name", "柯基 Ж", "--set", "backbone.device=cpu") == 1
    assert "none: " in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_method_or_an_instrument_that_is_none_is_said_before_pictures_are_read(monkeypatch, tmp_path, capsys):
    common = ("tune", "--images", str(tmp_path / "none"), "--name", "x", "--backbone", "mini-turbo")
    assert main(monkeypatch, *common, "--set", "methods.dopsd.emma=1") == 1
    assert "--set methods.dopsd.emma=1: methods.dopsd.emma: unknown; did you mean 'ema'?" in capsys.readouterr().err
    assert main(monkeypatch, *common, "--set", "instruments.lips.model=x") == 1
    assert "instruments.lips: no such instrument; did you mean 'lpips'?" in capsys.readouterr().err
