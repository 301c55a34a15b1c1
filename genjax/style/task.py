"""Style transfer by optimisation, as a task whose parameters are the pixels of the pictures.

Being a task, it gets checkpoints, progress, devices and resume from the training loop. A batch is
the run's contents. Each has a stylised picture and an optimiser of its own, and a training step is
one iteration of each optimiser.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from genjax import images
from genjax.config import choose
from genjax.devices import jit, processes, shared
from genjax.errors import UserError
from genjax.nn import backend, compute_type
from genjax.style import colours, memory, optimizers, pairs, tiles
from genjax.style import inputs as style_inputs
from genjax.style import masks as style_masks
from genjax.style import objective as style_objective
from genjax.style import scales as style_scales
from genjax.style.optimizers import OPTIMIZERS, Iterate
from genjax.task import Inputs, Task, in_stages

as_float = partial(images.to_float, low=0)  # pictures here are in [0, 1]


def spaced(pictures, n: int):
    """At most `n` of pictures [B, ...], evenly spaced, for a sheet: where fewer are held out than a
    batch has, its neighbours are one and the same."""
    return pictures[:: max(1, len(pictures) // n)][:n]


@flax.struct.dataclass
class StyleState:
    """Everything that a resume needs, for B pictures: each leaf has a leading axis B.

    Attributes:
      at: the pictures and the states of their optimisers.
      content_target: {layer: f32[B, h, w, C]}.
      unchanged: {name: f32[B]}, the losses of the unchanged content images, for comparison.
      coloured: u8[B, H, W, 3], the contents, where their colours come back; else None.
      style: i32[B], which style each picture has; None where all have all of them.
      masks: {layer: f32[B, h, w, styles]}, how much each place counts for a style
        (`genjax.style.masks`); None where there are none.
    """

    at: Iterate
    content_target: dict[str, jax.Array]
    unchanged: dict[str, jax.Array]
    coloured: jax.Array | None = None
    style: jax.Array | None = None
    masks: dict[str, jax.Array] | None = None


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "style".

    Raises:
      UserError: a picture, a network or a layer is not available (`inputs.load`, `features.load`).
    """
    optimizer = choose("optimizer.name", config.optimizer.name, OPTIMIZERS)(config.optimizer)
    stages = style_scales.of(config, inputs.read_picture)
    net, layers = style_objective.network(config)
    style_objective.make(config, net)  # before pictures are read
    if config.normalize_gradients and config.optimizer.name == "lbfgs":
        raise UserError(
            "normalize_gradients=True follows no gradient of a loss, which the line search of"
            " 'lbfgs' needs: use --config.optimizer.name=adam"
        )
    shares = None  # of a single stage, as its tile says
    if len(stages) > 1:  # what a later one lacks has to be known before the first one begins
        shares = False  # all stages have the same devices
        for at in stages:
            if at.is_last_scale:
                pictures = style_inputs.load(config, inputs.read_picture, at.side, at.content)
                shares |= _tiling(config, net, layers, pictures).is_shared

    def of_stage(number: int) -> tuple[Task, Callable]:
        at = stages[number]
        pictures = style_inputs.load(config, inputs.read_picture, at.side, at.content)
        tiling = _tiling(config, net, layers, pictures, shares)
        guides = style_masks.load(config, inputs.read_picture, pictures)
        return _of_pictures(config, pictures, guides, net, tiling, optimizer)

    def of_several(number: int) -> tuple[Task, Callable]:
        """One of several stages, which says at which content and scale it is."""
        task, carry = of_stage(number)
        at, before = stages[number], stages[number - 1]
        side = max(task.constants["contents"].shape[1:3])
        contents = style_scales.contents_of(stages)
        about, notes, outputs = {}, dict(task.notes), task.outputs
        if len(stages) > contents:
            about["scale"] = side
            notes["scale"] = f"{at.scale + 1} of {at.scales}: {side} px"
        if at.content is not None:
            about["picture"] = at.content + 1
            notes["content"] = f"{at.content + 1} of {contents}"

            def outputs(state):
                (picture,) = np.asarray(task.sample(state, None, None))
                return {f"result_{at.content + 1}.png": picture, "result.png": picture}

        if before.content != at.content:

            def carry(state, constants):  # a content begins without what another one left
                return task.init(None, constants)

        def step(*arguments):
            state, metrics = task.step(*arguments)
            return state, metrics | {name: jnp.float32(value) for name, value in about.items()}

        return task._replace(step=step, outputs=outputs, notes=notes), carry

    if len(stages) == 1:
        task, _ = of_stage(0)
        return task
    return in_stages([stage.until for stage in stages], of_several)


