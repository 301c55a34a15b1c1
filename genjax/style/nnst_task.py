"""NNST, neural neighbour style transfer (`genjax.style.nnst`), as a task in several stages.

The parameters are the levels of Laplacian pyramids, one for each content, all in the style of all
styles. There is a stage for each scale from coarse to fine, and one more at full size.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax import images, rng
from genjax.cnn import features
from genjax.config import choose
from genjax.devices import jit
from genjax.errors import UserError
from genjax.nn import backend, compute_type
from genjax.style import inputs as style_inputs
from genjax.style import memory, nnst, pyramid, recolouring
from genjax.style.objective import with_places
from genjax.style.task import as_float, grid_and_each
from genjax.style_keys import passes
from genjax.task import Inputs, Task, in_stages

_LEVELS = 8  # of the pyramid at full size
_LARGE = 1024  # px, from which on one level more begins with the content's details


@flax.struct.dataclass
class NNSTState:
    """Everything that a resume needs, for B pictures: each leaf has a leading axis B.

    Attributes:
      levels: pyramids, finest level first, f32[B, h, w, 3] each.
      optimizer: Adam's state of them.
      matched: what each picture is compared with in this pass (`nnst.Loss`).
      unchanged: f32[B], the loss of the content itself, for comparison.
      colours: (f32[B, H, W, 2], f32[B, 2, 3]) for the colour step; None for none.
    """

    levels: list[jax.Array]
    optimizer: Any
    matched: Any
    unchanged: jax.Array
    colours: tuple[jax.Array, jax.Array] | None


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "nnst".

    Raises:
      UserError: a picture, a network or a layer is not available, memory is too small, or the run
        ends before its last pass.
    """
    choose("color", config.color, dict.fromkeys(("content", "style")))
    layers = tuple(config.features.layers)
    if not layers:
        raise UserError("features.layers names one layer at least")
    net = features.load(config.features.name, layers, dtype=compute_type(config.precision))
    with_places(net, layers)
    contents, styles = style_inputs.read(config, inputs.read_picture)
    shapes = tuple(x.shape[1:3] for x in (contents, *styles))
    stages = _passes(config, shapes)
    size = jnp.dtype(compute_type(config.precision)).itemsize
    memory.tile_of("0", "nearest", memory.Needs(net, layers, shapes, len(contents), 2, size))
    describe = nnst.described(net, layers)

    def of_pass(number: int) -> tuple[Task, Callable]:
        halvings, last, _ = stages[number]
        if last:
            loss = nnst.of_layers(describe)
        else:
            loss = nnst.of_hypercolumns(describe, config.content_share if number else 1.0)
        task, carry = _of_pass(config, net, loss, contents, styles, halvings, last)
        side = max(task.constants["contents"].shape[1:3])
        what = "final pass" if last else f"{number + 1} of {len(stages) - 1}"
        return task._replace(notes=task.notes | {"scale": f"{what}: {side} px"}), carry

    return in_stages([stage.until for stage in stages], of_pass)


def _passes(config, shapes):
    """The run's passes (`genjax.style_keys.passes`), of pictures with (height, width) each."""
    if not config.scales.steps:
        raise UserError("scales.steps=() has to have a number: --config.scales.steps=200")
    side = max(shapes[0])
    found = passes(side, **config.scales)
    if min(map(min, shapes)) >> found[0].halvings == 0:
        raise UserError(
            f"a picture is too narrow for the coarsest scale, {side >> found[0].halvings} px on the"
            f" longer side: use --config.scales.smallest={side} for one scale"
        )
    before, last = found[-2:]
    if config.train.steps <= before.until:
        raise UserError(
            f"train.steps={config.train.steps} ends before the final pass, which begins after step"
            f" {before.until}: use --config.train.steps={last.until}, or fewer steps a pass by"
            " --config.scales.steps=…"
        )
    return found


