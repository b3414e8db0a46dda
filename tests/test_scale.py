"""The benchmarks of several GPUs: what is counted and predicted, on made-up rows (on two processes: tests/long)."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"


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


def pair(form: str, picture: float, rest: float, pictures: int) -> tuple[dict, dict]:
    """The weak and the strong row of a form, of so many pictures a GPU in strong scaling."""
    rows = {"weak": 1, "strong": pictures}
    weak, strong = (
        {"form": form, "scaling": k, "pictures_a_gpu": n, "seconds": n * picture + rest} for k, n in rows.items()
    )
    return weak, strong


def test_what_two_gpus_lose_is_put_down_to_bytes_where_weights_are_gathered(benchmark):
    fitted = benchmark("scale_predicted").fitted
    full = pair("full", 2.0, 0.5, 8), pair("full", 2.25, 0.75, 4)  # two send .5 of what one would, four .75
    at_four = fitted(*full, 4, "strong")
    assert at_four["seconds"] == pytest.approx(2 * (2 + 0.25 * 1.5) + 0.5 / 4 + (0.75 - 0.25) * 1.5)
    assert at_four["pictures_a_second"] == pytest.approx(8 / at_four["seconds"])
    for scaling, pictures in (("weak", 1), ("strong", 4)):  # of two themselves it says what was measured
        told = fitted(*full, 2, scaling)
        assert told["seconds"] == pytest.approx(pictures * 2.25 + 0.75) and told["pictures_a_gpu"] == pictures
    lora = pair("lora", 2.0, 0.5, 8), pair("lora", 2.1, 0.4, 4)  # less beside the pictures than one: noise, not a gain
    assert fitted(*lora, 8, "weak")["seconds"] == pytest.approx(2.1 + 0.5)


def test_a_second_prediction_stands_beside_the_first(benchmark, tmp_path):
    run = benchmark("typer").Typer()
    run.command()(benchmark("scale_predicted").main)
    one = of_one(tmp_path, "full")
    two = json.loads(Path(one).read_text()) | {"gpus": 2}
    for row, pictures, seconds in zip(two["rows"], (1, 4), (3.5, 10.0), strict=True):
        row.update(gpus=2, pictures_a_gpu=pictures, seconds=seconds)
    (tmp_path / "two.json").write_text(json.dumps(two))
    given = [one, "--two", f"{tmp_path}/two.json", "--link", "a", "--gbytes", "10", "--out", f"{tmp_path}/out.json"]
    said = CliRunner().invoke(run, given + ["--gpus", "2", "--gpus", "16"])
    assert said.exit_code == 0, said.output
    found = json.loads((tmp_path / "out.json").read_text())
    which = [(r["scaling"], r["gpus"]) for r in found["rows"]]
    assert which == [("weak", 2), ("weak", 16), ("strong", 2)]  # sixteen cannot share a batch of eight
    assert [(r["scaling"], r["gpus"]) for r in found["fitted"]] == [("weak", 16)]
    assert found["fitted_on"] == ["one.json", "two.json"] and f"{found['fitted'][0]['seconds']:.3f}" in said.output
    wrong = CliRunner().invoke(run, [one, "--two", one, "--link", "a", "--gbytes", "1"])
    assert wrong.exit_code == 2 and "of 1 GPUs; give what" in " ".join(wrong.output.replace("│", " ").split())


def test_the_table_of_several_gpus_is_what_was_measured_and_predicted(benchmark):
    figure, of = benchmark("scale_figure"), benchmark("scale_predicted")
    found = figure.read()
    text = (FOLDER / "README.md").read_text()
    assert figure.table(*found) in text and "(scale.png)" in text and figure.FIGURE.exists()
    told = json.loads((FOLDER / "results" / "h200-scale-predicted.json").read_text())
    (_, one), (_, two) = (of.measured(FOLDER / "results" / f"h200-scale-{n}.json", n) for n in (1, 2))
    for row in told["rows"]:
        args = row["gpus"], row["scaling"], 2, 4, told["gbytes_a_second"] * 1e9
        assert of.predicted(one[row["form"]], *args) == row
    for row in told["fitted"]:
        assert of.fitted(one[row["form"]], two[row["form"]], row["gpus"], row["scaling"]) == row
    drawn = figure.draw(*found)
    assert [len(panel.lines) for panel in drawn.axes] == [2 * 4 + 3] * 2


def test_what_is_efficient_is_said_by_the_numbers(benchmark):
    rows = benchmark("scale_figure").read()
    text = (ROOT / "docs" / "real-models.md").read_text()

    def of_ideal(form: str, scaling: str, n: int) -> list[str]:
        """Measured, or by both predictions: percent of one GPU's pictures a second times n, the lowest first."""
        speed = [r[form, scaling, n]["pictures_a_second"] for r in (rows[:1] if n == 2 else rows[1:])]
        one = rows[0][form, scaling, 1]["pictures_a_second"]
        return [f"{s / one / n:.0%}".replace("%", " %") for s in sorted(speed)]

    full = "full+checkpointed"
    assert f"on both: {of_ideal('lora', 'strong', 2)[0]} of ideal;" in text
    assert f"{of_ideal(full, 'strong', 2)[0]} of ideal (a picture a GPU: {of_ideal(full, 'weak', 2)[0]})" in text
    for n in (4, 8):
        for form in ("lora", full):
            low, high = of_ideal(form, "strong", n)
            assert f": {low.removesuffix(' %')} to {high}" in next(
                r for r in text.splitlines() if r.startswith(f"| {n} |")
            )
    hours = json.loads((FOLDER / "results" / "zimage-makespan.json").read_text())["studies"]
    for n, small, whole in zip((1, 2, 4, 8), *(hours[s]["hours"] for s in hours), strict=True):
        (row,) = (r for r in text.splitlines() if r.startswith(f"| {n} |"))
        assert f"{whole['in_order']:.0f} h" in row and f"{small['in_order']:.1f} h" in row


def test_the_table_of_what_gpus_hold_is_what_is_counted_and_measured(benchmark):
    memory = benchmark("memory")
    made = json.loads((FOLDER / "results" / "zimage-memory.json").read_text())["rows"]
    assert memory.rows() == [r | {k: pytest.approx(v) for k, v in r.items() if isinstance(v, float)} for r in made]
    assert memory.table(made) in (ROOT / "docs" / "real-models.md").read_text()
