"""Projection: the pictures nearest to given ones that a generator can draw."""

import io

import jax
import numpy as np
from etils import epath

from genjax import images, rng, runs
from genjax.devices import processes
from genjax.errors import UserError
from genjax.explore import drawn
from genjax.files import write_atomically
from genjax.gan import projector
from genjax.latents import Latents
from genjax.metrics import lpips
from genjax.style import sources

NAME = "projection"
_NET = "vgg16"
_DRAWN = 10_000  # points, of which mean and spread are taken


def write(trained: runs.Trained, workdir: epath.Path) -> str:
    """Fits a point to each picture that `sample.input` names, by `sample.steps` steps.

    The distance is LPIPS with VGG16 (`genjax.gan.projector`). `projection.png` has a row for each:
    the picture, cut to a square of the run's size, and what was found. `projection.npz` has
    `targets` and `images` u8[n, H, W, C], `latents` or `styles` f32[n, L], `distances` f32[n] and,
    where a generator has noise of its own, `noise/NAME` f32[n, h, w].

    Returns:
      A line that says where, and how near they came.

    Raises:
      UserError: the run's pictures follow from no latents or are too small, or are of classes and
        none is named; no pictures are named, or they cannot be read; LPIPS' weights are missing.
    """
    run, options = trained.run, trained.run.config.sample
    latents = drawn.latents_of(run)
    targets = _targets(run)
    net = lpips.load(_NET)
    key = rng.stream(options.seed, rng.Stream.SAMPLE)

    def fit(state, weights, target):
        return _fit(latents, state, weights, target, key, options.steps)

    compiled = run.devices.on_state(fit, often=True)
    state = runs.settler(run, options.seed)(trained.state)
    runs.warn(f"projecting {len(targets)} pictures, {options.steps} steps each")
    found = [jax.tree.map(np.asarray, compiled(state, net.weights, x)) for x in targets]
    points, noise, nearest, distances = jax.tree.map(lambda *x: np.stack(x), *found)
    if processes.is_first():
        paths = jax.tree_util.tree_leaves_with_path(noise)
        named = {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in paths}
        archive = io.BytesIO()
        np.savez_compressed(
            archive,
            targets=np.stack(targets),
            images=nearest,
            distances=distances,
            **{latents.name: points},
            **{f"noise/{name}": x for name, x in named.items()},
        )
        write_atomically(workdir / f"{NAME}.npz", archive.getvalue())
        rows = np.stack([np.stack(targets), nearest], axis=1)
        images.write(workdir / f"{NAME}.png", images.grid(rows))
    far = ", ".join(f"{x:.3f}" for x in distances)
    return (
        f"{len(targets)} pictures and the nearest of step {trained.step}, LPIPS {far}:"
        f" {workdir}/{NAME}.png;"
        f" {latents.name}: {workdir}/{NAME}.npz"
    )


def _targets(run: runs.Run) -> list[np.ndarray]:
    """The pictures u8[H, W, C] to look for, as the run's own."""
    options, (height, width, channels) = run.config.sample, run.dataset.shape
    if not options.input:
        raise UserError("a projection lacks pictures: set --config.sample.input=FILE, or a folder")
    if run.task.classes and options.label < 0:
        raise UserError(
            "a projection needs the pictures' class, from 0 to"
            f" {run.task.classes - 1}: set --config.sample.label=N"
        )
    if min(height, width) < lpips.LEAST:
        raise UserError(f"a projection takes pictures of {lpips.LEAST} px or more, not of {height}")
    found = [x for name in sources.names(options.input) for x in runs.read_picture(name)]
    return [images.to_channels(images.crop_square(x, height), channels) for x in found]


def _fit(latents: Latents, state, weights, target, key, steps: int):
    """(point f32[L], noise, picture u8[H, W, C], distance f32[]) nearest to one u8[H, W, C]."""
    places = jax.numpy.arange(_DRAWN)
    mean, deviation = projector.spread_of(latents.points(state, key, places, latents.levels[-1]))

    def draw(found):
        one = places[:1]
        return latents.generate(state, found.style[None], one, found.noise)[0]

    distance = projector.perceptual(weights, images.to_float(target, latents.low), latents.low)
    start = projector.Projection(mean, latents.noise(state))
    found, _ = projector.project(draw, distance, start, deviation, key, steps)
    picture = latents.pictures(draw(found)[None])[0]
    return found.style, found.noise, picture, distance(draw(found))
