"""`dopsd bench` on tiny random models: what each scorer reads, one noise for both models, a run that was killed."""

import json
import re
import sys
from pathlib import Path

import forks
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from dopsd import backbones
from dopsd.backbones.pipeline import PipelineBackbone
from dopsd.commands import bench_pictures
from dopsd.commands import main as cli
from dopsd.commands.bench_pictures import Run
from dopsd.commands.benchmarks import BENCHMARKS
from dopsd.config.params import load_preset
from dopsd.evaluation import drawing
from dopsd.support.errors import UserError
from dopsd.support.pictures import read_image

SAID = ("a photo of a bench", "a photo of two clocks", "a photo of a red dog and a blue cup")
ROWS = [{"tag": "t", "include": [{"class": "x", "count": k + 1}], "prompt": said} for k, said in enumerate(SAID)]
VQA = [{"prompt": said, "atom_count": 1, "vqa_list": [["Is it?", "Yes"]], "skills": ["object"]} for said in SAID]
SIZE = 32


@pytest.fixture
def preset(all_settings):
    return load_preset("zimage", [f"tune.size={SIZE}", "tune.nfe=2"]).model_copy(
        update={"backbone": all_settings["zimage"], "instruments": {}}
    )


@pytest.fixture
def sources(tmp_path):
    """Each benchmark's prompts, the same texts, as a clone of its repository has them."""
    for name, rows in (("geneval/prompts/evaluation_metadata.jsonl", ROWS), ("GenEval2/geneval2_data.jsonl", VQA)):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "ELLA/dpg_bench/prompts"
    folder.mkdir(parents=True)
    for name, said in zip("abc", SAID, strict=True):
        (folder / f"{name}.txt").write_text(said + "\n")
    (folder / "notes.md").write_text("no prompt")
    files = (tmp_path / "geneval/prompts/evaluation_metadata.jsonl", folder, tmp_path / "GenEval2/geneval2_data.jsonl")
    return dict(zip(("geneval", "dpg", "geneval2"), files, strict=True))


def run(preset, sources, name, noises=None, first=None, seed=0) -> Run:
    every = BENCHMARKS[name].prompts(sources[name])
    return Run(preset, name, every, every[:first], noises or BENCHMARKS[name].noises, seed)


def files(folder: Path) -> dict[str, bytes]:
    found = (f for f in sorted(folder.rglob("*")) if f.is_file())
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in found}


@pytest.fixture
def drawn(monkeypatch):
    """How many pictures each call draws."""
    counts, draw = [], bench_pictures.draw

    def counted(backbone, contexts, noise, *more):
        counts.append(len(noise))
        return draw(backbone, contexts, noise, *more)

    monkeypatch.setattr(bench_pictures, "draw", counted)
    return counts


def test_geneval_has_a_folder_a_prompt_with_its_line_and_its_samples(preset, sources, tmp_path):
    out = tmp_path / "bench"
    run(preset, sources, "geneval").draw({"untouched": None, "tuned": tiny.lora(preset, tmp_path / "lora")}, out)
    each = [f"{i:05}/{f}" for i in range(3) for f in ("metadata.jsonl", *(f"samples/{k:05}.png" for k in range(4)))]
    before, after = (files(out / model / "geneval") for model in ("untouched", "tuned"))
    assert list(before) == each == list(after)
    assert all(before[f"{i:05}/metadata.jsonl"] == json.dumps(row).encode() for i, row in enumerate(ROWS))
    pictures = [f for f in each if f.endswith(".png")]
    assert all(re.match(r"\d+\.png", Path(f).name) for f in pictures)
    assert len({before[f] for f in pictures} | {after[f] for f in pictures}) == 24  # no two are the same
    assert read_image(out / "tuned/geneval/00002/samples/00003.png").shape == (3, SIZE, SIZE)


def test_dpg_has_a_picture_a_file_of_prompts_with_four_squares_and_nothing_else(preset, sources, tmp_path):
    out = tmp_path / "bench"
    run(preset, sources, "dpg").draw({"untouched": None}, out)
    assert sorted(f.name for f in (out / "untouched/dpg").iterdir()) == ["a.png", "b.png", "c.png"]
    run(preset, sources, "geneval").draw({"untouched": None}, out)  # the same texts, and so the same pictures
    grid = read_image(out / "untouched/dpg/b.png")
    assert grid.shape == (3, 2 * SIZE, 2 * SIZE)
    places = [(0, 0), (SIZE, 0), (0, SIZE), (SIZE, SIZE)]  # left, top: in the order that the scorer cuts them out
    for k, (left, top) in enumerate(places):
        one = read_image(out / f"untouched/geneval/00001/samples/{k:05}.png")
        assert (grid[:, top : top + SIZE, left : left + SIZE] - one).abs().max() < 2 / 127  # in batches of other sizes


