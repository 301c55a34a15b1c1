"""The task of networks that paint in the style of any picture: what AdaIN and others share.

A fixed encoder makes features of a content and of a style, a transform gives the content's features
the style, and a decoder makes the picture of them. Either the decoder is trained or the transform.
Contents are the data set; styles are pictures that the config names, of which each example of a
step has one at random.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax import images, rng
from genjax.config import choose
from genjax.errors import UserError
from genjax.nn import backend, compute_type, updated
from genjax.style import inputs as style_inputs
from genjax.style.encoder import Decoder, Encoder
from genjax.style.painter import Painter
from genjax.style.task import as_float, spaced
from genjax.style.transforms import Transform, mixed
from genjax.stylization import Stylization
from genjax.task import Inputs, Task

_SHOWN = 4  # contents and styles of the sheet, at most


@flax.struct.dataclass
class PaintState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], how many steps came before.
      decoder: Linen variables.
      optimizer: the optax state of what is trained.
      transform: the variables of a transform that has some; else None.
    """

    step: jax.Array
    decoder: Any
    optimizer: Any
    transform: Any = None


class Method(NamedTuple):
    """What one kind of such networks has of its own.

    Attributes:
      transforms: {name: transform}, between which `stylize.transform` chooses when pictures are
        painted; training has the first.
      trained: the field of the state that is trained, "decoder" or "transform".
      losses: `(found, content, style, target) -> {name: f32[B]}`, the weighted losses `content` and
        `style`: features {tap: f[B, h, w, C]} of what was painted, of contents and of styles, and
        the code that was decoded.
      init: `(key) -> ` variables of the transform; None where it has none.
    """

    transforms: Mapping[str, Transform]
    trained: str
    losses: Callable[..., dict[str, jax.Array]]
    init: Callable | None = None


def build(config, inputs: Inputs, encoder: Encoder, method: Method) -> Task:
    """The task of a config whose networks are `encoder`, `method` and a decoder.

    Raises:
      UserError: the data are grey, a picture of the config is not available, a crop is larger than
        the pictures, or there is no such transform.
    """
    shape, code = inputs.dataset.shape, encoder.code
    side = side_of(config, shape)
    chosen = choose("stylize.transform", config.stylize.transform, method.transforms)
    transform = next(iter(method.transforms.values()))
    decoder = Decoder(encoder.mirror, dtype=compute_type(config.precision))
    rate, decay = config.optimizer.learning_rate, config.optimizer.decay
    optimizer = optax.adam(lambda count: rate / (1 + decay * count))

    @backend.native()
    def init(key, constants):
        key_d, key_t = jax.random.split(key)
        drawn = decoder.init(key_d, jnp.zeros((1, 4, 4, encoder.channels)))
        state = PaintState(jnp.int32(0), drawn, None, method.init(key_t) if method.init else None)
        return state.replace(optimizer=optimizer.init(trained(state)))

    def painted(state, weights, contents, styles):
        """The pictures, {tap: features} of contents and of styles, and the code decoded."""
        content = encoder.apply(weights, contents, encoder.taps)
        style = encoder.apply(weights, styles, encoder.taps)
        kept = transform.style(state.transform, style[code])
        target = transform.apply(state.transform, kept, content[code])
        height, width = contents.shape[1:3]
        return decoder.apply(state.decoder, target)[:, :height, :width], content, style, target

    def trained(state):
        return getattr(state, method.trained)["params"]

    def replaced(state, params):
        network = getattr(state, method.trained) | {"params": params}
        return state.replace(**{method.trained: network})

    def step(state, batch, key, axis_name):
        contents, styles = drawn(batch, side, key, axis_name)

        def loss(state):
            pictures, *known = painted(state, batch["weights"], contents, styles)
            found = encoder.apply(batch["weights"], pictures, encoder.taps)
            metrics = jax.tree.map(jnp.mean, method.losses(found, *known))
            total = sum(metrics.values())
            return total, (metrics | {"loss": total}, state)

        return updated(state, loss, optimizer, (trained, replaced), axis_name)

    @backend.native()
    def evaluate(state, batch, key):
        """The losses of held-out contents, each with one of the styles in turn, and as
        `unchanged_…` those of the contents themselves."""
        contents = as_float(middle(batch["image"], side))
        of = batch["index"] % len(batch["styles"])
        styles = as_float(middle(batch["styles"], side))[of]
        pictures, *known = painted(state, batch["weights"], contents, styles)
        found = encoder.apply(batch["weights"], pictures, encoder.taps)
        values = method.losses(found, *known)
        unchanged = method.losses(known[0], *known)
        return values | {f"unchanged_{name}": value for name, value in unchanged.items()}

    @backend.native()
    def pictures(state, batch, key):
        """Held-out contents in the first column, styles in the first row, and what is painted."""
        contents = middle(spaced(batch["image"], _SHOWN), side)
        styles = middle(batch["styles"][:_SHOWN], side)
        columns = [jnp.concatenate([jnp.full_like(contents[:1], 255), contents])]
        for style in styles:
            one = choice(state, batch, [as_float(style)[None]], jnp.ones(1), transform)
            found = paint(state, batch, one, as_float(contents), jnp.float32(1), transform)
            columns.append(jnp.concatenate([style[None], images.to_uint8(found, low=0)]))
        return {"stylised": jnp.stack(columns, axis=1)}

    def choice(state, constants, pictures, weights, by=chosen):
        codes = (encoder.apply(constants["weights"], picture, (code,)) for picture in pictures)
        return mixed([by.style(state.transform, found[code]) for found in codes], weights)

    def paint(state, constants, style, contents, alpha, by=chosen):
        networks = state.decoder, state.transform
        painter = Painter(encoder, decoder, by)
        return painter.paint(networks, constants["weights"], style, contents, alpha)

    styles = _styles(config, inputs, min(shape[:2]))
    return Task(
        init,
        step,
        images_per_step=config.train.batch_size,
        evaluate=evaluate,
        pictures=pictures,
        stylization=Stylization(0, choice, paint),
        constants={"weights": encoder.weights, "styles": styles},
        networks=(method.trained,),
        notes={"features": encoder.name, "styles": f"{len(styles)}"},
    )


