import pytest

from dopsd.config import runs
from dopsd.support.errors import UserError

RUN = "{devices: 2, device: x, torch: '2', seconds: {train: 1800, draw: 900}, forwards: {train: 7200}}"


def test_hours_and_speeds_are_of_one_device(tmp_path):
    file = tmp_path / "runs.yaml"
    assert runs.load(file) == () and runs.speeds(()) == {} and runs.hours(()) == 0
    file.write_text(f"runs: [{RUN}, {RUN}]")
    assert runs.hours(runs.load(file)) == 3.0
    assert runs.speeds(runs.load(file)) == {"train": 2.0}  # of drawing no forwards are on record


@pytest.mark.parametrize("text", ["runs: [{devices: two}]", "runs: []", "runs: [{devices: 0}]"])
def test_what_is_wrong_is_named(tmp_path, text):
    (tmp_path / "runs.yaml").write_text(text)
    with pytest.raises(UserError, match=r"runs\.yaml"):
        runs.load(tmp_path / "runs.yaml")
