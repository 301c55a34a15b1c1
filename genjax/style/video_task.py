"""Style transfer of a clip, frame after frame, as a task whose parameters are a frame's pixels.

Ruder, Dosovitskiy and Brox 2016, arXiv:1604.08610: each frame starts from the one before it, moved
as the clip moves, and is held to earlier ones where that motion can be relied on
(`genjax.style.temporal`). Frames have one shape, so one compiled program serves the clip: a step is
an iteration of the frame under way, and where its last one is done, the next step begins the next
frame.
"""

import hashlib
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from genjax import images
from genjax.cnn.vgg import IMAGENET_MEAN
from genjax.config import choose
from genjax.devices import jit
from genjax.errors import UserError
from genjax.metrics.flicker import unexplained
from genjax.nn import backend
from genjax.style import colours, frames, optimizers
from genjax.style import inputs as style_inputs
from genjax.style import objective as style_objective
from genjax.style.optimizers import OPTIMIZERS, Iterate
from genjax.style.task import as_float
from genjax.style.temporal import LEVELS, temporal_loss
from genjax.task import Inputs, Task
from genjax.video import clips, reliability
from genjax.video.warp import warp

# Where a frame starts: `(the one before, moved, f32[H, W, 3]; its content f32[H, W, 3]; how far the
# motion can be relied on f32[H, W, 1]) -> f32[H, W, 3]`.
STARTS = {
    "warped": lambda warped, content, trusted: warped,
    "filled": lambda warped, content, trusted: content + trusted * (warped - content),
    "content": lambda warped, content, trusted: content,
}


