"""Feed-forward style transfer as a task: a network learns to paint any photograph in its styles.

Johnson, Alahi and Fei-Fei 2016, arXiv:1603.08155: the losses are those of style transfer by
optimisation (`genjax.style.objective`), and what they train is a network instead of one picture.
Of several styles each example of a batch draws one (Dumoulin et al. 2017, arXiv:1610.07629).

With `config.video` the network is one for clips (Ruder, Dosovitskiy and Brox 2018,
arXiv:1708.04538): it sees its own picture of the frame before as well (`genjax.style.previous`),
and learns to go on with that. Frames are made of photographs (`genjax.style.known_motion`). As in
the authors' program, the losses are of the second frame, and the first one's picture is given: no
gradient goes through it.
"""

import os
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax import images, rng
from genjax.config import choose
from genjax.devices import gather_params, jit
from genjax.errors import UserError
from genjax.nn import backend, compute_type, updated
from genjax.style import known_motion, losses, previous
from genjax.style import objective as style_objective
from genjax.style.objective import Style
from genjax.style.sources import names
from genjax.style.task import as_float, spaced
from genjax.style.temporal import LEVELS, temporal_loss
from genjax.style.transformation import KINDS, TransformationNetwork, painted
from genjax.stylization import Stylization
from genjax.task import Inputs, Task

# What pictures show, at most: held-out photographs, and styles of each.
_ROWS, _COLUMNS = 3, 8

# What the key of a step or an evaluation is folded with for the motion of frames: beyond the number
# of any example, whose key it would be.
_MOTION = 2**32 - 1


@flax.struct.dataclass
class FastState:
    """Everything that a resume and stylising need.

    Attributes:
      step: i32[], steps done, without those that `train.on_nonfinite="skip"` undid.
      network: Linen variables.
      optimizer: the optax state.
      style_target: {layer: f32[styles, C, C]}, the styles' Gram matrices, which no step changes.
        They are kept here so that a run goes on without the pictures.
    """

    step: jax.Array
    network: Any
    optimizer: Any
    style_target: Any


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "style_fast".

    Raises:
      UserError: no style is named, a picture, a feature network or a layer is not available, the
        data are grey, or frames would move too far.
    """
    model, shape, video = config.model, inputs.dataset.shape, config.get("video")
    if shape[2] != 3:
        raise UserError("the network takes pictures in colour: set data.channels=3")
    if video:
        _check_motion(video, min(shape[:2]))
    choose("model.kind", model.kind, dict.fromkeys(KINDS))
    net, _ = style_objective.network(config)
    objective = style_objective.make(config, net, _of_each_example(config))
    known = dict(inputs.known)
    pictures = [] if known else read_styles(config, inputs.read_picture, max(shape[:2]))
    known = known or {"styles": [name for name, _ in pictures]}
    styles = len(known["styles"])
    dtype = compute_type(config.precision)
    network = TransformationNetwork(styles, model.width, model.blocks, model.kind, dtype)
    optimizer = optax.adam(config.optimizer.learning_rate)

    @backend.native()
    def init(key, constants):
        channels = previous.CHANNELS if video else 3
        variables = network.init(key, jnp.zeros((1, 8, 8, channels)), jnp.ones((1, styles)))
        one = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
        shapes = jax.eval_shape(objective.style_target, net.weights, [one])
        empty = jax.tree.map(lambda x: jnp.zeros((styles, *x.shape[1:])), shapes)
        return FastState(jnp.int32(0), variables, optimizer.init(variables["params"]), empty)

    def copied():
        """The Gram matrices of the styles, one picture after the other."""
        with backend.native():
            target = jit(objective.style_target)
            each = [target(net.weights, [as_float(x)[None]]) for _, x in pictures]
        return {"style_target": jax.tree.map(lambda *x: np.concatenate(x), *each)}

    def compared(state, weights, content, image, number):
        """The losses, f32[B] each, of images f32[B, H, W, 3] with their contents and styles."""
        target = objective.content_target(weights, content)
        style = {layer: grams[number] for layer, grams in state.style_target.items()}
        return objective.pieces(weights, image, target, style)

    def paint(state, image, number, before=None):
        """f32[B, H, W, 3], the images in the styles i32[B], after a `Previous` of clips."""
        seen = previous.beside(image, before) if video else image
        return painted(network, state.network, seen, jax.nn.one_hot(number, styles))

    def pairs_of(image, key, examples, axis_name=None):
        """The frames that photographs make; `examples` as of `rng.example_keys`."""
        key = jax.random.fold_in(key, _MOTION)
        drawn = known_motion.drawn(key, examples, video.mix, video.reach, axis_name)
        return known_motion.pairs(image, *drawn, video.reach)

    def before_second(state, pair, number):
        """What the network sees of a pair's first frame as it paints the second."""
        given = state.replace(network=jax.lax.stop_gradient(state.network))
        return previous.moved(paint(given, pair.first, number), pair.flow, pair.trusted)

    def temporal(image, before):
        """f32[B]: how far images are from those before, where these can be relied on."""
        apart = temporal_loss(image, before.picture[:, None], before.mask[:, None, ..., 0])
        return video.weight * LEVELS * apart

    def step(state, batch, key, axis_name):
        content = as_float(batch["image"])
        drawn = rng.uniform(key, len(content), (), axis_name)
        number = jnp.minimum((drawn * styles).astype(jnp.int32), styles - 1)
        targets = state.replace(style_target=gather_params(state.style_target))
        pair = pairs_of(content, key, len(content), axis_name) if video else None
        content = pair.second if video else content

        def loss(state):
            before = before_second(state, pair, number) if video else None
            image = paint(state, content, number, before)
            pieces = compared(targets, batch["features"], content, image, number)
            if video:
                pieces["temporal"] = temporal(image, before)
                pieces["total"] += pieces["temporal"]
            metrics = jax.tree.map(jnp.mean, pieces)
            total = metrics.pop("total")
            return total, ({"loss": total} | metrics, state)

        return updated(state, loss, optimizer, (_params, _replace), axis_name)

    @backend.native()
    def evaluate(state, batch, key):
        """The losses of held-out pictures, in one style each in turn, and as `unchanged_…` those of
        the photographs themselves. Of clips, `temporal` is that of second frames, and
        `alone_temporal` what it would be if the network did not see the first ones."""
        content, number = as_float(batch["image"]), batch["index"] % styles

        def of(image):
            return compared(state, batch["features"], content, image, number)

        unchanged = {f"unchanged_{name}": value for name, value in of(content).items()}
        found = of(paint(state, content, number)) | unchanged
        if video:
            pair = pairs_of(content, key, batch["index"])
            before = before_second(state, pair, number)
            for name, seen in (("temporal", before), ("alone_temporal", None)):
                found[name] = temporal(paint(state, pair.second, number, seen), before)
        return found

    @backend.native()
    def pictures_of(state, batch, key):
        """Rows of held-out photographs, each beside itself in every style."""
        photographs, shown = spaced(batch["image"], _ROWS), min(styles, _COLUMNS)
        rows = len(photographs)
        image = jnp.repeat(as_float(photographs), shown, axis=0)
        found = paint(state, image, jnp.tile(jnp.arange(shown), rows))
        found = images.to_uint8(found, low=0).reshape(rows, shown, *shape)
        return {"styles": jnp.concatenate([photographs[:, None], found], axis=1)}

    return Task(
        init,
        step,
        config.train.batch_size,
        evaluate=evaluate,
        pictures=pictures_of,
        stylization=_stylization(network, bool(video)),
        constants={"features": net.weights},
        copied=copied,
        known=known,
        networks=("network",),
        notes={"features": net.name, "styles": ", ".join(known["styles"])},
    )


