"""What the card, the exported files and a dry run say of a training: what was done, and nothing else."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from PIL import Image
from safetensors import safe_open

from dopsd.commands import main as cli
from dopsd.commands import tune as job
from dopsd.config.params import load_preset
from dopsd.report.card import write_card
from dopsd.sets.items import Item
from dopsd.support.errors import UserError

SHORT = """
train: {steps: 2, checkpoints: [1], lora_rank: 2, lora_alpha: 4, batch_size: 2, accumulation: 1}
tune: {size: 32, nfe: 2, learning_rate: 0.05, previews: {every: 5, prompts: ["[V]"], seed: 0}}
methods: {dopsd: {rollout_steps: 3}}
instruments: {dino: null, lpips: null, clip: null, reward: null, judge: null, frechet: null, kid: null}
prompts: {source: captions, ordinary: 8}
"""


@pytest.fixture
def folder(tmp_path, all_settings, monkeypatch):
    """A place to work in, with presets of tiny models and two pictures, one of them transparent."""
    for name, kind, extends in (("zimage", "zimage", "zimage"), ("klein", "klein", "klein-4b")):
        own = {"extends": extends, "backbone": all_settings[kind].model_dump(mode="json")}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(yaml.safe_load(SHORT) | own))
    (tmp_path / "photos").mkdir()
    Image.new("RGBA", (40, 40)).save(tmp_path / "photos" / "a.png")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "photos" / "b.png")
    for name in "ab":
        (tmp_path / "photos" / f"{name}.txt").write_text(f"a photo of sks on {name}")
    (tmp_path / "photos" / "notes_*.md").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["dopsd", *arguments])
    try:
        cli.main()
    except SystemExit as stopped:
        return stopped.code
    return 0


TUNE = ("tune", "--images", "photos", "--name", "my *corgi*", "--backbone", "zimage.yaml", "--out", "out")


def test_another_trigger_word_and_a_background_are_kept_for_what_comes_later(folder, monkeypatch, capsys):
    assert run(monkeypatch, *TUNE, "--trigger", "sks", "--background", "#00ff00", "--no-measure") == 0
    said = capsys.readouterr().out
    assert "photos: captions: 'sks' is read as [V], the word that is trained" in said
    assert "1 with transparency: laid on #00ff00" in said
    preset, card = load_preset("out/preset.yaml"), (folder / "out" / "README.md").read_text()
    assert (preset.tune.trigger, preset.tune.background) == ("sks", "#00ff00")
    assert '**Trigger word:** `[V]`, in the place of "my \\*corgi\\*" (the captions said `sks`).' in card
    assert 'instance_prompt: "[V]"' in card and "# my \\*corgi\\*\n" in card
    pictures = card.split("## Pictures\n\n")[1].split("\n\n")[0].splitlines()
    assert pictures == [
        "- 2 pictures taken, 2 with captions",
        "- 1 with transparency: laid on #00ff00",
        "- captions: 'sks' is read as \\[V\\], the word that is trained",
        "- left out: notes\\_\\*.md: neither a picture nor a caption",
    ]
    assert run(monkeypatch, *TUNE, "--trigger", "sks", "--background", "#00ff00", "--no-measure") == 0
    assert "out: finished before, 2 steps" in capsys.readouterr().out
    assert run(monkeypatch, *TUNE, "--trigger", "sks", "--no-measure") == 1
    assert (
        "captions, sizes or the background of 2 pictures" in capsys.readouterr().err
    )  # another ground is another training
    assert run(monkeypatch, "measure", "out", "--images", "photos", "--name", "my *corgi*") == 0
    assert "captions: 'sks' is read as" in capsys.readouterr().out  # as it was tuned
    assert (folder / "out" / "README.md").read_text().count("laid on #00ff00") == 1


def test_no_caption_names_the_concept_so_nothing_says_that_it_has_a_word(folder, monkeypatch, capsys):
    assert run(monkeypatch, *TUNE) == 1
    assert "no caption names [V]" in capsys.readouterr().err and not (folder / "out").exists()
    assert run(monkeypatch, *TUNE, "--no-measure") == 0
    card = (folder / "out" / "README.md").read_text()
    assert "**No trigger word:** no caption names `[V]`." in card and "instance_prompt" not in card
    with safe_open(next((folder / "out" / "comfyui").iterdir()), "pt") as file:
        assert "trigger" not in file.metadata()


@pytest.mark.parametrize(("method", "keeps"), [("dopsd", True), ("sft", False)])
def test_only_a_method_that_follows_the_model_says_that_it_keeps_its_steps(method, keeps, tmp_path):
    preset = load_preset("zimage", [f"tune.method={method}", "train.lora_rank=32", "train.lora_alpha=128"])
    items = [Item(Path("a.png"), (64, 64), {"caption_0": "[V]"}, "x")]
    job.card(tmp_path, preset, items, "x", [])
    card = (tmp_path / "README.md").read_text()
    assert ("so that it keeps its 8 steps" in card) == keeps
    assert ("does not look at how the model draws in 8 steps" in card) != keeps
    assert "| tuned | lora, rank 32, alpha 128: scale 4, folded into the files |" in card


def test_the_scale_follows_a_rank_that_is_changed_alone():
    def train(*changes: str):
        return cli._preset("zimage", list(changes)).train

    assert (train().lora_rank, train().lora_alpha) == (64, 128)
    assert (train("train.lora_rank=16").lora_rank, train("train.lora_rank=16").lora_alpha) == (16, 32)
    assert train("train.lora_rank=16", "train.lora_alpha=64").lora_alpha == 64
    with pytest.raises(UserError, match=r"--set train\.lora_rank=0: train\.lora_rank"):
        train("train.lora_rank=0")


def test_export_knows_the_checkpoints_model(folder, monkeypatch, capsys):
    tune = [a.replace("zimage.yaml", "klein.yaml") for a in TUNE]
    assert run(monkeypatch, *tune, "--no-measure", "--steps", "1") == 0
    export = ("export", "out/checkpoints/step-0001", "--out", "early", "--name", "柯基")
    assert run(monkeypatch, *export) == 0
    with safe_open(folder / "early" / "comfyui" / "柯基.safetensors", "pt") as file:
        assert all(k.startswith("transformer.") for k in file.keys())  # noqa: SIM118 - no mapping
    again = {f: f.read_bytes() for f in (folder / "early").rglob("*.safetensors")}
    assert run(monkeypatch, *export) == 0 and again == {f: f.read_bytes() for f in again}
    capsys.readouterr()
    assert run(monkeypatch, "export", "out/checkpoints/step-1000", *export[2:]) == 1
    assert "no LoRA there; name out/checkpoints/step-0001" in capsys.readouterr().err
    assert run(monkeypatch, *export, "--backbone", "zimage.yaml") == 1
    assert "--backbone: out/checkpoints/step-0001 is of klein, not of zimage" in capsys.readouterr().err
    shutil.copytree(folder / "out" / "checkpoints" / "step-0001", folder / "alone" / "step-0001")
    where = ("export", "alone/step-0001", "--out", "e", "--name", "x")
    assert run(monkeypatch, *where) == 1
    assert "nothing there says which model it is of; name it with --backbone" in capsys.readouterr().err
    assert run(monkeypatch, *where, "--backbone", "klein.yaml") == 0
    assert run(monkeypatch, "export", "early", "--out", "f", "--name", "x") == 0  # an exported one says it, too
    before = (folder / "out" / "pytorch_lora_weights.safetensors").read_bytes()
    assert run(monkeypatch, "export", "out/checkpoints/step-0001", "--out", "out", "--name", "x") == 1
    assert before == (folder / "out" / "pytorch_lora_weights.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("mine", "--out mine: holds files that are not of a run of this (README.md, gallery)"),
        ("photos", "--out photos: holds files that are not of a run of this"),
        ("study/data/concepts/new", "study/data/concepts and may remove what is there"),
        ("study/models/lora/x", "study/models/lora and may remove"),
    ],
)
def test_what_others_wrote_is_never_replaced(folder, monkeypatch, capsys, out, says):
    (folder / "mine" / "gallery").mkdir(parents=True)
    (folder / "mine" / "README.md").write_text("mine")
    (folder / "study").mkdir()
    (folder / "study" / "dvc.yaml").write_text("")
    assert run(monkeypatch, *TUNE[:-1], out, "--no-measure") == 1
    assert says in capsys.readouterr().err
    assert (folder / "mine" / "README.md").read_text() == "mine" and not (folder / "study" / "data").exists()


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(folder, monkeypatch, capsys):
    def names() -> set[str]:
        return {str(f) for f in folder.rglob("*")}

    before = names()
    assert run(monkeypatch, *TUNE, "--trigger", "sks", "--dry-run") == 0
    assert names() == before
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "photos: 2 pictures taken, 2 with captions"
    assert "photos: left out: notes_*.md: neither a picture nor a caption" in said
    tail = {line.partition(":")[0]: line.partition(": ")[2] for line in said[4:]}
    assert tail["captions"].startswith("2, of up to ") and tail["captions"].endswith("the model reads 512")
    assert tail["method"] == "dopsd, learning rate 0.05, seed 30, LoRA of rank 2, alpha 4: scale 2"
    assert tail["steps"] == "2 of 2 pictures, 48 forwards of the generator; kept: 1, 2"
    assert tail["where"] == "out, anew" and tail["memory"].startswith("up to 0.00 GiB")
    assert tail["time"].startswith("not known before") and said[-1] == "nothing is written: a dry run"
    # after a training of the same settings its time is known, and where this one would go on
    assert run(monkeypatch, *TUNE, "--trigger", "sks", "--no-measure") == 0
    before = names()
    capsys.readouterr()
    assert run(monkeypatch, *TUNE, "--trigger", "sks", "--dry-run", "--steps", "4") == 0
    said = capsys.readouterr().out
    assert "where: out, where it goes on from step 2 of 4" in said and "as 1 with these settings took" in said
    assert run(monkeypatch, *TUNE, "--trigger", "sks", "--dry-run") == 0
    assert "where it is finished, and not measured" in capsys.readouterr().out
    assert run(monkeypatch, *TUNE, "--trigger", "sks", "--dry-run", "--set", "tune.seed=1") == 1
    assert "tune.seed 30 -> 1" in capsys.readouterr().err and names() == before


def test_a_caption_that_is_cut_is_said_and_stands_in_the_card(folder, monkeypatch, capsys):
    (folder / "photos" / "a.txt").write_text("[V] " + "far away " * 80)
    assert run(monkeypatch, *TUNE, "--no-measure") == 1
    assert "a.png: caption_0: " in (said := capsys.readouterr().err) and "would read different texts" in said
    assert not (folder / "out").exists()
    sft = ("--set", "tune.method=sft", "--no-measure")
    assert run(monkeypatch, *TUNE, *sft) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("cut: a.png: caption_0: "))
    assert "of which 512 are read" in line
    assert f"- {line.removeprefix('cut: ')[:60]}" in (folder / "out" / "README.md").read_text()


def test_drawing_says_that_a_prompt_is_cut(folder, monkeypatch, capsys):
    draw = ("draw", "far away " * 80, "--backbone", "zimage.yaml", "--pictures", "1", "--nfe", "1", "--out", "d.png")
    assert run(monkeypatch, *draw) == 0
    assert "cut: prompt 'far away" in (said := capsys.readouterr().out) and "of which 512 are read" in said


def test_what_people_named_is_escaped(tmp_path):
    preset = load_preset("zimage", ["tune.license='a: b # c'", "backbone.model='x/[y](z)'"])
    item = Item(Path("a.png"), (64, 64), {"caption_0": "[V]"}, "<b>dog</b> | [x](y)")
    job.card(tmp_path, preset, [item, replace(item)], "*x* | <i>", ["a_*b*|c: hidden"])
    card = (tmp_path / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "a: b # c" and front["base_model"] == "x/[y](z)"
    assert "# \\*x\\* \\| &lt;i&gt;" in card and "&lt;b&gt;dog&lt;/b&gt; \\| \\[x\\](y)" in card
    assert "- a\\_\\*b\\*\\|c: hidden" in card


def test_a_card_is_written_whole(tmp_path):
    with pytest.raises(Exception, match="undefined"):
        write_card(tmp_path, name="x")
    assert not list(tmp_path.iterdir())
