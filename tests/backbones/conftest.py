"""The backbones that the contract is tested on: the miniature, and tiny random pipelines opened from disk."""

import pytest

from dopsd import backbones

KINDS = ("miniature", "zimage", "klein", "krea")


@pytest.fixture(params=KINDS)
def any_settings(request, all_settings):
    return all_settings[request.param]


@pytest.fixture
def any_backbone(any_settings):
    """Freshly opened: a test may put adapters on it."""
    return backbones.load(any_settings)
