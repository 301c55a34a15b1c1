"""Style transfer by optimisation, as a task whose parameters are the pixels of the pictures.

Being a task, it gets checkpoints, progress, devices and resume from the training loop. A batch is
the run's contents. Each has a stylised picture and an optimiser of its own, and a training step is
one iteration of each optimiser.
"""

import contextlib
from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax import images
from genjax.cnn import features
from genjax.config import choose
from genjax.devices import jit
from genjax.nn import backend, compute_type
from genjax.style import colours
from genjax.style import inputs as style_inputs
from genjax.style import objective as style_objective
from genjax.style.optimizers import OPTIMIZERS, Iterate
from genjax.task import Inputs, Task

as_float = partial(images.to_float, low=0)  # pictures here are in [0, 1]


@flax.struct.dataclass
class StyleState:
    """Everything that a resume needs, for B pictures: each leaf has a leading axis B.

    Attributes:
      at: the pictures and the states of their optimisers.
      content_target: {layer: f32[B, h, w, C]}.
      unchanged: {name: f32[B]}, the losses of the unchanged content images, for comparison.
      coloured: u8[B, H, W, 3], the contents, where their colours come back; else None.
    """

    at: Iterate
    content_target: dict[str, jax.Array]
    unchanged: dict[str, jax.Array]
    coloured: jax.Array | None = None


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "style".

    Raises:
      UserError: a picture, a network or a layer is not available (`inputs.load`, `features.load`).
    """
    optimizer = choose("optimizer.name", config.optimizer.name, OPTIMIZERS)(config.optimizer)
    layers = dict.fromkeys([*config.content_loss.layers, *config.style_loss.layers])
    net = features.load(
        config.features.name,
        layers,
        config.features.pool,
        compute_type(config.precision),
        config.features.input,
        config.features.border,
    )
    objective = style_objective.make(config, net)
    pictures = style_inputs.load(config, inputs.read_picture)
    styles = [as_float(jnp.asarray(style)) for style in pictures.styles]
    # Programs that run once or seldom use native operations, which compile in a tenth of the time.
    # Training steps use the replacements, which run faster.
    with backend.native():
        style_target = jit(objective.style_target)(net.weights, styles)
    alone = len(pictures.contents) == 1
    space = colours.SPACES.get(config.color)  # None where the picture's own colours stay
    constants = {
        "weights": net.weights,
        "style_target": jax.tree.map(np.asarray, style_target),
        "contents": pictures.contents,
        "start": pictures.start,
    }
    if space:
        constants["coloured"] = pictures.coloured

    def each(step, state: Iterate, content_target, constants):
        """Applies `step(objective, state)` to every picture, one after the other.

        Not with `vmap`: it would compute both branches of each condition in the line search, at
        twice the cost, and make every picture wait for the slowest.
        """

        def one(arguments):
            state, target = arguments
            target = jax.tree.map(lambda x: x[None], target)

            def total(image):
                pieces = objective.pieces(
                    constants["weights"], image[None], target, constants["style_target"]
                )
                return pieces["total"][0]

            return step(total, state)

        given = state, content_target
        if alone:  # no loop, inside which XLA's CPU backend is slow with native convolutions
            return jax.tree.map(lambda x: x[None], one(jax.tree.map(lambda x: x[0], given)))
        return jax.lax.map(one, given)

    def init(key, constants):
        def as_given(content):
            content = content[None]
            target = objective.content_target(constants["weights"], content)
            pieces = objective.pieces(
                constants["weights"], content, target, constants["style_target"]
            )
            return jax.tree.map(lambda x: x[0], (target, pieces))

        with backend.native():
            # One by one, so that rounding does not depend on how many pictures share a device.
            target, unchanged = jax.lax.map(as_given, as_float(constants["contents"]))
        with backend.native() if alone else contextlib.nullcontext():
            at = each(optimizer.init, constants["start"], target, constants)
        return StyleState(at, target, unchanged, constants.get("coloured"))

    def step(state, batch, key, axis_name):
        at = each(optimizer.step, state.at, state.content_target, batch)
        metrics = {
            "loss": at.value,
            "grad_norm": jax.vmap(optax.tree.norm)(at.gradient),
            "evaluations": at.evaluations.astype(jnp.float32),
            "line_search_failures": at.failures.astype(jnp.float32),
        }
        return state.replace(at=at), jax.tree.map(jnp.mean, metrics)

    @backend.native()
    def evaluate(state, batch, key):
        """The losses of the pictures, and as `unchanged_…` those of the unchanged contents."""
        pieces = objective.pieces(
            batch["weights"], state.at.shown, state.content_target, batch["style_target"]
        )
        return pieces | {f"unchanged_{name}": value for name, value in state.unchanged.items()}

    def sample(state, key, index):
        """All pictures, u8[B, H, W, 3], whatever `key` and `index`: there are no others to draw."""
        picture = state.at.shown
        if space:
            coloured = as_float(state.coloured)
            picture = colours.with_colours_of(space, picture, coloured)
        return images.to_uint8(picture, low=0)

    def outputs(state):
        return grid_and_each(sample(state, None, None))

    def remarks(state):
        """Which pictures were at their minimum, to rounding, before the last step."""
        ended = np.flatnonzero(state.at.ended) + 1
        which = "" if alone else f" {', '.join(map(str, ended))}"
        line = f"picture{which}: two searches in a row found no better one, so it was left there"
        return [line] if len(ended) else []

    return Task(
        init,
        step,
        len(pictures.contents),
        evaluate=evaluate,
        sample=sample,
        outputs=outputs,
        state_is_batch=True,
        constants=constants,
        notes={
            "features": net.name,
            "pictures": f"content: {len(pictures.contents)}, style: {len(pictures.styles)}",
        },
        remarks=remarks,
    )


def grid_and_each(pictures) -> dict[str, np.ndarray]:
    """{`result.png`: the picture}; of several u8[B, H, W, 3], their grid, and `result_1.png`, …"""
    results = np.asarray(pictures)
    single = {f"result_{i}.png": result for i, result in enumerate(results, 1)}
    return {"result.png": images.grid(results)} | (single if len(results) > 1 else {})
