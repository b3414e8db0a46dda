"""The benchmarks of several GPUs: what is counted and predicted, on made-up rows (on two processes: tests/long)."""

import importlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """A program of benchmarks/ as a module."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


def test_bytes_and_forwards_are_counted_as_rings_send_them(benchmark):
    of = benchmark("scale_predicted")
    lora, full = of.Trained("lora", 1000, 2, 4, 1), of.Trained("full", 1000, 2, 4, 3)
    assert of.sent(lora, 4) == {"all_gather": 0.0, "reduce_scatter": 0.0, "all_reduce": 6000.0}
    assert of.sent(full, 4) == {"all_gather": 0.75 * 3 * 4 * 3 * 2000, "reduce_scatter": 3000.0, "all_reduce": 0.0}
    assert (of.forwards(lora), of.forwards(full)) == (12, 16)
    assert (of.held(full, 1), of.held(full, 8)) == (20_000, 6000)


def of_one(tmp_path, form: str, **changes) -> str:
    """What scale.py might write on one GPU: two seconds a picture and one for the rest; a thousand million weights."""
    row = {"form": form, "gpus": 1, "trained": 10**9}
    weak = row | {"scaling": "weak", "pictures_a_gpu": 1, "seconds": 3.0, "peak_gib": 50.0}
    strong = row | {"scaling": "strong", "pictures_a_gpu": 8, "seconds": 17.0, "peak_gib": 50.0}
    found = {"device": "a GPU", "gpus": 1, "torch": "2", "model": "zimage", "size": 1024, "rank": 64, "pictures": 8}
    (file := tmp_path / "one.json").write_text(json.dumps(found | {"rows": [weak, strong]} | changes))
    return str(file)


@pytest.mark.parametrize(
    ("form", "expected"),
    [  # (weak, strong): seconds on 4 GPUs that send 10 GB a second, of which the LoRA's 6 GB and the 3 GB go after computing
        ("lora", (2 + 0.6 + 1, 4 + 0.6 + 1)),
        ("full+checkpointed", (2 + 0.3 + 0.25, 4 + 0.3 + 0.25)),  # 18 and 36 GB of gathers go beside it
    ],
)
def test_a_prediction_is_of_computing_and_sending(benchmark, tmp_path, form, expected):
    program = benchmark("scale_predicted")
    run = benchmark("typer").Typer()
    run.command()(program.main)
    given = [
        of_one(tmp_path, form),
        "--link",
        "a cable",
        "--gbytes",
        "10",
        "--gpus",
        "4",
        "--out",
        f"{tmp_path}/out.json",
    ]
    said = CliRunner().invoke(run, given)
    assert said.exit_code == 0, said.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["link"], found["gbytes_a_second"], found["predicted_from"]) == ("a cable", 10, "one.json")
    assert [r["seconds"] for r in found["rows"]] == pytest.approx(expected)
    freed = 12e9 / 2**30 if form != "lora" else 0  # three quarters of 16 bytes a weight
    assert [r["peak_gib"] for r in found["rows"]] == pytest.approx([50 - freed] * 2)
    slow = CliRunner().invoke(run, [*given[:3], "--gbytes", "1", "--gpus", "4", "--out", f"{tmp_path}/out.json"])
    assert slow.exit_code == 0
    if form != "lora":  # now the gathers are what is waited for
        (weak, _) = json.loads((tmp_path / "out.json").read_text())["rows"]
        assert weak["seconds"] == pytest.approx(18 + 3 + 0.25)


def test_a_prediction_is_from_one_gpu_and_both_scalings(benchmark, tmp_path):
    run = benchmark("typer").Typer()
    run.command()(benchmark("scale_predicted").main)
    for changes, said in (
        ({"gpus": 2}, "of 2 GPUs; give what"),
        ({"rows": []}, "no form with a weak and a strong row"),
    ):
        out = CliRunner().invoke(run, [of_one(tmp_path, "lora", **changes), "--link", "a", "--gbytes", "1"])
        assert out.exit_code == 2 and said in " ".join(out.output.replace("│", " ").split())


def test_the_table_of_what_gpus_hold_is_what_is_counted_and_measured(benchmark):
    memory = benchmark("memory")
    made = json.loads((FOLDER / "results" / "zimage-memory.json").read_text())["rows"]
    assert memory.rows() == [r | {k: pytest.approx(v) for k, v in r.items() if isinstance(v, float)} for r in made]
    assert memory.table(made) in (ROOT / "docs" / "real-models.md").read_text()