def test_geneval_2_has_a_picture_a_prompt_and_says_where_it_is(preset, sources, tmp_path):
    out = tmp_path / "bench"
    run(preset, sources, "geneval2", first=2).draw({"untouched": None}, out)
    folder = out / "untouched/geneval2"
    named = json.loads((folder / "images.json").read_text())
    assert list(named) == list(SAID[:2]) and all(Path(f).is_file() and Path(f).is_absolute() for f in named.values())
    assert [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()] == VQA[:2]


def test_models_share_the_noise_and_prompts_and_noises_have_their_own(preset, sources, tmp_path):
    out, still = tmp_path / "bench", tiny.lora(preset, tmp_path / "lora")
    weights = load_file(still / "pytorch_lora_weights.safetensors")
    save_file({k: v * 0 for k, v in weights.items()}, still / "pytorch_lora_weights.safetensors")
    run(preset, sources, "geneval").draw({"untouched": None, "tuned": still}, out)
    assert files(out / "untouched/geneval") == files(out / "tuned/geneval")
    backbones.load(preset.backbone).transformer.save_pretrained(tmp_path / "full" / "transformer")
    run(preset, sources, "geneval").draw({"full": tmp_path / "full"}, out)
    assert files(out / "untouched/geneval") == files(out / "full/geneval")
    run(preset, sources, "geneval", seed=1).draw({"untouched": None}, tmp_path / "other")
    first, other = (read_image(f / "untouched/geneval/00000/samples/00000.png") for f in (out, tmp_path / "other"))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_run_that_was_stopped_goes_on_and_draws_nothing_twice(name, preset, sources, drawn, tmp_path, monkeypatch):
    lora, whole = tiny.lora(preset, tmp_path / "lora"), tmp_path / "whole"
    models = {"untouched": None, "tuned": lora}
    monkeypatch.setattr(bench_pictures, "at_a_time", lambda _: 1)
    run(preset, sources, name).draw(models, whole)
    total, steps, draw = sum(drawn), len(drawn), bench_pictures.draw
    drawn.clear()

    def killed(*given):
        if len(drawn) == steps // 2 + 1:
            raise KeyboardInterrupt
        return draw(*given)

    out = tmp_path / "bench"
    monkeypatch.setattr(bench_pictures, "draw", killed)
    with pytest.raises(KeyboardInterrupt):
        run(preset, sources, name).draw(models, out)
    monkeypatch.setattr(bench_pictures, "draw", draw)
    assert 0 < sum(drawn) < total
    run(preset, sources, name).draw(models, out)
    assert sum(drawn) == total
    here, there = ({k: v for k, v in files(f).items() if k.endswith(".png")} for f in (out, whole))
    assert here == there
    monkeypatch.setattr(bench_pictures, "opened", lambda *_: pytest.fail("a model is opened"))
    run(preset, sources, name).draw(models, out)


def test_a_trial_is_gone_on_from_and_the_tuned_model_may_come_later(preset, sources, drawn, tmp_path):
    out = tmp_path / "bench"
    run(preset, sources, "geneval", noises=1, first=1).draw({"untouched": None}, out)
    said = json.loads((out / "untouched/geneval.json").read_text())
    assert (said["prompts"], said["first"], said["noises"], said["weights"]) == (3, 1, 1, None) and drawn == [1]
    run(preset, sources, "geneval", noises=1).draw(
        {"untouched": None, "sft": tiny.lora(preset, tmp_path / "lora")}, out
    )
    assert drawn == [1, 2, 3] and json.loads((out / "untouched/geneval.json").read_text())["first"] == 3
    assert json.loads((out / "sft/geneval.json").read_text())["weights"]


def test_two_processes_draw_the_same_files(preset, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_pictures, "at_a_time", lambda _: 1)
    models = {"untouched": None, "tuned": tiny.lora(preset, tmp_path / "lora")}

    def shared() -> int:
        mine, sample = [], drawing.sample
        monkeypatch.setattr(drawing, "sample", lambda *given: mine.append(1) or sample(*given))
        run(preset, sources, "geneval", noises=3).draw(models, tmp_path / "two")
        return len(mine)

    assert forks.launched(2, shared, tmp_path) == [10, 8]  # of nine pictures a model, the odd one is the first's
    run(preset, sources, "geneval", noises=3).draw(models, tmp_path / "one")
    for model in models:
        assert files(tmp_path / "two" / model) == files(tmp_path / "one" / model)