def side_of(config, shape: tuple[int, int, int]) -> int:
    """The side of the squares that are cut out of pictures of a shape (H, W, C).

    Raises:
      UserError: the pictures are grey, or smaller.
    """
    if shape[2] != 3:
        raise UserError("styles are of coloured pictures: set --config.data.channels=3")
    side = config.crop or min(shape[:2])
    if side > min(shape[:2]):
        raise UserError(
            f"crop={side} is larger than the pictures, {shape[1]}x{shape[0]}: set data.size too"
        )
    return side


def _styles(config, inputs: Inputs, side: int) -> np.ndarray:
    """u8[S, side, side, 3], squares from the middle of the styles; a black one where nothing trains
    and no data were opened, so that a trained run needs the pictures no more."""
    if inputs.dataset.train is None:
        return np.zeros((1, side, side, 3), np.uint8)
    read = style_inputs.named(config, "style", inputs.read_picture)
    return np.stack([images.crop_square(picture, side) for picture in read])


def drawn(batch: Mapping[str, jax.Array], side: int, key: jax.Array, axis_name: str | None):
    """(contents, styles), f32[B, side, side, 3] in [0, 1]: for each "image" of a batch a square of
    it and one of "styles", all at random, as functions of the key and the example's place."""
    count, styles = len(batch["image"]), batch["styles"]
    uniform = rng.uniform(key, count, (5,), axis_name)
    which = (uniform[:, 0] * len(styles)).astype(jnp.int32)
    return (
        as_float(squares(batch["image"], side, uniform[:, 1:3])),
        as_float(squares(styles[which], side, uniform[:, 3:])),
    )


def squares(pictures, side: int, places):
    """Squares u8[B, side, side, 3] of u8[B, H, W, 3], where `places` f32[B, 2] in [0, 1) say."""
    if pictures.shape[1:3] == (side, side):
        return pictures
    room = jnp.array(pictures.shape[1:3], jnp.float32) - side + 1

    def one(picture, place):
        top, left = jnp.floor(place * room).astype(jnp.int32)
        return jax.lax.dynamic_slice(picture, (top, left, 0), (side, side, 3))

    return jax.vmap(one)(pictures, places)


def middle(pictures, side: int):
    """Squares u8[B, side, side, 3] from the middle of u8[B, H, W, 3]."""
    top, left = ((n - side) // 2 for n in pictures.shape[1:3])
    return pictures[:, top : top + side, left : left + side]
