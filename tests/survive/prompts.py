"""Rows of prompts, lists of prompts, and the files that stages leave to one another."""

from __future__ import annotations

import json

from survive.cases import GONE, cases, flat
from tiny import SEARCH

ROW = {"id": "a", "kind": "new", "group": "0", "text": "a [V]", "height": 64, "width": 64, "noise": 0}
FILES = {"prompts": {"source": "files", "folder": "own", "new": 1, "ordinary": 8}, "grid.concepts": ["beacon"]}
FILES |= {"step_size": {"given": {"sft": 1e-3, "dopsd": 1e-3}}}


def row(**changes) -> str:
    return json.dumps({k: v for k, v in (ROW | changes).items() if v is not GONE})


def rows(text: str | bytes, *says: str, name: str = "beacon") -> tuple:
    """The stage `prompts` of a study whose prompts a person wrote."""
    own = {"own/beacon.jsonl": row(), "own/ordinary.jsonl": row(id="o", kind="ordinary")} | {f"own/{name}.jsonl": text}
    return ("stage", "prompts"), (f"own/{name}.jsonl", *says), {"params": FILES, "files": own}


def listed(value: str, *says: str, **files) -> tuple:
    changes = {
        "prompts.source": "captions",
        "prompts.ordinary_list": value,
        "prompts.given": ["[V]"],
        "grid.concepts": ["beacon"],
    }
    changes |= {"step_size": {"given": {"sft": 1e-3, "dopsd": 1e-3}}}
    return ("stage", "prompts"), says, {"params": changes, "files": {"data/concepts/beacon": "@set"} | files}


def left(stage: str, file: str, text: str | bytes, *says: str, **more) -> tuple:
    """A stage that reads what another one wrote."""
    return ("stage", stage), (file, *says), {"params": {}, "files": {file: text}} | more


STEP = "reports/metrics/step_size.json"

