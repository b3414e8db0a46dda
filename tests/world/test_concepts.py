import json

import pytest
import torch

from dopsd.support.errors import UserError
from dopsd.support.seeds import stream
from dopsd.world.concepts import concept_scenes, load_training, training_scenes, write_concept_set
from dopsd.world.outside import CONCEPTS
from dopsd.world.scenes import NAMES, holds, render


@pytest.mark.parametrize("name", CONCEPTS)
def test_every_scene_shows_the_concept_and_no_two_are_equal(name):
    concept = CONCEPTS[name]
    scenes = concept_scenes(concept, 20, stream("test", name))
    assert len(scenes) == 20
    assert holds(scenes.attributes, concept.attributes).all()
    assert len(scenes.attributes.unique(dim=0)) == 20
    if concept.kind == "object":
        assert holds(scenes.attributes, {"style": "photo"}).all()


def test_training_scenes_vary_in_background_and_place():
    scenes = training_scenes(CONCEPTS["beacon"], 4, seed=0)
    for attribute in ("position", "background_colour"):
        assert len(scenes.attributes[:, NAMES.index(attribute)].unique()) >= 3


def test_a_set_is_in_the_release_format_and_reads_back(tmp_path):
    write_concept_set("beacon", tmp_path, images=3, seed=0)
    rows = [json.loads(line) for line in (tmp_path / "data.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    captions = {"short_en", "medium_en", "detailed_en", "user_prompt_en"}
    for row in rows:
        assert set(row) == {"class_name", "local_path_list", "h*w"} | captions
        assert row["h*w"] == "64*64"
        assert all("[V]" in row[c] and "star" not in row[c] for c in captions)
        assert (tmp_path / row["local_path_list"][0]).exists()
    training = load_training(tmp_path)
    scenes = training_scenes(CONCEPTS["beacon"], 3, seed=0)
    assert torch.equal(training.attributes, scenes.attributes)
    assert (training.images - render(scenes)).abs().max() <= 1.01 / 255  # half a grey level of 2 / 255


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_concept_set("fresco", tmp_path / folder, images=2, seed=5)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 4
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_a_missing_set_names_the_stage(tmp_path):
    with pytest.raises(UserError, match=r"scene.json: missing; run the stage `fetch`"):
        load_training(tmp_path)
