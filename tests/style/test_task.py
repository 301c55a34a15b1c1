"""What a style task shows, and what its state holds for it."""

import jax
import numpy as np
import pytest

from genjax import images, rng, runs
from genjax.style import colours
from tests.tiny import tiny


def _begun(**changes):
    """(the task of a tiny run, its first state)."""
    task = runs.build(tiny("style-adam", **{"init": "content", **changes})).task
    return task, jax.jit(task.init)(rng.stream(0, rng.Stream.INIT), task.constants)


@pytest.fixture(scope="module")
def content():
    return images.fit(images.load("coffee"), 16)[None]


def test_colours_of_the_content_come_back(content):
    """Where a run starts with the grey content, its first picture is the content."""
    task, state = _begun(color="oklab")
    assert np.ptp(np.asarray(state.at.image), axis=-1).max() < 1e-6
    first = task.sample(state, None, None)
    np.testing.assert_allclose(np.asarray(first, int), content, atol=2)
    dark = task.sample(state.replace(at=state.at.replace(image=state.at.image * 0)), None, None)
    assert first.mean() > dark.mean() + 20


def test_by_default_the_picture_is_shown_as_it_is(content):
    task, state = _begun()
    assert state.coloured is None and colours.SPACES.keys() == {"luminance", "oklab"}
    np.testing.assert_array_equal(task.sample(state, None, None), content)