def _of_pictures(config, pictures: style_inputs.Pictures, guides, net, tiling, optimizer):
    """(the task of pictures of one size, its `carry` from another size: `genjax.task.Stage`)."""
    tile, is_shared = tiling.tile, tiling.is_shared
    objective = style_objective.make(
        config, net, tile=tile, is_shared=is_shared, normalize=config.normalize_gradients
    )
    styles = [as_float(jnp.asarray(style)) for style in pictures.styles]
    of_styles = None
    if guides:
        of_styles = [style_masks.at_layers(net, config.style_loss.layers, x) for x in guides.styles]
    # Programs that run once or seldom use native operations, which compile in a tenth of the time.
    # Training steps use the replacements, which run faster.
    with backend.native():
        target_of = jit(objective.style_target)
        if pictures.style is None:
            style_target = target_of(net.weights, styles, of_styles)
        else:
            style_target = pairs.stacked([target_of(net.weights, [style]) for style in styles])
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
    if pictures.style is not None:
        constants["style"] = pictures.style
    if guides:
        layers = config.style_loss.layers
        constants["masks"] = style_masks.at_layers(net, layers, guides.contents)

    def pieces_of(picture, content_target, style, masks, constants):
        """The losses f32[] of one picture f32[H, W, 3]."""
        content_target, masks = jax.tree.map(lambda x: x[None], (content_target, masks))
        style_target = pairs.chosen(constants["style_target"], style)
        pieces = objective.pieces(
            constants["weights"], picture[None], content_target, style_target, masks
        )
        return {name: value[0] for name, value in pieces.items()}

    def each(step, state: Iterate, target, constants):
        """Applies `step(objective, state)` to every picture, one after the other.

        Not with `vmap`: it would compute both branches of each condition in the line search, at
        twice the cost, and make every picture wait for the slowest.
        """

        def one(arguments):
            state, target = arguments
            return step(lambda image: pieces_of(image, *target, constants)["total"], state)

        given = state, target
        if alone:  # no loop, inside which XLA's CPU backend is slow with native convolutions
            return jax.tree.map(lambda x: x[None], one(jax.tree.map(lambda x: x[0], given)))
        return jax.lax.map(one, given)

    def begun(begin, given, constants) -> StyleState:
        """The state whose pictures and optimisers `begin(objective, given)` makes."""
        style, masks = constants.get("style"), constants.get("masks")

        def as_given(given):
            content, style, masks = given
            target = objective.content_target(constants["weights"], content[None])
            target = jax.tree.map(lambda x: x[0], target)
            return target, pieces_of(content, target, style, masks, constants)

        with backend.native():
            # One by one, so that rounding does not depend on how many pictures share a device.
            contents = as_float(constants["contents"])
            target, unchanged = jax.lax.map(as_given, (contents, style, masks))
        with backend.native() if alone and not tile else contextlib.nullcontext():
            at = each(begin, given, (target, style, masks), constants)
        return StyleState(at, target, unchanged, constants.get("coloured"), style, masks)

    def init(key, constants):
        return begun(optimizer.init, constants["start"], constants)

    def carry(before: StyleState, constants):
        height, width = constants["contents"].shape[1:3]
        begin = partial(optimizer.carry, height=height, width=width)
        return begun(begin, before.at, constants)

    def target_of_each(state):
        return state.content_target, state.style, state.masks

    def step(state, batch, key, axis_name):
        at = each(optimizer.step, state.at, target_of_each(state), batch)
        metrics = jax.vmap(optimizers.metrics)(at)
        return state.replace(at=at), jax.tree.map(jnp.mean, metrics)

    @backend.native()
    def evaluate(state, batch, key):
        """The losses of the pictures, and as `unchanged_…` those of the unchanged contents."""
        given = state.at.shown, *target_of_each(state)
        if tile:  # one by one, for their memory
            pieces = jax.lax.map(lambda given: pieces_of(*given, batch), given)
        else:
            pieces = jax.vmap(lambda *given: pieces_of(*given, batch))(*given)
        return pieces | {f"unchanged_{name}": value for name, value in state.unchanged.items()}

    def sample(state, key, index):
        """All pictures, u8[B, H, W, 3], whatever `key` and `index`: there are no others to draw."""
        picture = state.at.shown
        if space:
            coloured = as_float(state.coloured)
            picture = colours.with_colours_of(space, picture, coloured)
        return images.to_uint8(picture, low=0)

    def outputs(state):
        results = sample(state, None, None)
        if pictures.style is None:
            return grid_and_each(results)
        contents = pictures.coloured[:: len(styles)]
        return pairs.outputs(np.asarray(results), contents, [x[0] for x in pictures.painted])

    def remarks(state):
        """Which pictures were at their minimum, to rounding, before the last step."""
        ended = np.flatnonzero(state.at.ended) + 1
        which = "" if alone else f" {', '.join(map(str, ended))}"
        line = f"picture{which}: two searches in a row found no better one, so it was left there"
        return [line] if len(ended) else []

    task = Task(
        init,
        step,
        len(pictures.contents),
        evaluate=evaluate,
        sample=sample,
        outputs=outputs,
        state_is_batch=True,
        shared=is_shared,
        constants=constants,
        notes={"features": net.name, "pictures": _counted(pictures)}
        | ({"tile": str(tiling)} if tile else {}),
        remarks=remarks,
    )
    return task, carry


