"""Progress bars, and how they are silenced."""

import os
import subprocess
import sys

import pytest

SHOW = "from dopsd.support.progress import progress; list(progress(range(3), desc='steps', shown={}))"


@pytest.mark.parametrize(("shown", "quiet", "seen"), [(True, "", True), (True, "1", False), (False, "", False)])
def test_a_bar_is_shown_if_wanted_and_not_silenced(shown, quiet, seen):
    environment = {k: v for k, v in os.environ.items() if k != "TQDM_DISABLE"} | (
        {"TQDM_DISABLE": quiet} if quiet else {}
    )
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(shown)], env=environment, capture_output=True, text=True, check=True
    )
    assert ("steps: 100%" in done.stderr) is seen and done.stdout == ""
