"""Transfer of stains (`genjax.style.stains`) as a task of one step, which does all of it.

So it has the command, the pictures, the workdir and the devices of style transfer.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from genjax import images
from genjax.config import choose
from genjax.style import inputs as style_inputs
from genjax.style import stains
from genjax.style.task import as_float, grid_and_each
from genjax.task import Inputs, Task


@flax.struct.dataclass
class StainState:
    """B pictures and how their colours change: each leaf has a leading axis B.

    Attributes:
      image: f32[B, H, W, 3] in [0, 1], the result; before the step, the content.
      content: u8[B, H, W, 3].
      matrix, offset: f32[B, 3, 3] and f32[B, 3], of `stains.Change`.
    """

    image: jax.Array
    content: jax.Array
    matrix: jax.Array
    offset: jax.Array


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "stain".

    Raises:
      UserError: a picture is not available, or the method finds no stains in it.
    """
    method = choose("method", config.method, stains.METHODS)
    contents, styles = style_inputs.read(config, inputs.read_picture)
    changes = [stains.change(method, x / 255, [s / 255 for s in styles]) for x in contents]
    pixels = np.concatenate([style.reshape(-1, 3) for style in styles]) / 255
    constants = {
        "content": contents,
        "matrix": np.stack([x.matrix for x in changes]).astype(np.float32),
        "offset": np.stack([x.offset for x in changes]).astype(np.float32),
        "style": np.stack([pixels.mean(axis=0), pixels.std(axis=0)]).astype(np.float32),
    }

    def init(key, constants):
        content = constants["content"]
        return StainState(as_float(content), content, constants["matrix"], constants["offset"])

    def step(state, batch, key, axis_name):
        image = jax.vmap(lambda *x: stains.changed(method.space, *x))(
            as_float(state.content), state.matrix, state.offset
        )
        moved = jnp.mean(jnp.abs(image - as_float(state.content)))
        return state.replace(image=image), {"moved": moved}

    def evaluate(state, batch, key):
        """How far the colours are from the styles': squared, of means and deviations, f32[B]."""

        def distance(image):
            moments = jnp.stack([image.mean(axis=(1, 2)), image.std(axis=(1, 2))], axis=1)
            return jnp.square(moments - batch["style"][None]).sum(axis=(1, 2))

        unchanged = distance(as_float(state.content))
        return {"colours": distance(state.image), "unchanged_colours": unchanged}

    def sample(state, key, index):
        """All pictures, u8[B, H, W, 3], whatever `key` and `index`: there are no others to draw."""
        return images.to_uint8(state.image, low=0)

    return Task(
        init,
        step,
        len(contents),
        evaluate=evaluate,
        sample=sample,
        outputs=lambda state: grid_and_each(sample(state, None, None)),
        state_is_batch=True,
        constants=constants,
        notes={"pictures": f"content: {len(contents)}, style: {len(styles)}"},
    )
