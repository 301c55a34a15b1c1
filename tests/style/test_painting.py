"""What networks for any style share: squares at random, mixtures and shares of a style, sheets."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import data, images, rng, runs
from genjax.errors import UserError
from genjax.nn import backend
from genjax.style import painting
from tests.tiny import tiny


@pytest.fixture(scope="module")
def begun():
    """(task, state) of a tiny run."""
    task = runs.build(tiny("adain")).task
    with backend.native():
        return task, jax.jit(task.init)(rng.stream(0, rng.Stream.INIT), task.constants)


def _batch(count: int):
    """Pictures whose pixels tell their place: u8[count, 6, 6, 3] and two styles."""
    places = np.arange(36, dtype=np.uint8).reshape(1, 6, 6, 1)
    places = np.broadcast_to(places, (count, 6, 6, 3))
    return {"image": places, "styles": np.concatenate([places[:1] + 100, places[:1] + 200])}


def test_squares_and_styles_are_functions_of_the_key_and_the_place():
    draw = jax.jit(lambda batch, key: painting.drawn(batch, 4, key, None))
    contents, styles = (np.asarray(x) for x in draw(_batch(256), jax.random.key(0)))
    assert contents.shape == styles.shape == (256, 4, 4, 3)
    corners = np.round(255 * contents[:, 0, 0, 0]).astype(int)
    assert set(corners) == {6 * row + column for row in range(3) for column in range(3)}
    within = np.round(255 * contents[..., 0]).astype(int) - corners[:, None, None]
    assert (within == (6 * np.arange(4)[:, None] + np.arange(4))).all()
    of_styles = np.round(255 * styles[:, 0, 0, 0]).astype(int)
    assert {*of_styles // 100} == {1, 2} and len({*of_styles}) == 18
    fewer = draw(_batch(3), jax.random.key(0))
    np.testing.assert_array_equal(fewer[0], contents[:3])
    np.testing.assert_array_equal(fewer[1], styles[:3])


def test_the_middle():
    assert painting.middle(_batch(1)["image"], 2)[0, :, :, 0].tolist() == [[14, 15], [20, 21]]


def test_shares_of_a_style_and_of_styles(begun):
    """At alpha 0 what the decoder makes of the content's features; one style of two is that one."""
    task, state = begun
    random = np.random.default_rng(0)
    content, *styles = (
        jnp.float32(random.uniform(size=(1, *shape, 3))) for shape in ((9, 14), (12, 8), (8, 8))
    )

    @jax.jit
    @backend.native()
    def painted(weights, alpha):
        chosen = task.stylization.choose(state, task.constants, styles, weights)
        return task.stylization.apply(state, task.constants, chosen, content, alpha)

    found = {
        (share, alpha): painted(jnp.float32([share, 1 - share]), jnp.float32(alpha))
        for share in (0, 1)
        for alpha in (0, 1)
    }
    assert found[0, 0].shape == content.shape and 0 <= found[1, 1].min() <= found[1, 1].max() <= 1
    np.testing.assert_array_equal(found[0, 0], found[1, 0])
    assert np.abs(found[0, 1] - found[1, 1]).max() > 1e-2
    half = painted(jnp.float32([1, 0]), jnp.float32(0.5))
    assert np.abs(half - found[1, 0]).max() > 1e-3 < np.abs(half - found[1, 1]).max()


def test_the_sheet_has_contents_and_styles(begun):
    task, state = begun
    run = runs.build(tiny("adain"))
    batch = {"image": data.examples(run.dataset.train, 8)["image"]} | task.constants
    sheet = np.asarray(jax.jit(task.pictures)(state, batch, None)["stylised"])
    assert sheet.shape == (5, 3, 12, 12, 3) and (sheet[0, 0] == 255).all()
    np.testing.assert_array_equal(sheet[1:, 0], batch["image"][::2, 2:14, 2:14])
    style = images.crop_square(images.load("coffee"), 16)[2:14, 2:14]
    np.testing.assert_array_equal(sheet[0, 2], style)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.channels": 1}, "styles are of coloured pictures: set --config.data.channels=3"),
        ({"crop": 17}, "crop=17 is larger than the pictures, 16x16: set data.size too"),
        ({"style": ""}, "style is not set: give a path"),
        ({"stylize.transform": "wtc"}, "stylize.transform='wtc' is unknown; did you mean 'wct'"),
        ({"variant": "torch"}, "variant='torch' is unknown"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        runs.build(tiny("adain", **changes))


def test_a_trained_run_needs_the_styles_no_more():
    config = tiny("adain", style="")
    dataset = runs.build(tiny("adain")).dataset._replace(train=None)
    assert runs.build(config, dataset).task.constants["styles"].shape == (1, 16, 16, 3)