def _of_pass(config, net, loss: nnst.Loss, contents, styles, halvings: int, last: bool):
    """(the task of one pass, its `carry` from the one before: `genjax.task.Stage`)."""
    with backend.native():
        small = jit(jax.vmap(partial(pyramid.halved, times=halvings)))
        pictures, *paintings = (np.asarray(small(as_float(x))) for x in (contents, *styles))
        paintings = [x[0] for x in paintings]
        style = jax.tree.map(np.asarray, jit(loss.style)(net.weights, paintings))
    constants = {"weights": net.weights, "style": style, "contents": pictures}
    if config.color == "content":
        found = [recolouring.of_content(x, paintings) for x in pictures]
        constants["colours"] = tuple(np.stack(x) for x in zip(*found, strict=True))
    depth = pyramid.depth(*pictures.shape[1:3], _LEVELS - halvings)
    empty = 2 if max(contents.shape[1:3]) >= _LARGE else 3  # levels that begin without details
    adam = optax.adam(config.optimizer.learning_rate, eps=config.optimizer.epsilon)
    shown = rng.stream(config.seed, rng.Stream.EVALUATE)  # which places evaluations compare

    def each(function, given):
        """`function` of one picture after the other; of one alone, without a loop."""
        if len(contents) > 1:
            return jax.lax.map(function, given)
        one = function(jax.tree.map(lambda x: x[0], given))
        return jax.tree.map(lambda x: x[None], one)

    def begun(levels, constants) -> NNSTState:
        weights, style = constants["weights"], constants["style"]

        def begin(given):
            content, levels = given
            matched = loss.match(weights, style, content, levels)
            return matched, loss.value(weights, style, matched, content, shown)

        with backend.native():
            matched, unchanged = each(begin, (constants["contents"], levels))
        moments = jax.vmap(adam.init)(levels)
        return NNSTState(levels, moments, matched, unchanged, constants.get("colours"))

    def init(key, constants):
        return begun(
            jax.vmap(lambda x: pyramid.decompose(x, depth))(constants["contents"]), constants
        )

    def carry(before: NNSTState, constants):
        def one(content, levels):
            picture = pyramid.compose(levels)
            if last:
                return pyramid.decompose(picture, depth)
            finest, *_ = pyramid.decompose(content, 1)
            finest = jnp.zeros_like(finest) if halvings < empty else finest
            return [finest, *pyramid.decompose(picture, depth - 1)]

        return begun(jax.vmap(one)(constants["contents"], before.levels), constants)

    def step(state, batch, key, axis_name):
        def one(given):
            levels, moments, matched = given

            def of(levels):
                picture = pyramid.compose(levels)
                return loss.value(batch["weights"], batch["style"], matched, picture, key)

            value, gradient = jax.value_and_grad(of)(levels)
            updates, moments = adam.update(gradient, moments)
            return optax.apply_updates(levels, updates), moments, value, optax.tree.norm(gradient)

        found = each(one, (state.levels, state.optimizer, state.matched))
        levels, moments, value, norm = found
        metrics = {"loss": value.mean(), "grad_norm": norm.mean()}
        metrics["scale"] = jnp.float32(max(pictures.shape[1:3]))
        return state.replace(levels=levels, optimizer=moments), metrics

    @backend.native()
    def evaluate(state, batch, key):
        """The loss of the pictures in this pass, and of the unchanged contents, f32[B] each."""

        def one(given):
            levels, matched = given
            picture = pyramid.compose(levels)
            return loss.value(batch["weights"], batch["style"], matched, picture, shown)

        value = each(one, (state.levels, state.matched))
        return {"style": value, "unchanged_style": state.unchanged}

    def sample(state, key, index):
        """All pictures, u8[B, H, W, 3], whatever `key` and `index`: there are no others to draw."""
        found = jax.vmap(pyramid.compose)(state.levels)
        if state.colours is not None:
            found = jax.vmap(recolouring.recoloured)(found, *state.colours)
        return images.to_uint8(found, low=0)

    task = Task(
        init,
        step,
        len(contents),
        evaluate=evaluate,
        sample=sample,
        state_is_batch=True,
        outputs=lambda state: grid_and_each(sample(state, None, None)),
        constants=constants,
        notes={
            "features": net.name,
            "pictures": f"content: {len(contents)}, style: {len(styles)}",
        },
    )
    return task, carry
