"""The model card: its bars on made-up scores."""

import pandas as pd
import pytest
from PIL import Image

from dopsd.report import miniature, page, sheets
from dopsd.support import paths
from dopsd.support.errors import UserError


def number(value):
    return {"value": value, "low": value - 0.01, "high": value + 0.01, "n": 10}


def scores(**changes):
    def both(value):
        return {"shape": number(value), "colour": number(value)}

    def found(value, frechet):
        return {
            "adherence": number(value),
            "attributes": both(value),
            "agreement": both(value),
            "frechet": number(frechet),
            "frechet_few": number(frechet),
            **{name: number(value) for name in ("steepness", "contrast", "blur_read", "watercolour")},
        }

    drawn = {"base_32": found(0.95, 2.0), "base_4": found(0.8, 5.0), "turbo_4": found(0.95, 2.0)}
    drawn["turbo-2_4"] = drawn["turbo_4"]
    reading = {how: both(0.97) for how in ("all", "sure", "answered")}
    turbos = miniature.TURBOS
    out = {
        "reader": dict.fromkeys(("clean", "blurred", "faded"), reading) | {"looks": {"riso": number(0.99)}},
        "clip": {"retrieval_32": number(1.0), "accuracy": both(0.9)},
        "naming": {"mini-vlm": both(0.98)},
        "autoencoder_l1": number(0.01),
        "names": {
            "read_layer": {n: number(0.8) for n in ("told", "shown", "unheard", "heard", "[V]")},
            "drawn": {t: {kind: both(0.9) for kind in miniature.KINDS} for t in turbos},
            "unbound": {t: {n: both(0.1) for n in ("thing", "[V]", "unheard", "heard")} for t in turbos},
        },
        "eye": {
            "any": {"mini-vlm": {t: {"right": both(0.9), "wrong": both(0.2)} for t in turbos}},
            "held_out": {t: {"right": both(0.9), "wrong": both(0.2), "concepts": both(0.9)} for t in turbos},
            "pairs": {t: both(0.9) for t in turbos},
        },
        "drawn": dict.fromkeys((miniature.FULL, miniature.HALF, miniature.OPEN), drawn),
        "diversity": {"base_32": number(9.0), "turbo_4": number(8.0), "turbo-2_4": number(8.0)},
    }
    return out | changes


def held(of):
    return miniature.bars(of).set_index("asked")


def test_every_bar_holds_where_all_is_well():
    assert (held(scores()).holds == "yes").all()


def test_one_turbo_that_misses_is_a_miss():
    of = scores()
    of["eye"]["pairs"]["turbo-2_4"] = {"shape": number(0.9), "colour": number(0.79)}
    table = held(of)
    row = table.loc["eye: minimal pairs whose difference is drawn, the worst attribute"]
    assert row.measured == "0.900, 0.790" and row.holds == "no" and (table.holds == "no").sum() == 1


def test_a_name_that_draws_other_things_than_thing_does_is_a_miss():
    of = scores()
    of["names"]["unbound"]["turbo_4"]["[V]"] = {"shape": number(0.1), "colour": number(0.3)}
    row = held(of).loc['names: untuned "[V]" draws what "thing" does (variation)']
    assert row.measured == "0.200, 0.000" and row.holds == "no" and row.bar == "<= 0.05"


def test_a_name_that_moves_a_prompt_little_is_a_miss():
    of = scores()
    of["names"]["read_layer"]["[V]"] = number(0.2)
    assert held(of).loc['names: how far "[V]" moves a prompt, over known names'].measured == "0.250"


def test_the_eye_must_see_more_than_a_wrong_picture_shows_but_for_the_style():
    of = scores()
    of["eye"]["any"]["mini-vlm"]["turbo_4"] = {
        "right": {"shape": number(0.9), "colour": number(0.9), "style": number(1.0)},
        "wrong": {"shape": number(0.9), "colour": number(0.2), "style": number(1.0)},
    }
    assert miniature.unseen(of, "turbo_4") == ["shape"] and miniature.unseen(of, "turbo-2_4") == []
    assert held(of).loc["eye: attributes no better than of a wrong picture of the style"].holds == "no"


def test_a_reader_that_abstains_is_judged_by_what_it_says():
    of = scores()
    of["reader"] = of["reader"] | {
        "blurred": {"all": {"shape": number(0.5)}, "sure": {"shape": number(0.85)}, "answered": {"shape": number(0.6)}}
    }
    row = held(of).loc["the same under .8 pixels of blur, or of what it is sure of"]
    assert row.measured == "0.850" and row.holds == "yes"


def test_a_base_as_steep_as_its_turbo_shows_no_gap():
    of = scores()
    of["drawn"] = of["drawn"] | {
        miniature.OPEN: of["drawn"][miniature.OPEN] | {"base_4": of["drawn"][miniature.FULL]["turbo_4"]}
    }
    table = held(of)
    said = "both in 4 steps, prompts that say little (.15)"
    assert table.loc[f"Fréchet, base over turbo, {said}"].measured == "1.000, 1.000"
    assert table.loc[f"steepness, turbo's low end less the base's high end, {said}"].holds == "no"


def test_the_card_shows_bars_tables_and_every_number():
    table = pd.DataFrame([{"degradation": "fog of 0.4", "score": "steepness", "value": 1.0}])
    text = page.miniature_card(scores(), table)
    assert "{{" not in text and "{%" not in text and "nan" not in text
    assert "| reader accuracy on renders, the worst attribute" in text and "| fog of 0.4" in text
    assert "| autoencoder_l1 | 0.010 | 0.000 | 0.020 | 10 |" in text and "told things" in text


def test_prompts_has_a_panel_a_model_and_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.PROMPT_SHEETS.mkdir(parents=True)
    for who in sheets.PANELS:
        Image.new("RGB", (128, 128), "red").save(paths.PROMPT_SHEETS / f"{who}-said-1.png")
    assert [a.get_title() for a in sheets.prompts("1").axes] == list(sheets.PANELS.values())
    (paths.PROMPT_SHEETS / "base_4-said-1.png").unlink()
    with pytest.raises(UserError, match=r"base_4-said-1\.png: missing; run `dvc repro miniature`"):
        sheets.prompts("1")


def test_names_has_a_row_a_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths.PROMPT_SHEETS.mkdir(parents=True)
    Image.new("RGB", (64 * 12, 64 * 2), "red").save(paths.PROMPT_SHEETS / "names.png")
    (paths.PROMPT_SHEETS / "names.txt").write_text("thing\ntold_things\n")
    figure = sheets.names()
    assert len(figure.axes) == 2 and [t.get_text() for t in figure.texts] == ["thing", "told things"]