def test_encoders_are_freed_before_the_transformer_is_opened(preset, sources, tmp_path, monkeypatch):
    events, opened, freed = [], PipelineBackbone.opened, PipelineBackbone.free_encoders
    monkeypatch.setattr(PipelineBackbone, "opened", lambda *a: events.append("opened") or opened(*a))
    monkeypatch.setattr(PipelineBackbone, "free_encoders", lambda *a: events.append("freed") or freed(*a))
    run(preset, sources, "geneval2").draw(
        {"untouched": None, "tuned": tiny.lora(preset, tmp_path / "lora")}, tmp_path / "o"
    )
    assert events[events.index("freed") :] == ["freed", "opened"]


CHANGED = {
    "steps": ({"nfe": 3}, {}, "nfe 2, and 3 is asked for"),
    "size": ({"size": 64}, {}, "size 32, and 64"),
    "noises": ({}, {"noises": 2}, "noises 1, and 2"),
    "seed": ({}, {"seed": 5}, "seed 0, and 5"),
    "fewer": ({}, {"first": 1}, r"first 3 prompts; ask for as many or more \(--only\)"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_folder_of_other_settings_is_refused(what, preset, sources, drawn, tmp_path):
    how, asked, says = CHANGED[what]
    out = tmp_path / "bench"
    run(preset, sources, "geneval", noises=1).draw({"untouched": None}, out)
    before = files(out)
    other = preset.model_copy(update={"tune": preset.tune.model_copy(update=how)})
    with pytest.raises(UserError, match=rf"untouched/geneval\.json: {says}"):
        run(other, sources, "geneval", **{"noises": 1, **asked}).draw({"untouched": None}, out)
    assert files(out) == before and drawn == [3]


def test_other_weights_or_prompts_are_refused_and_pictures_of_which_nothing_is_said(preset, sources, tmp_path):
    out, lora = tmp_path / "bench", tiny.lora(preset, tmp_path / "lora")
    run(preset, sources, "geneval", noises=1).draw({"tuned": lora}, out)
    file = lora / "pytorch_lora_weights.safetensors"
    save_file({k: v * 2 for k, v in load_file(file).items()}, file)
    with pytest.raises(
        UserError, match=r"tuned/geneval\.json: weights '[0-9a-f]{16}', and '[0-9a-f]{16}' is asked for"
    ):
        run(preset, sources, "geneval", noises=1).draw({"tuned": lora}, out)
    sources["geneval"].write_text(json.dumps(ROWS[1]) + "\n")
    with pytest.raises(UserError, match=r"tuned/geneval\.json: (weights|prompts|prompts_digest) "):
        run(preset, sources, "geneval", noises=1).draw({"tuned": lora}, out)
    (out / "tuned/geneval.json").unlink()
    with pytest.raises(UserError, match=r"tuned/geneval: nothing says how it was drawn \(geneval\.json\); remove it"):
        run(preset, sources, "geneval", noises=1).draw({"tuned": lora}, out)


def test_what_is_too_long_is_said_and_damaged_weights_before_anything_is_drawn(preset, sources, tmp_path, capsys):
    (sources["dpg"] / "a.txt").write_text("long " * 200)
    few = preset.model_copy(update={"backbone": preset.backbone.model_copy(update={"student_tokens": 96})})
    run(few, sources, "dpg", noises=1).draw({"untouched": None}, tmp_path / "bench")
    assert re.search(r"cut: prompt 'long .*\d+ tokens, of which 96 are read", capsys.readouterr().out)
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora/pytorch_lora_weights.safetensors").write_text("x")
    with pytest.raises(UserError, match=r"lora/pytorch_lora_weights\.safetensors"):
        run(few, sources, "dpg").draw({"tuned": tmp_path / "lora"}, tmp_path / "other")
    assert not (tmp_path / "other/tuned").exists()


BAD = {
    "no JSON": ("geneval", json.dumps(ROWS[0]) + "\nwords", r"evaluation_metadata\.jsonl:2: not JSON"),
    "no object": ("geneval", "[1]", r":1: list, not an object"),
    "no prompt": ("geneval", '{"tag": "colors"}', r":1: prompt: missing, so it is no line of this benchmark"),
    "no tag": ("geneval", '{"prompt": "x"}', r":1: tag: missing"),
    "no text": ("geneval", '{"tag": "t", "prompt": 3}', r":1: prompt: 3 is no text"),
    "no questions": ("geneval2", '{"prompt": "x"}', r"geneval2_data\.jsonl:1: vqa_list: missing"),
    "nothing": ("geneval", "\n", r"evaluation_metadata\.jsonl: no prompts"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_line_is_named(what, sources):
    name, text, says = BAD[what]
    sources[name].write_text(text)
    with pytest.raises(UserError, match=says):
        BENCHMARKS[name].prompts(sources[name])


def test_a_bad_file_of_dpg_is_named(sources, tmp_path):
    dpg, folder = BENCHMARKS["dpg"], sources["dpg"]
    (folder / "d.txt").write_text(" \n")
    with pytest.raises(UserError, match=r"prompts/d\.txt: prompt: '' is no text"):
        dpg.prompts(folder)
    (folder / "d.txt").rename(folder / "d.1.txt")
    with pytest.raises(UserError, match=r"d\.1\.txt: a dot in its name"):
        dpg.prompts(folder)
    with pytest.raises(UserError, match=r"a\.txt: no folder; name the benchmark's own dpg_bench/prompts"):
        dpg.prompts(folder / "a.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no prompts"):
        dpg.prompts(tmp_path / "empty")


def test_the_line_runs_the_scorer_of_the_clone_that_the_prompts_are_in(sources, tmp_path):
    def line(name: str) -> str:
        return BENCHMARKS[name].line(sources[name], tmp_path / "my bench" / name, 512, BENCHMARKS[name].noises)

    assert line("geneval").startswith("cd geneval && python evaluation/evaluate_images.py ")
    for name, script in (("geneval", "evaluation/evaluate_images.py"), ("dpg", "dpg_bench/compute_dpg_bench.py")):
        clone = sources[name].parents[1]
        (clone / script).parent.mkdir(exist_ok=True)
        (clone / script).touch()
        assert line(name).startswith(f"cd {clone} && ") and f" {script} " in line(name)
    assert f"--image-root-path '{tmp_path}/my bench/dpg' --resolution 512 --pic-num 4 " in line("dpg")
    assert line("geneval").endswith(
        f"cd evaluation && python summary_scores.py '{tmp_path}/my bench/geneval-scores.jsonl'"
    )
    assert line("geneval2").startswith(f"cd GenEval2 && python evaluation.py --benchmark_data '{tmp_path}/my bench/")


@pytest.fixture
def said(monkeypatch, capsys, tmp_path):
    """What `dopsd bench` prints, and how it ends."""

    def run(*arguments: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["dopsd", "bench", *map(str, arguments)])
        status = None
        try:
            cli.main()
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    return run


def test_the_command_draws_a_trial_and_says_how_it_is_scored(said, preset, sources, tmp_path):
    (tmp_path / "tiny.yaml").write_text(json.dumps({"extends": "zimage", "backbone": preset.backbone.model_dump()}))
    common = ("geneval", "--prompts", sources["geneval"], "--backbone", "tiny.yaml", "--size", 16, "--nfe", 1)
    lora = tiny.lora(preset, tmp_path / "lora")
    status, out, err = said(*common, "--noises", 2, "--only", 2, "--lora", lora, "--name", "My LoRA")
    assert status is None, err
    lines = out.splitlines()
    assert lines[0] == "2 of 3 prompts: a trial, whose scores are not the benchmark's"
    assert lines[1::2] == [
        f"bench/{m}/geneval: pictures of 2 prompts; they are scored by" for m in ("untouched", "my-lora")
    ]
    assert all(f"{tmp_path}/bench/{m}/geneval" in lines[i] for m, i in (("untouched", 2), ("my-lora", 4)))
    assert len(list((tmp_path / "bench/my-lora/geneval").rglob("*.png"))) == 4
    status, _, err = said(*common, "--noises", 2, "--seed", 3)
    assert status == 1 and "error: bench/untouched/geneval.json: seed 0, and 3 is asked for" in err


def test_what_cannot_be_asked_for_is_one_line_and_leaves_nothing(said, sources, tmp_path):
    before = sorted(tmp_path.iterdir())
    words = ("geneval", "--prompts", sources["geneval"], "--backbone", "mini-turbo")
    wrong = {
        "no benchmark 'genevall'; did you mean 'geneval'": ("genevall", *words[1:]),
        "--noises 5: the scorer of dpg reads 4": ("dpg", "--prompts", sources["dpg"], "--noises", 5),
        "--name Untouched: the untouched model's own folder": (*words, "--name", "Untouched"),
        "--lora none: no such folder": (*words, "--lora", "none"),
        "no such file": ("geneval", "--prompts", "none.jsonl"),
        "--out geneval: holds files that are not of a run": (*words, "--out", "geneval"),
    }
    for says, arguments in wrong.items():
        status, _, err = said(*arguments)
        assert status == 1 and says in err and err.count("\n") == 1, err
    assert sorted(tmp_path.iterdir()) == before


def test_a_word_that_the_model_does_not_know_is_named_with_its_line(said, sources, settings, tmp_path):
    sources["geneval"].write_text(json.dumps(ROWS[0] | {"prompt": "a clock"}) + "\n")
    model = ("--set", f"backbone.model={settings.model}", "--set", f"backbone.vlm={settings.vlm}")
    status, _, err = said("geneval", "--prompts", sources["geneval"], "--backbone", "mini-turbo", *model)
    assert status == 1 and "evaluation_metadata.jsonl:1: the model has no word for clock" in err
    assert not (tmp_path / "bench/untouched").exists()
