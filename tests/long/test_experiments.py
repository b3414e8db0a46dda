"""Experiments beside the workspace, what DVC puts side by side on one screen, and its plots."""

import json
import time

from studies import changed

SCREEN = 40  # lines


def experiments(study) -> dict[str, dict]:
    """{name: data} of the experiments on HEAD that `dvc exp show` shows."""
    shown = json.loads(study.answer("dvc", "exp", "show", "--json"))
    found = [e for base in shown for e in base.get("experiments") or []]
    return {e["name"]: e["revs"][0]["data"] for e in found}


def test_an_experiment_in_a_folder_of_its_own_trains_what_its_knob_touches(study):
    before = study.bytes()
    said = study.run("dvc", "exp", "run", "--temp", "-n", "decay", "-S", "methods.dopsd.ema=0.9", "report")
    assert "train: 4 cells, 2 kept, 2 to run" in said and "evaluate: 8 cells, 6 kept, 2 to run" in said, said
    assert changed(before, study.bytes()) == set() and study.status() == []

    shown = experiments(study)["decay"]
    assert shown["params"]["params.yaml"]["data"]["methods"]["dopsd"]["ema"] == 0.9
    ((file, metrics),) = shown["metrics"].items()
    assert file == "reports/summary.json" and set(metrics["data"]) >= {
        "untouched",
        "described",
        "sft",
        "dopsd",
        "probe",
    }
    committed = json.loads((study.folder / file).read_text())
    assert metrics["data"]["sft"] == committed["sft"] and metrics["data"]["dopsd"] != committed["dopsd"]

    table = study.answer("dvc", "exp", "show", "--csv", "--only-changed")
    columns = table.splitlines()[0].split(",")
    assert "methods.dopsd.ema" in columns and "dopsd.blur_read" in columns
    params = study.answer("dvc", "params", "diff", "HEAD", "decay").splitlines()
    assert len([line for line in params if "methods.dopsd.ema" in line]) == 1 and len(params) <= SCREEN
    metrics = study.answer("dvc", "metrics", "diff", "HEAD", "decay", "--all").splitlines()
    assert any("dopsd.concept_fidelity" in line for line in metrics) and len(metrics) <= SCREEN
    assert {line.split()[0] for line in metrics[1:]} == {"reports/summary.json"}


def test_a_queued_experiment_runs_the_code_and_the_knobs_that_it_was_queued_with(study):
    study.run("dvc", "exp", "run", "--queue", "-n", "seeds", "-S", "grid.seeds=[0,1,2]", "report")
    line = "    with reported():\n"
    study.edit("src/dopsd/stages/_run.py", line, '    raise SystemExit("edited after")\n' + line)
    study.set(methods__dopsd__ema=0.5, train__steps=1)
    study.run("dvc", "queue", "start")
    try:
        deadline = time.time() + 900
        while not {"Success", "Failed"} & set(study.answer("dvc", "queue", "status").split()):
            assert time.time() < deadline, study.answer("dvc", "queue", "status")
            time.sleep(3)
    finally:
        study.run("dvc", "queue", "stop", "--kill")
    logs = study.answer("dvc", "queue", "logs", "seeds")
    assert "Success" in study.answer("dvc", "queue", "status").split(), logs
    assert "train: 6 cells, 4 kept, 2 to run" in logs and "edited after" not in logs, logs

    shown = experiments(study)["seeds"]
    knobs = shown["params"]["params.yaml"]["data"]
    assert knobs["grid"]["seeds"] == [0, 1, 2] and knobs["methods"]["dopsd"]["ema"] == 0.995
    assert knobs["train"]["steps"] == 2
    assert "sft" in shown["metrics"]["reports/summary.json"]["data"]


def test_there_is_a_plot_a_score_with_a_line_a_method(committed, tmp_path):
    methods = {"untouched", "described", "sft", "dopsd"}
    plots = json.loads(committed.answer("dvc", "plots", "show", "--json"))
    assert plots.get("errors", []) == []
    assert set(plots["data"]) == {"fidelity", "adherence", "contrast", "blur", "leakage", "kept"}
    for name, (plot,) in plots["data"].items():
        spec = plot["content"] if isinstance(plot["content"], dict) else json.loads(plot["content"])
        x, y = spec["encoding"]["x"]["field"], spec["encoding"]["y"]["field"]
        assert {row["method"] for row in spec["data"]["values"]} == methods, name
        assert all(float(row[x]) >= 0 and float(row[y]) == float(row[y]) for row in spec["data"]["values"]), name
        assert spec["encoding"]["color"]["field"] == "method"
        assert spec["title"] and spec["encoding"]["x"]["title"] and spec["encoding"]["y"]["title"], name

    for asked in (("show",), ("diff", "HEAD")):
        committed.run("dvc", "plots", *asked, "-o", str(tmp_path / asked[0]))
        page = (tmp_path / asked[0] / "index.html").read_text(encoding="utf-8")
        assert page.count("vegaEmbed(") == 6 and "<DVC_METRIC" not in page
