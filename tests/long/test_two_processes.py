"""`dopsd tune --sharded` and the benchmarks of several GPUs, each in two processes of a CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import shared_out
from shared_out import command
from typer.testing import CliRunner

from dopsd.commands import main as cli
from dopsd.training import state

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def preset(all_settings, tmp_path):
    return shared_out.preset(all_settings["zimage"], tmp_path)


def test_processes_that_share_a_model_out_train_preview_and_publish_it(preset, items, tmp_path):
    out, environment = tmp_path / "out", os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "dopsd"]
    given = command(preset, items, out, "--no-measure", "--sharded")
    ran = subprocess.run([*launch, *given], env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-3000:]
    (place,) = state.kept(out / "checkpoints").values()
    assert len(list((place / "shards").glob("*.distcp"))) == 2
    for step in (0, 1, 2):
        assert (out / "previews" / f"step-{step:05d}.png").exists()
    assert (out / "gallery.png").exists() and len(list((out / "gallery").glob("*-tuned.png"))) == 3
    said = CliRunner().invoke(cli.app, command(preset, items, out, "--no-measure"))
    assert said.exit_code == 0 and "finished before, 2 steps" in said.output  # however it was shared out
    more = CliRunner().invoke(cli.app, command(preset, items, out, "--no-measure", "--steps", "3"))
    assert "with --sharded, which this one cannot read; give it to go on" in str(more.exception)


def test_two_processes_are_measured_and_the_profiler_sees_the_bytes_that_are_counted(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launch += [str(FOLDER / "scale.py"), "--model", "tiny-zimage", "--size", "64", "--rounds", "1", "--rank", "4"]
    launch += ["--seen", "64", "--text", "32", "--pictures", "4", "--models", str(tmp_path / "models")]
    launch += ["--form", "lora", "--form", "full", "--scaling", "strong", "--out", str(tmp_path / "out.json")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    ran = subprocess.run(launch, env=environment, capture_output=True, text=True, timeout=400)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["device"], found["gpus"], found["pictures"], found["size"]) == ("CPU", 2, 4, 64)
    lora, full = found["rows"]
    for row, form in ((lora, "lora"), (full, "full")):
        assert (row["form"], row["scaling"], row["gpus"], row["pictures_a_gpu"]) == (form, "strong", 2, 2)
        assert row["seconds"] > 0 and row["peak_gib"] is None and 0 < row["of_the_matmul_rate"] < 1
        assert row["sent_profiled"] == pytest.approx(row["sent_counted"], rel=0.01, abs=1000)  # but for norms
        assert f"| {form} | strong | 2 |" in ran.stdout
    assert lora["sent_counted"]["all_reduce"] > 1e5 and full["sent_counted"]["reduce_scatter"] > 1e6


def test_cells_of_a_study_are_timed_in_two_workers_and_put_back(tmp_path):
    out = tmp_path / "out.json"
    program = [sys.executable, str(FOLDER / "cells.py"), "--gpus", "2", "--model", "tiny-zimage", "--size", "64"]
    program += ["--models", str(tmp_path / "models"), "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TQDM_DISABLE": "1"}
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=900)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(out.read_text())
    assert (found["device"], found["gpus"], found["steps"], found["model"]) == ("CPU", 2, 2, "tiny-zimage")
    assert list(found["stages"]) == ["random weights", "fetch", "prompts", "step_size", "train", "draw"]
    cells = {(r["stage"], r["method"], r["concept"], r["seed"]): r for r in found["cells"]}
    trained = {c for c in cells if c[0] == "train"}
    assert {(m, s) for _, m, _, s in trained} == {(m, s) for m in ("sft", "pso", "dopsd") for s in (30, 31)}
    assert len(cells) == 6 + 6 + 4  # and untouched, described and teacher, ordinary prompts apart, once for both seeds
    each: dict[tuple, list[float]] = {}
    for (stage, method, concept, _), row in cells.items():
        calls = {name: len(seconds) for name, seconds in row["parts"].items()}
        assert calls["open"] == 1 and sum(map(sum, row["parts"].values())) < row["seconds"] < row["uncut"]
        assert calls["step"] == 2 if stage == "train" else calls["picture"] == calls["decode"] == calls["write"] > 1
        each.setdefault((stage, method, concept), []).append(row["uncut"])
    assert [r["gpus"] for r in found["study"]] == [1, 2, 4, 8] and {r["cells"] for r in found["study"]} == {10}
    one, two, *_ = (r["in_order"] for r in found["study"])
    assert one == pytest.approx(sum(sum(mine) / len(mine) for mine in each.values()) / 3600) and one > two > 0
    assert "| train dopsd/dog/30 |" in ran.stdout