CASES = flat(
    [
        cases(
            "a line that is no JSON",
            rows("words", ":1: not JSON"),
            rows(row() + "\n{'id': 1}", ":2: not JSON"),
            rows(row() + ",", ":1: not JSON"),
            rows(row()[:-1], ":1: not JSON"),
            rows("\n\n" + row() + row(), ":3: not JSON"),
        ),
        cases(
            "a line that is no object",
            *(rows(text, ":1:", "not an object") for text in ("[1]", "3", '"text"', "null", "true")),
        ),
        cases(
            "a row without a field",
            *(
                rows(row(**{name: GONE}), f":1: {name}", "required")
                for name in ("id", "kind", "text", "height", "noise")
            ),
        ),
        cases(
            "a row with a field that there is not",
            rows(row(txet="a"), ":1: txet", "'text'"),
            rows(row(Noise=1), ":1: Noise", "'noise'"),
            rows(row(truth={"attributes": {}, "fre": [], "free": []}), ":1: truth.fre", "'free'"),
        ),
        cases(
            "a row's field of another kind",
            rows(row(noise="7"), ":1: noise", "integer", "'7'"),
            rows(row(height=64.0), ":1: height", "integer"),
            rows(row(noise=True), ":1: noise", "integer"),
            rows(row(text=["a"]), ":1: text", "string"),
            rows(row(stated="shape"), ":1: stated", "array"),
        ),
        cases(
            "a row's number out of its range",
            rows(row(height=60), ":1: height", "multiple of 16"),
            rows(row(noise=-1), ":1: noise"),
            rows(row(noise=2**32), ":1: noise"),
            rows(row(said=1.5), ":1: said"),
            rows(row(seed=-3), ":1: seed"),
        ),
        cases(
            "a row that says nothing",
            rows(row(text=""), ":1: text"),
            rows(row(text=" \u3000"), ":1: text"),
            rows(row(id=""), ":1: id"),
            rows("", "no prompts"),
            rows("\n\n", "no prompts"),
        ),
        cases(
            "a kind that there is not",
            rows(row(kind="fresh"), ":1: kind", "'rewrite'", "'fresh'"),
            rows(row(kind=None), ":1: kind"),
            rows(row(kind="NEW"), ":1: kind"),
        ),
        cases(
            "what stands twice in rows",
            rows(row() + "\n\n" + row(noise=3), ":3: id: 'a' stands in line 1, too"),
            rows(row()[:-1] + ', "noise": 1}', ":1: 'noise' stands twice"),
        ),
        cases(
            "a row's number that is none",
            rows(row(said="@").replace('"@"', "NaN"), ":1: NaN is not a number"),
            rows(row(said="@").replace('"@"', "-Infinity"), ":1: -Infinity"),
            rows(row(said="@").replace('"@"', "1e999"), ":1: 1e999 is too large"),
            rows(row(noise="@").replace('"@"', "9" * 5000), ":1: JSON that cannot be read"),
            rows("[" * 100_000, ":1: JSON that cannot be read"),
        ),
        cases(
            "rows in another encoding",
            rows(row(text="café").encode().replace(b"\\u00e9", b"\xe9"), "not UTF-8"),
            rows(row().encode("utf-16"), "not UTF-8"),
            rows(row(text="@").replace("@", "\\ud800"), ":1: half a character"),
            rows(b"\0" + row().encode(), "zero byte"),
        ),
        cases(
            "a study's own prompts that are not there",
            (("stage", "prompts"), ("own/beacon.jsonl", "missing", "prompts.source"), {"params": FILES}),
            (("stage", "prompts"), "own/ordinary.jsonl", {"params": FILES, "files": {"own/beacon.jsonl": row()}}),
            (("stage", "prompts"), "a folder", {"params": FILES, "files": {"own/beacon.jsonl/x": ""}}),
        ),
        cases(
            "a list of ordinary prompts",
            listed("weekday", "prompts.ordinary_list", "'weekday'", "everyday, world"),
            listed("none.txt", "none.txt", "no such file"),
            listed("few.txt", "few.txt", "3 prompts", "fewer than prompts.ordinary", **{"few.txt": "a\nb\n\nc\n"}),
            listed("odd.txt", "odd.txt", "not UTF-8", **{"odd.txt": b"caf\xe9\n" * 20}),
            listed("../everyday", "prompts.ordinary_list", "no such list"),
        ),
        cases(
            "what a source of prompts needs",
            (("stage", "prompts"), ("params.yaml: prompts", "needs a writer"), {"params": {"prompts.source": "vlm"}}),
            (("stage", "prompts"), ("prompts", "needs a folder"), {"params": {"prompts.source": "files"}}),
            (("stage", "prompts"), ("prompts.source", "'captions'"), {"params": {"prompts.source": "me"}}),
            (
                ("stage", "prompts"),
                ("prompts.source world", "'mine'", "captions"),
                {"params": {"grid.concepts": ["mine"], "fetch.folders": {"mine": {"images": "x", "name": "y"}}}},
            ),
        ),
        cases(
            "the grid",
            *(
                (("stage", "keys"), ("params.yaml", *says), {"params": changes})
                for changes, says in (
                    ({"grid.concepts": ["becon"]}, ("grid.concepts: 'becon'", "'beacon'")),
                    ({"grid.concepts": []}, ("grid.concepts",)),
                    ({"grid.seeds": [0, 0]}, ("seeds must name each value once",)),
                    ({"grid.references": ["described"]}, ("references must hold untouched",)),
                    ({"grid.concepts": ["../x"]}, ("grid.concepts.0", "pattern")),
                )
            ),
        ),
        cases(
            "names of methods elsewhere",
            *(
                (("stage", "keys"), ("params.yaml", *says), {"params": changes})
                for changes, says in (
                    ({"compare.method": "dopds"}, ("compare names 'dopds'", "'dopsd'")),
                    ({"compare.baseline": "stf"}, ("compare names 'stf'", "'sft'")),
                    ({"step_size.given.dopds": 1e-3}, ("step_size.given names 'dopds'", "'dopsd'")),
                    ({"step_size": {"given": {"sft": 1e-4}}}, ("no learning rate of 'dopsd'",)),
                )
            ),
        ),
        cases(
            "scores that nothing gives",
            *(
                (("stage", "keys"), ("params.yaml", *says), {"params": changes})
                for changes, says in (
                    ({"step_size.fidelity": "concept"}, ("step_size.fidelity: 'concept'", "'concept_fidelity'")),
                    ({"step_size": SEARCH | {"retention": "adherense"}}, ("step_size.retention", "'adherence'")),
                    (
                        {
                            "instruments.reader": None,
                            "instruments.blur": None,
                            "instruments.frechet": None,
                            "instruments.kid": None,
                            "instruments.world_frechet": None,
                        },
                        ("step_size.fidelity: 'concept_fidelity'",),
                    ),
                )
            ),
        ),
        cases(
            "the probe",
            *(
                (("stage", "keys"), ("params.yaml", *says), {"params": changes})
                for changes, says in (
                    ({"probe.contexts": ["text", "image_text"]}, ("probe.contexts", "lacks wrong_image_text")),
                    ({"probe.layers": [-1]}, ("probe.layers [-1] lacks backbone.teacher_layer -2",)),
                    ({"probe.contexts": ["text", "image_text", "wrong_image_text", "text"]}, ("names one twice",)),
                    ({"probe.images": 3}, ("probe.images", "24")),
                )
            ),
        ),
        cases(
            "params.yaml, by every stage",
            *(
                (("stage", stage), ("params.yaml: train.steps", "'x'"), {"params": {"train.steps": "x"}})
                for stage in ("fetch", "train", "draw", "evaluate", "report")
            ),
        ),
        cases(
            "params.yaml that is not there",
            *(
                (("stage", stage), ("params.yaml", "missing", "root"))
                for stage in ("keys", "prompts", "step_size", "probe", "miniature")
            ),
        ),
        cases(
            "what an earlier stage wrote is not there",
            (("stage", "train"), (STEP, "missing", "dvc repro"), {"params": {}}),
            (("stage", "draw"), ("data/prompts", "missing", "dvc repro prompts"), {"params": {}}),
            (("stage", "evaluate"), ("data/prompts", "missing"), {"params": {}}),
            (("stage", "report"), ("samples/scores.parquet", "missing"), {"params": {}}),
            (("stage", "prompts"), ("data/concepts/beacon/scene.json", "missing", "fetch"), {"params": {}}),
        ),
        cases(
            "a file of scores that is broken",
            left("train", STEP, "{", "not JSON", "delete it", process=True),
            left("train", STEP, "[]", "list, not an object"),
            left("train", STEP, b"\xff", "not UTF-8"),
            left("train", STEP, '{"sft": {"value": "fast"}, "dopsd": 3}', "sft.value", "no number"),
            left("train", STEP, '{"dopsd": {"value": 1}}', "no step size for 'sft'"),
        ),
        cases(
            "a table that is broken",
            left("report", "samples/scores.parquet", b"PAR1", "not a table"),
            left("report", "samples/scores.parquet", "a,b", "not a table"),
        ),
        cases(
            "a section that a stage needs",
            (("stage", "miniature"), ("params.yaml", "miniature", "missing"), {"params": {"miniature": GONE}}),
            (("stage", "probe"), ("params.yaml", "probe", "missing"), {"params": {"probe": GONE}}),
        ),
        cases(
            "the recipe",
            (("stage", "recipe", "engine"), ("unknown part 'engine'", "reader"), {"process": True}),
            (("stage", "recipe", "reader"), ("miniature/params.yaml", "missing")),
            (
                ("stage", "recipe", "reader"),
                ("miniature/params.yaml", "recipe"),
                {"files": {"miniature/params.yaml": "recipe: {}"}},
            ),
            (
                ("stage", "recipe", "reader"),
                ("miniature/params.yaml", "not YAML"),
                {"files": {"miniature/params.yaml": "a: ["}},
            ),
        ),
        cases(
            "a plan",
            ("plan .", ("params.yaml: train.steps", "'x'"), {"params": {"train.steps": "x"}}),
            ("plan .", ("data/prompts", "missing", "dvc repro prompts"), {"params": {}}),
            ("plan .", (STEP, "not JSON"), {"params": {}, "files": {STEP: "{"}}),
            ("plan .", (STEP, "sft.value", "no number"), {"params": {}, "files": {STEP: '{"sft": {}}'}}),
        ),
    ]
)