class _Tiling(NamedTuple):
    """How pictures are computed.

    Attributes:
      tile: px of the sides of tiles; 0 for pictures as a whole.
      tiles: how many a content has.
      is_shared: whether all devices share them out, or at another scale or content of the run.
    """

    tile: int
    tiles: int
    is_shared: bool

    def __str__(self) -> str:
        among = f", {self.tiles} of them over {shared.devices()} devices" if self.is_shared else ""
        return f"{self.tile} px{among}"


def _tiling(config, net, layers, pictures: style_inputs.Pictures, shares=None) -> _Tiling:
    """The tiles that a config asks for, as `memory.tile_of`.

    Args:
      shares: whether the run's devices share out tiles; None if these tiles decide that.
    """
    possible = shared.possible(config.parallel, len(pictures.contents))
    copies = shared.in_one_memory() if possible else 1
    kept = 2 * config.optimizer.memory if config.optimizer.name == "lbfgs" else 2
    needs = memory.Needs(
        net,
        tuple(layers),
        tuple(x.shape[1:3] for x in (pictures.contents, *pictures.styles)),
        len(pictures.contents),
        kept,
        jnp.dtype(compute_type(config.precision)).itemsize,
        whole=copies if shares else 1,
        tiled=1 if shares is False else copies,
    )
    tile = memory.tile_of(config.tile, config.style_loss.kind, needs)
    if tile and config.normalize_gradients:
        raise UserError(
            "normalize_gradients=True needs a layer's gradient in all the picture, which no tile"
            f" has: a smaller --config.size, or no tiles ({tile} px) by --config.tile=0"
        )
    if processes.count() > 1:  # of which one may have less memory than another
        processes.check_same({"tile": tile})
    count = tiles.count(needs.shapes[0], tile, needs.fields) if tile else 1
    return _Tiling(tile, count, bool(tile and possible) if shares is None else shares)


def _counted(pictures: style_inputs.Pictures) -> str:
    styles = len(pictures.styles)
    if pictures.style is None:
        return f"content: {len(pictures.contents)}, style: {styles}"
    return f"content: {len(pictures.contents) // styles}, style: {styles}, each in each"


def grid_and_each(pictures) -> dict[str, np.ndarray]:
    """{`result.png`: the picture}; of several u8[B, H, W, 3], their grid, and `result_1.png`, …"""
    results = np.asarray(pictures)
    single = {f"result_{i}.png": result for i, result in enumerate(results, 1)}
    return {"result.png": images.grid(results)} | (single if len(results) > 1 else {})
