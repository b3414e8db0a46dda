"""What was predicted of several GPUs beside what was measured: the table of benchmarks/README.md and its figure.

    python benchmarks/scale_figure.py          # prints the table and writes benchmarks/scale.png

Measured: results/h200-scale-N.json of N GPUs, where there are such (`scale.py`); predicted, before that, and fitted on one
and two: results/h200-scale-predicted.json (`scale_predicted.py`).
"""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure

HERE = Path(__file__).parent
RESULTS, FIGURE = HERE / "results", HERE / "scale.png"
GPUS = (1, 2, 4, 8)
COLOURS = {"weak": "#0072b2", "strong": "#d55e00"}
SAID = {"weak": "a picture a GPU", "strong": "a batch of 8"}
TITLES = {"lora": "LoRA, data parallel", "full+checkpointed": "full, --sharded, checkpointed"}
HEAD = (
    "form, scaling, GPUs, seconds, predicted, fitted, pictures/s, of ideal, of the matmul rate, peak GiB, predicted GiB, "
    "GB sent: counted, profiled"
)
Which = tuple[str, str, int]
Rows = dict[Which, dict]


def keyed(rows: list[dict]) -> Rows:
    """Rows by form, scaling and number of GPUs."""
    return {(r["form"], r["scaling"], r["gpus"]): r for r in rows}


def read() -> tuple[Rows, Rows, Rows]:
    """What was measured, predicted from one GPU, and fitted on one and two."""
    files = [f for n in GPUS if (f := RESULTS / f"h200-scale-{n}.json").exists()]
    rows = [row for f in files for row in json.loads(f.read_text())["rows"]]
    told = json.loads((RESULTS / "h200-scale-predicted.json").read_text())
    return keyed(rows), keyed(told["rows"]), keyed(told["fitted"])


def order(measured: Rows) -> list[Which]:
    """The rows of the table: forms and scalings as they were measured on one GPU, then GPUs."""
    return [(form, scaling, n) for form, scaling, of in measured if of == 1 for n in GPUS]


def line(which: Which, measured: Rows, predicted: Rows, fitted: Rows) -> str:
    """A row of the table in markdown."""
    form, scaling, n = which
    row, told, also = measured.get(which), predicted.get(which), fitted.get(which)
    cells = [form.replace("+", ", "), scaling, str(n), f"**{row['seconds']:.3f}**" if row else "not measured"]
    cells += [f"{p['seconds']:.3f}" if p else "" for p in (told, also)]
    if row:
        ideal = n * measured[form, scaling, 1]["pictures_a_second"]
        cells += [f"{row['pictures_a_second']:.3f}", f"{row['pictures_a_second'] / ideal:.1%}"]
        cells += [f"{row['of_the_matmul_rate']:.0%}", f"{row['peak_gib']:.1f}"]
    else:
        cells += [""] * 4
    cells.append(f"{told['peak_gib']:.1f}" if told else "")
    sent = (told or {}).get("sent_counted"), (row or {}).get("sent_profiled")
    cells += [f"{sum(s.values()) / 1e9:.3g}" if s else "" for s in sent]
    return f"| {' | '.join(cells)} |"


def table(measured: Rows, predicted: Rows, fitted: Rows) -> str:
    """Markdown, a row for each form, scaling and number of GPUs."""
    heads = HEAD.split(", ")
    rows = [line(which, measured, predicted, fitted) for which in order(measured)]
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *rows])


def draw(measured: Rows, predicted: Rows, fitted: Rows) -> Figure:
    """Pictures a second over GPUs, a panel a form: measured points, both predictions, and what one GPU's would be times n."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    panels = figure.subplots(1, len(TITLES))
    for panel, (form, title) in zip(panels, TITLES.items(), strict=True):
        for scaling, colour in COLOURS.items():
            one = measured[form, scaling, 1]["pictures_a_second"]
            panel.plot(GPUS, [n * one for n in GPUS], ":", color=colour, lw=1)
            for rows, dash in ((predicted, "--"), (fitted, "-")):
                known = [(1, one)] if rows is predicted else [(2, measured[form, scaling, 2]["pictures_a_second"])]
                known += [(n, rows[form, scaling, n]["pictures_a_second"]) for n in GPUS if (form, scaling, n) in rows]
                panel.plot(*zip(*known, strict=True), dash, color=colour, lw=1.2)
            points = [(n, r["pictures_a_second"]) for (f, s, n), r in measured.items() if (f, s) == (form, scaling)]
            marker = "o" if scaling == "weak" else "s"
            panel.plot(*zip(*points, strict=True), marker, color=colour, ms=5, label=SAID[scaling])
        for dash, said in (
            (":", "ideal: one GPU's, times n"),
            ("--", "predicted from one"),
            ("-", "fitted on one and two"),
        ):
            panel.plot([], [], dash, color="#555555", lw=1.2, label=said)
        panel.set(title=title, xlabel="GPUs", ylabel="pictures a second", xticks=GPUS, ylim=(0, None))
        panel.title.set_fontsize(10)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    found = read()
    draw(*found).savefig(FIGURE, dpi=100, metadata={"Software": None})
    print(table(*found))
