import json

import pandas as pd
import pytest

from dopsd.support import files
from dopsd.support.errors import UserError


def test_numbers_are_rounded_without_negative_zero(tmp_path):
    files.write_csv(pd.DataFrame({"a": ["x"], "b": [-0.0000001]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "a,b\nx,0.0\n"
    files.write_json({"a": {"value": 0.12345678, "n": 3}, "b": -1e-9, "lr": 3e-5}, tmp_path / "folder" / "t.json")
    text = (tmp_path / "folder" / "t.json").read_text()
    assert json.loads(text) == {"a": {"value": 0.12346, "n": 3}, "b": 0.0, "lr": 3e-5} and "-0.0" not in text


def test_a_missing_or_broken_file_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match=r"t\.json: missing; run `dvc repro`"):
        files.read_json(tmp_path / "t.json")
    (tmp_path / "t.json").write_text("{")
    with pytest.raises(UserError, match=r"t\.json: not JSON .* delete it"):
        files.read_json(tmp_path / "t.json")
