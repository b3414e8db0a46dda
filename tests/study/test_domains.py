"""A study of domains: its folders and its prompts, and what the later stages make of them."""

import pytest
import tiny

from dopsd.config.params import load
from dopsd.evaluation import rows
from dopsd.evaluation.rows import NEW
from dopsd.study import domains, keys
from dopsd.study.prompts import written
from dopsd.study.sets import write_concept
from dopsd.support import paths
from dopsd.support.errors import UserError
from dopsd.training.prepared_whole import check


@pytest.fixture
def study(request, monkeypatch, tmp_path):
    """The study of the repository, cut down, in a folder of its own."""
    monkeypatch.chdir(request.config.rootpath / "studies/domain")
    found = load()
    monkeypatch.chdir(tmp_path)
    grid = found.grid.model_copy(update={"concepts": ("dusk", "riso"), "seeds": (0, 1)})
    prompts = found.prompts.model_copy(update={"new": 4, "ordinary": 8})
    return found.model_copy(
        update={"grid": grid, "prompts": prompts, "fetch": found.fetch.model_copy(update={"images": 6})}
    )


def test_the_stages_that_follow_read_folders_and_files(study, tmp_path):
    assert set(domains.domains(study).values()) == {"dusk", "riso", "aquarelle"}
    for folder in domains.domains(study):
        domains.pictures(study, folder)
    domains.asked(study, tmp_path / study.prompts.folder)
    for concept in ("dusk", "riso", "aquarelle"):
        write_concept(concept, study.fetch, paths.concept_set(concept))
        assert len(list((paths.concept_set(concept) / "target_images").iterdir())) == 6
    files = written(study, None)
    assert [len(rows.of_kind(files[paths.prompts("dusk")], NEW, s)) for s in (0, 1)] == [4, 4]
    assert {r.seed for r in files[paths.prompts("aquarelle")]} == {study.step_size.seed}
    assert files[paths.prompts(paths.ORDINARY)] == []


def test_what_its_domains_depend_on_is_a_key(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath / "studies/domain")
    found = load()
    before = keys.all_stages(found)
    fewer = keys.all_stages(found.model_copy(update={"fetch": found.fetch.model_copy(update={"images": 64})}))
    assert before["domains"]["fetch"]["images"] == 1024 and before["domains"] != fewer["domains"]
    assert before["train"]["methods"] == fewer["train"]["methods"]
    monkeypatch.chdir(request.config.rootpath)
    assert "domains" not in keys.all_stages(load())


def test_a_method_of_loras_that_are_put_together_cannot_tune_every_weight(study):
    for name in ("base_lora", "repair_lora"):
        with pytest.raises(UserError, match=f"train.tune: {name} is made of LoRAs"):
            check(tiny.method(name), study.train)
    with pytest.raises(UserError, match=r"train.cuda_graphs: pso prepares something"):
        check(tiny.method("pso"), study.train.model_copy(update={"cuda_graphs": True}))
    check(tiny.method("pso"), study.train)
    check(tiny.method("sft"), study.train.model_copy(update={"cuda_graphs": True}))
