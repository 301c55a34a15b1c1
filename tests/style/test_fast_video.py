"""The network for clips: the loss of a step by hand, and what no gradient goes through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import rng, runs
from genjax.cnn.vgg import IMAGENET_MEAN
from genjax.errors import UserError
from genjax.nn import backend
from genjax.style import known_motion, previous
from genjax.style.transformation import TransformationNetwork
from genjax.video.warp import warp
from tests.tiny import tiny

_B, _SIDE = 8, 16


@pytest.fixture(scope="module")
def begun():
    """(run, its first state, a batch with constants, a key), of the temporal loss alone."""
    weights = {"content_loss.weight": 0.0, "style_loss.weight": 0.0, "video.weight": 50.0}
    run = runs.build(tiny("fast-video", **weights))
    state = runs.first_state(run)
    draw = np.random.default_rng(0)
    # Kernels that paint with some contrast.
    state = state.replace(
        network=jax.tree.map(lambda x: 8 * x if x.ndim == 4 else x, state.network)
    )
    image = draw.integers(0, 256, (_B, _SIDE, _SIDE, 3), np.uint8)
    batch = {
        "image": image,
        "label": np.zeros(_B, np.int32),
        "index": np.arange(_B, dtype=np.int32),
    }
    return run, state, batch | run.task.constants, rng.stream(12, rng.Stream.STEP)


def _by_hand(state, image, key, number):
    """(loss, norm of its gradient, kinds): the first pictures are numbers, and no function."""
    network = TransformationNetwork(2, 2, 1)
    kind, moves = known_motion.drawn(jax.random.fold_in(key, 2**32 - 1), _B, (2, 2, 1), 3)
    pair = known_motion.pairs(image / np.float32(255), kind, moves, 3)
    style = jax.nn.one_hot(number, 2)
    mean = np.broadcast_to(np.float32(IMAGENET_MEAN)[None, None, None], image.shape)
    nothing = np.zeros((_B, _SIDE, _SIDE, 1), np.float32)
    paint = jax.jit(backend.native()(lambda v, x: network.apply(v, x, style)))
    first = paint(state.network, np.concatenate([pair.first, mean, nothing], axis=-1))
    before, mask = [], []
    for i in range(_B):
        warped, inside = warp(first[i], pair.flow[i], IMAGENET_MEAN)
        known = np.asarray(inside) & (kind[i] != 2)
        bad = np.pad(~known, 3)
        worst = [bad[y : y + _SIDE, x : x + _SIDE] for y in range(7) for x in range(7)]
        before.append(warped)
        mask.append(~np.any(worst, axis=0))
    before, mask = np.stack(before), np.float32(mask)[..., None]
    seen = np.concatenate([pair.second, np.where(mask > 0, before, mean), mask], axis=-1)

    def loss(params):
        second = network.apply({"params": params}, seen, style)
        apart = mask * jnp.square(255 * second - 255 * before)
        return 50 * jnp.mean(apart)

    with backend.native():
        value, slopes = jax.jit(jax.value_and_grad(loss))(state.network["params"])
    norm = np.sqrt(sum(np.square(x).sum() for x in jax.tree.leaves(slopes)))
    return value, norm, np.asarray(kind), mask


def test_a_steps_loss_and_gradient_by_hand(begun):
    run, state, batch, key = begun
    with backend.native():
        _, metrics = jax.jit(lambda s, b, k: run.task.step(s, b, k, None))(state, batch, key)
    keys = [jax.random.fold_in(key, i) for i in range(_B)]
    number = np.array([int(2 * float(jax.random.uniform(k, ()))) for k in keys])
    loss, norm, kind, mask = _by_hand(state, batch["image"], key, number)
    assert {*kind} == {0, 1, 2} and 0.2 < mask.mean() < 0.8  # or nothing is shown
    assert loss > 1
    np.testing.assert_allclose(metrics["temporal"], loss, rtol=1e-3)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-3)
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-3)


def test_a_frame_that_follows_none_is_painted_as_a_picture(begun):
    run, state, batch, _ = begun
    stylization, style = run.task.stylization, np.float32([0.25, 0.75])
    image = batch["image"][:2] / np.float32(255)
    flow, trusted = np.zeros((2, _SIDE, _SIDE, 2), np.float32), np.zeros((2, _SIDE, _SIDE))

    @jax.jit
    @backend.native()
    def both(state, alpha):
        before = jnp.full(image.shape, 0.7)
        alone = stylization.apply(state, {}, style, image, alpha)
        return alone, *stylization.follow(state, style, image, alpha, before, flow, trusted)

    alone, found, full = both(state, 0.5)
    np.testing.assert_allclose(alone, found, atol=1e-6)
    np.testing.assert_allclose(found, (image + full) / 2, atol=1e-6)  # what is followed is whole
    assert state.network["params"]["Conv_0"]["kernel"].shape[2] == previous.CHANNELS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video.mix": (0.0, 0.0, 0.0)}, "has to be three shares"),
        ({"video.mix": (1.0, 1.0)}, "has to be three shares"),
        (
            {"video.reach": 9},
            "is more than half of the pictures' 16 px: use --config.video.reach=1",
        ),
    ],
)
def test_what_cannot_be_built(changes, message):
    with pytest.raises(UserError, match=message):
        runs.build(tiny("fast-video", **changes))
