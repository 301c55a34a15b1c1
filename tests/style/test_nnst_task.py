"""The passes of NNST, where each begins, and what it shows."""

import jax
import numpy as np
import pytest

from configs import style as style_config
from genjax import rng, runs
from genjax.errors import UserError
from genjax.style import pyramid
from genjax.style_keys import passes
from tests.tiny import tiny


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (512, [(3, 200), (2, 400), (1, 600), (0, 800), (0, 1000)]),
        (1024, [(4, 200), (3, 400), (2, 600), (1, 800), (0, 1000), (0, 1200)]),
        (256, [(2, 200), (1, 400), (0, 600), (0, 800)]),
        (60, [(0, 200), (0, 400)]),
    ],
)
def test_passes_are_the_authors(size, expected):
    found = passes(size, 64, (200,))
    assert [(one.halvings, one.until) for one in found] == expected
    assert [one.last for one in found] == [False] * (len(found) - 1) + [True]
    assert style_config.get_config(f"preset=nnst,size={size}").train.steps == expected[-1][1]


def test_each_pass_begins_with_the_one_before():
    """Without a step: the content's coarse scale, with nothing finer, whatever comes after it."""
    first = runs.build(tiny("style-nnst", color="style")).task
    state = jax.jit(first.init)(rng.stream(0, rng.Stream.INIT), first.constants)
    coarse = pyramid.compose([x[0] for x in state.levels])
    np.testing.assert_allclose(coarse, first.constants["contents"][0], atol=1e-5)
    second = first.stage.task(5)
    state = jax.jit(second.stage.carry)(state, second.constants)
    picture = pyramid.compose([x[0] for x in state.levels])
    assert picture.shape[1] == 16 and not np.any(state.levels[0])
    np.testing.assert_allclose(pyramid.compose([x[0] for x in state.levels[1:]]), coarse, atol=1e-5)
    assert state.matched.shape == (1, 4 * (picture.shape[0] // 4))
    last = second.stage.task(9)
    state = jax.jit(last.stage.carry)(state, last.constants)
    found = pyramid.compose([x[0] for x in state.levels])
    np.testing.assert_allclose(found, picture, atol=1e-5)
    assert state.colours is None and state.matched == () and last.stage.until is None
    shown = last.sample(state, None, None)[0]
    np.testing.assert_allclose(shown, np.clip(np.asarray(picture) * 255, 0, 255), atol=0.6)


def test_a_run_that_ends_before_its_final_pass_is_refused():
    with pytest.raises(UserError, match=r"begins after step 8: use --config.train.steps=12"):
        runs.build(tiny("style-nnst", **{"train.steps": 8}))
    with pytest.raises(UserError, match="names one layer"):
        runs.build(tiny("style-nnst", **{"features.layers": ()}))
    with pytest.raises(UserError, match=r"color='oklab' is unknown.*content, style"):
        runs.build(tiny("style-nnst", color="oklab"))
