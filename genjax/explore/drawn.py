"""Pictures drawn by latents, in calls of one size."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from genjax import aggregate, data, rng, runs
from genjax.data.dataset import Subset
from genjax.errors import UserError
from genjax.latents import Latents

_DRAWN = 10_000  # points, of which mean and deviation are taken


class HeldOut(NamedTuple):
    """Held-out pictures and the points that stand for them.

    Attributes:
      place: i64[n], of each in its split.
      image: u8[n, H, W, C]; label: i32[n].
      points: f32[n, L].
    """

    place: np.ndarray
    image: np.ndarray
    label: np.ndarray
    points: np.ndarray


def latents_of(run: runs.Run) -> Latents:
    """The latents that a run's pictures follow from.

    Raises:
      UserError: it has none.
    """
    if run.task.latents is None:
        raise UserError(f"task={run.config.task!r} has no latents: set sample.kind=pictures")
    return run.task.latents


def held_out(trained: runs.Trained, n: int) -> HeldOut:
    """`n` held-out pictures, all where there are fewer, which `sample.seed` chooses.

    Raises:
      UserError: the run encodes no pictures, or none are held out.
    """
    run, options = trained.run, trained.run.config.sample
    latents = latents_of(run)
    if latents.encode is None:
        raise UserError(
            f"sample.kind={options.kind} is of held-out pictures' latents, and"
            f" task={run.config.task!r} encodes no pictures: set sample.kind=temperature"
        )
    split = aggregate.split_of(run, "test")
    if not len(split):
        raise UserError(
            f"sample.kind={options.kind} needs held-out pictures, and data.test_fraction=0:"
            " set sample.kind=temperature"
        )
    place = np.random.default_rng(options.seed).permutation(len(split))[:n]
    batch = data.examples(Subset(split, place), len(place))
    image, label = batch["image"], batch["label"]

    def encode(state, constants, image, label):
        return latents.encode(state, {"image": image, "label": label} | constants)

    found = pictures(run, encode, image, label)(trained.state, dict(run.task.constants))
    return HeldOut(place, image, label, found)


def points(trained: runs.Trained, n: int, level: float) -> np.ndarray:
    """f32[n, L], the points of the first `n` samples, truncated to a level."""
    run = trained.run
    key = rng.stream(run.config.sample.seed, rng.Stream.SAMPLE)

    def draw(state, index):
        return run.task.latents.points(state, key, index, level)

    return pictures(run, draw, np.arange(n, dtype=np.int32))(trained.state)


def spread(trained: runs.Trained) -> tuple[np.ndarray, np.ndarray]:
    """(mean f32[L], standard deviation f32[L]) of points that are not truncated: 0 and 1 of normal
    ones, and of others those of 10,000 samples."""
    latents = trained.run.task.latents
    found = points(trained, 1 if latents.normal else _DRAWN, latents.levels[-1])
    if latents.normal:
        return np.zeros_like(found[0]), np.ones_like(found[0])
    return found.mean(0), found.std(0)


def at(trained: runs.Trained, points: np.ndarray, index: np.ndarray) -> np.ndarray:
    """u8[n, H, W, C], what is drawn of points f32[n, L], each with the class of sample `index`."""
    run, latents = trained.run, trained.run.task.latents

    def draw(state, points, index):
        return latents.pictures(latents.generate(state, points, index, latents.noise(state)))

    state = runs.settler(run, run.config.sample.seed)(trained.state)
    return pictures(run, draw, np.float32(points), np.int32(index))(state)


def pictures(run: runs.Run, function: Callable, *arrays: np.ndarray) -> Callable:
    """`(*arguments) -> [n, ...]`, what a function makes of arrays, in calls of one size.

    Args:
      function: `(*arguments, *arrays) -> [b, ...]`, traceable: pictures or points.
      arrays: [n, ...] each, of which it gets b at a time.
    """
    n = len(arrays[0])
    size = min(runs.TOGETHER, run.task.images_per_step, n)
    compiled = run.devices.on_state(function, often=True)

    def call(*arguments):
        found = []
        for first in range(0, n, size):
            rows = np.minimum(np.arange(first, first + size), n - 1)  # the last one fills up
            batch = compiled(*arguments, *(x[rows] for x in arrays))
            found.append(np.asarray(batch)[: n - first])
        return np.concatenate(found)

    return call