def read_styles(config, read_picture, side: int) -> list[tuple[str, np.ndarray]]:
    """[(name, u8[h, w, 3]), ...]: the pictures that `config.style` names, `style_scale` times
    `side` px on their longer side.

    Raises:
      UserError: none is named, or one is missing or unreadable.
    """
    found = names(config.style)
    if not found:
        raise UserError(
            "style is not set: give paths or built-in names, --config.style=A.jpg,B.jpg"
        )
    size = max(1, round(side * config.style_scale))
    return [
        (os.path.basename(name), images.fit(picture, size))
        for name in found
        for picture in read_picture(name)
    ]


def _of_each_example(config) -> Style:
    """Mean squared errors of Gram matrices, of each picture with its own style's f32[B, C, C]."""
    norm = config.style_loss.gram
    choose("style_loss.gram", norm, dict.fromkeys(losses.GRAM_NORMS))
    return Style(partial(losses.gram, norm=norm), jnp.concatenate, losses.mean_squared_error)


def _check_motion(video, side: int):
    if not sum(video.mix) > 0 or len(video.mix) != len(known_motion.KINDS):
        raise UserError(
            f"video.mix={tuple(video.mix)} has to be three shares, of shifts, zooms and photographs"
            " alone, not all 0: --config.video.mix=1,1,1"
        )
    if 2 * video.reach > side:
        raise UserError(
            f"video.reach={video.reach} is more than half of the pictures' {side} px: use"
            f" --config.video.reach={max(1, side // 16)}"
        )


def _stylization(network: TransformationNetwork, video: bool) -> Stylization:
    """A style is the shares of all that were learned, f32[styles]."""

    def choose_style(state, constants, pictures, weights):
        return weights

    def paint(state, style, seen):
        condition = jnp.broadcast_to(style[None], (len(seen), network.styles))
        return painted(network, state.network, seen, condition)

    def mixed(image, found, alpha):
        return (1 - alpha) * image + alpha * jnp.clip(found, 0, 1)

    def apply(state, constants, style, image, alpha):
        seen = previous.beside(image) if video else image
        return mixed(image, paint(state, style, seen), alpha)

    def follow(state, style, image, alpha, before, flow, trusted):
        seen = previous.beside(image, previous.moved(before, flow, trusted))
        found = paint(state, style, seen)
        return mixed(image, found, alpha), found

    return Stylization(network.styles, choose_style, apply, follow=follow if video else None)


def _params(state: FastState):
    return state.network["params"]


def _replace(state: FastState, params) -> FastState:
    return state.replace(network=state.network | {"params": params})
