"""A tiny study on the miniature, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def small_study(request, tmp_path, monkeypatch):
    """small_study({file: what is in it}, fields of params.yaml's sections, ...) -> the params of the study, in whose folder
    the test works."""
    import tiny
    import yaml

    from dopsd.config.params import load

    root = request.config.rootpath
    (tmp_path / "models").mkdir()
    for model in (root / "models").glob("mini-*"):
        (tmp_path / "models" / model.name).symlink_to(model)
    monkeypatch.chdir(tmp_path)

    def write(files, *changes):
        tree = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
        del tree["probe"], tree["miniature"]
        for sections in ({k: v for k, v in tiny.STUDY.items() if k in tree}, *changes):
            for name, fields in sections.items():
                tree[name] = tree[name] | fields
        for file, what in {"params.yaml": tree, **files}.items():
            Path(file).write_text(yaml.safe_dump(what), encoding="utf-8")
        return load()

    return write
