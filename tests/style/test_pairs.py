"""Grids: every content in every style, in one run, as runs of their own would have it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import images, rng, runs
from genjax.errors import UserError
from genjax.style import neighbours, pairs
from tests.tiny import tiny


def test_the_sheet_by_hand():
    """Contents of 2 x 4 px down, a wide and a tall style across, and white beside these."""
    results = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((2, 4, 3), np.uint8)
    contents = [np.full((2, 4, 3), 100 + i, np.uint8) for i in range(3)]
    styles = [np.full((4, 8, 3), 200, np.uint8), np.full((2, 1, 3), 210, np.uint8)]
    found = pairs.outputs(results, contents, styles)
    names = {f"result_{c}_{s}.png" for c in (1, 2, 3) for s in (1, 2)}
    assert found.keys() == {"result.png"} | names
    assert (found["result_2_1.png"] == 2).all() and found["result_3_2.png"].shape == (2, 4, 3)
    rows = [2, 6, 10, 14]  # two pixels of white around each
    cells = [[found["result.png"][y : y + 2, x : x + 4, 0] for x in (2, 8, 14)] for y in rows]
    expected = [[255, 200, None], [100, 0, 1], [101, 2, 3], [102, 4, 5]]
    for row, values in zip(cells, expected, strict=True):
        for cell, value in zip(row, values, strict=True):
            assert value is None or (cell == value).all()
    np.testing.assert_array_equal(cells[0][2], [[255, 210, 255, 255]] * 2)


def test_rows_that_are_repeated_are_no_neighbours_of_their_own():
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(1, 9, 4)), jnp.float32)
    styles = [jnp.asarray(random.normal(size=(1, n, 4)), jnp.float32) for n in (5, 8)]
    targets = [neighbours.target([style]) for style in styles]
    both = pairs.stacked(targets)
    assert both.features.shape == (2, 8, 4)
    for i, target in enumerate(targets):
        chosen = jax.tree.map(jnp.asarray, pairs.chosen(both, i))
        np.testing.assert_array_equal(neighbours.nearest(x, chosen), neighbours.nearest(x, target))


TWO = {"content": "coffee,astronaut", "style": "astronaut,cat", "content_fit": "crop"}


@pytest.mark.parametrize("kind", ["gram", "wasserstein", "nearest"])
def test_each_pair_has_the_losses_of_a_run_of_its_own(kind):
    preset = "style-wasserstein" if kind == "wasserstein" else "style-adam"

    def losses(**changes):
        changes = {"init": "content", "style_loss.kind": kind, "scales.smallest": 0} | changes
        task = runs.build(tiny(preset, **changes)).task
        state = jax.jit(task.init)(rng.stream(0, rng.Stream.INIT), task.constants)
        evaluated = jax.jit(task.evaluate)(state, task.constants, None)
        return task, state, evaluated

    task, state, found = losses(**TWO, pairs="each")
    assert task.images_per_step == 4 and task.notes["pictures"].endswith("2, each in each")
    np.testing.assert_array_equal(state.style, [0, 1, 0, 1])
    _, by_itself, alone = losses(**TWO | {"style": "cat"})
    for name in ("style", "content", "total", "unchanged_total"):
        np.testing.assert_allclose(found[name][1::2], alone[name], rtol=1e-4)
    gradient = np.asarray(by_itself.at.gradient)
    np.testing.assert_allclose(
        state.at.gradient[1::2], gradient, rtol=1e-3, atol=1e-4 * np.abs(gradient).max()
    )
    names = {"result.png", *(f"result_{c}_{s}.png" for c in (1, 2) for s in (1, 2))}
    sheets = task.outputs(jax.tree.map(np.asarray, state))
    assert sheets.keys() == names
    shape = images.fit(images.load("coffee"), 16).shape
    assert sheets["result_1_2.png"].shape == shape
    assert sheets["result.png"].shape == (3 * (shape[0] + 2) + 2, 3 * (shape[1] + 2) + 2, 3)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"pairs": "all"}, "pairs='all' is unknown"),
        ({"pairs": "each", "style_weights": (1.0, 2.0)}, "paints each by itself"),
    ],
)
def test_what_cannot_be(changes, message):
    with pytest.raises(UserError, match=message):
        runs.build(tiny("style-adam", **TWO, **changes))