class Schedule(NamedTuple):
    """How many steps the first frame has, and how many each further one."""

    first: int
    further: int

    def finished(self, steps):
        """How many frames are finished after so many steps; i32 of the shape of `steps`."""
        return jnp.maximum((steps - self.first) // self.further + 1, 0)

    def begins(self, steps):
        """bool, whether the step after so many is the first one of a frame but the first."""
        return (steps >= self.first) & ((steps - self.first) % self.further == 0)

    def total(self, count: int) -> int:
        """How many steps so many frames take."""
        return self.first + (count - 1) * self.further


@flax.struct.dataclass
class VideoState:
    """Everything that a resume needs, for a clip of T frames: each leaf has a leading axis of 1.

    Attributes:
      at: the picture of the frame under way, and the state of its optimiser.
      steps: i32[1], how many were done in all, which says what frame is under way (`Schedule`).
      content_target: {layer: f32[1, h, w, C]}, of that frame.
      painted: f32[1, T, H, W, 3] in [0, 1]: the finished frames, and the contents of all others.
      flows, trusted: f16[1, J, T, H, W, 2] and f16[1, J, T, H, W]: how each frame follows from the
        one `video.back[j]` before it (`reliability.Motion`); zeros for the first frames. The flow
        of a clip takes longer to find than to read, so it is here.
      coloured: u8[1, T, H, W, 3], the clip, where its colours come back; else None.
    """

    at: Iterate
    steps: jax.Array
    content_target: dict[str, jax.Array]
    painted: jax.Array
    flows: jax.Array
    trusted: jax.Array
    coloured: jax.Array | None = None


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "style_video".

    Raises:
      UserError: the clip, a picture, a network or a layer is not available, a number does not fit
        the clip, or the clip is another one than the run began with.
    """
    options = config.video
    optimizer = choose("optimizer.name", config.optimizer.name, OPTIMIZERS)(config.optimizer)
    begin_with = choose("video.start", options.start, STARTS)
    net, _ = style_objective.network(config)
    objective = style_objective.make(config, net)
    space = colours.SPACES.get(config.color)  # None where the picture's own colours stay
    schedule, back = Schedule(*_two(options.steps)), _rising(options.back)

    clip = frames.read(config.content, inputs.read_picture, config.size)
    cut = clip.frames[: options.frames or None]
    count, side = len(cut), max(cut.shape[1:3])
    _check_steps(config, schedule, count)
    known = {"clip": hashlib.sha256(cut).hexdigest()[:16]}
    if inputs.known not in ({}, known):
        raise UserError(
            f"content={config.content} is another clip than this run began with: take another"
            " --workdir, or bring the old one back"
        )
    styles = [
        images.fit(picture, style_inputs.style_side(config, side))[None]
        for picture in style_inputs.named(config, "style", inputs.read_picture)
    ]
    contents, styles = colours.prepared(config.color, cut, styles)
    with backend.native():
        style_target = jit(objective.style_target)(
            net.weights, [as_float(jnp.asarray(style)) for style in styles]
        )
    constants = {
        "weights": net.weights,
        "style_target": jax.tree.map(np.asarray, style_target),
        "contents": contents,
        "start": style_inputs.start(config, contents[:1], inputs.read_picture),
    }
    if space:
        constants["coloured"] = cut[None]

    def earlier(state: VideoState, painted, frame) -> jax.Array:
        """f32[J, H, W, 3], `painted`'s frames before a frame, moved to where it has them."""
        moved = []
        for number, distance in enumerate(back):
            before = painted[jnp.maximum(frame - distance, 0)]
            flow = state.flows[0, number, frame].astype(jnp.float32)
            moved.append(warp(before, flow, IMAGENET_MEAN)[0])
        return jnp.stack(moved)

    def losses(state, picture, target, warped, frame, constants):
        """{name: f32[]} of a picture f32[H, W, 3] of a frame."""
        pieces = objective.pieces(
            constants["weights"], picture[None], target, constants["style_target"]
        )
        trusted = state.trusted[:, :, frame].astype(jnp.float32)
        temporal = temporal_loss(picture[None], warped[None], trusted)
        pieces["temporal"] = options.weight * LEVELS * temporal
        pieces["total"] += pieces["temporal"]
        return {name: value[0] for name, value in pieces.items()}

    def content_target(constants, frame):
        return objective.content_target(
            constants["weights"], as_float(constants["contents"][frame])[None]
        )

    @backend.native()
    def init(key, constants):
        count, height, width, _ = constants["contents"].shape
        shape = (1, len(back), count, height, width)
        state = VideoState(
            at=None,
            steps=jnp.zeros(1, jnp.int32),
            content_target=content_target(constants, 0),
            painted=as_float(constants["contents"])[None],
            flows=jnp.zeros((*shape, 2), jnp.float16),
            trusted=jnp.zeros(shape, jnp.float16),
            coloured=constants.get("coloured"),
        )

        def total(image):
            nothing = jnp.zeros((len(back), height, width, 3))  # which no pixel is held to
            return losses(state, image, state.content_target, nothing, 0, constants)["total"]

        at = optimizer.init(total, constants["start"][0])
        return state.replace(at=jax.tree.map(lambda x: x[None], at))

    def copied():
        """The clip's motion, f16: to a hundredth of a pixel, in flows of up to 20."""
        shape = (len(back), *cut.shape[:3])
        flows, trusted = np.zeros((*shape, 2), np.float16), np.zeros(shape, np.float32)
        for number, distance in enumerate(back):
            if distance < count:
                flows[number, distance:], trusted[number, distance:] = reliability.motion(
                    cut, distance
                )
        trusted = reliability.long_term(trusted).astype(np.float16)
        return {"flows": flows[None], "trusted": trusted[None]}

    def step(state, batch, key, axis_name):
        steps = state.steps[0]
        frame = schedule.finished(steps)
        at = jax.tree.map(lambda x: x[0], state.at)

        def total(image, target, warped):
            return losses(state, image, target, warped, frame, batch)["total"]

        def begin_frame():
            painted = state.painted[0].at[frame - 1].set(jnp.clip(at.shown, 0.0, 1.0))
            target, warped = content_target(batch, frame), earlier(state, painted, frame)
            content = as_float(batch["contents"][frame])
            trusted = state.trusted[0, 0, frame, :, :, None].astype(jnp.float32)
            start = begin_with(warped[0], content, trusted)
            begun = optimizer.init(lambda image: total(image, target, warped), start)
            return begun, target, painted

        at, target, painted = jax.lax.cond(
            schedule.begins(steps),
            begin_frame,
            lambda: (at, state.content_target, state.painted[0]),
        )
        warped = earlier(state, painted, frame)
        at = optimizer.step(lambda image: total(image, target, warped), at)
        return state.replace(
            at=jax.tree.map(lambda x: x[None], at),
            steps=state.steps + 1,
            content_target=target,
            painted=painted[None],
        ), optimizers.metrics(at)

    def so_far(state) -> jax.Array:
        """f32[T, H, W, 3]: `painted` with the frame under way in its place."""
        under_way = schedule.finished(state.steps[0] - 1)
        return (
            jnp.asarray(state.painted[0]).at[under_way].set(jnp.clip(state.at.shown[0], 0.0, 1.0))
        )

    @backend.native()
    def evaluate(state, batch, key):
        """The losses of the frame under way, and the flicker of those that are finished.

        `flicker` is the root of its mean square (`genjax.metrics.flicker`), and `unchanged_flicker`
        that of the same frames of the clip; 0 before there are two.
        """
        frame, finished = (schedule.finished(state.steps[0] - n) for n in (1, 0))
        warped = earlier(state, state.painted[0], frame)
        pieces = losses(state, state.at.shown[0], state.content_target, warped, frame, batch)
        counts = jnp.arange(1, count) < finished

        def flicker(clip):
            motion = state.flows[0, 0, 1:], state.trusted[0, 0, 1:]
            squares = jax.lax.map(lambda x: unexplained(*x), (clip[:-1], clip[1:], *motion))
            return jnp.sqrt(jnp.sum(squares * counts) / jnp.maximum(counts.sum(), 1))

        pieces["flicker"] = flicker(so_far(state))
        pieces["unchanged_flicker"] = flicker(as_float(batch["contents"]))
        return {name: value[None] for name, value in pieces.items()}

    def sample(state, key, index):
        """u8[T, H, W, 3], whatever `key` and `index`; frames that are not begun are the clip's."""
        pictures = so_far(state)
        if space:
            pictures = colours.with_colours_of(space, pictures, as_float(state.coloured[0]))
        return images.to_uint8(pictures, low=0)

    def outputs(state):
        """The finished frames, or the first one, each as a picture, and together as a clip."""
        shown = max(1, int(schedule.finished(state.steps[0])))
        pictures = np.asarray(sample(state, None, None))[:shown]
        kind = clips.best_kind()
        return {f"frames/{i:04d}.png": picture for i, picture in enumerate(pictures, 1)} | {
            f"result.{kind}": clips.encoded(pictures, kind, clip.per_second)
        }

    def remarks(state):
        lines, finished = [], int(schedule.finished(state.steps[0]))
        if finished < count:
            lines.append(
                f"{finished} of {count} frames are finished:"
                f" --config.train.steps={schedule.total(count)} makes all"
            )
        if count < len(clip.frames):
            lines.append(
                f"the clip has {len(clip.frames)} frames, of which the first {count} are taken"
                " (video.frames)"
            )
        return lines

    return Task(
        init,
        step,
        1,
        evaluate=evaluate,
        sample=sample,
        outputs=outputs,
        state_is_batch=True,
        constants=constants,
        copied=copied,
        known=known,
        notes={
            "features": net.name,
            "pictures": f"content: {count} frames, style: {len(styles)}",
        },
        remarks=remarks,
    )


def _two(steps) -> tuple[int, int]:
    if len(steps) != 2:
        raise UserError(
            f"video.steps={tuple(steps)} has to be two numbers, of the first frame and of each"
            " further one: --config.video.steps=100,50"
        )
    return tuple(steps)


def _rising(back) -> tuple[int, ...]:
    if list(back[:1]) != [1] or list(back) != sorted(set(back)):
        raise UserError(
            f"video.back={tuple(back)} has to begin with 1 and to rise: --config.video.back=1,2,4"
        )
    return tuple(back)


def _check_steps(config, schedule: Schedule, count: int):
    if config.train.steps > (total := schedule.total(count)):
        raise UserError(
            f"train.steps={config.train.steps} are more than the {count} frames take: use"
            f" --config.train.steps={total}"
        )
