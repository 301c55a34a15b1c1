"""Ways between latents: as a picture, and as an animation that ends where it begins."""

import math

import numpy as np
from etils import epath

from genjax import images, rng, runs
from genjax.devices import processes
from genjax.devices.program import check_memory
from genjax.explore import drawn
from genjax.files import write_atomically
from genjax.report.pictures import spread
from genjax.video import clips

NAME = "interpolation"
_COLUMNS = 9  # of the picture, at most
_FEWER = "lower sample.shown, sample.stops or sample.frames"


def write(trained: runs.Trained, workdir: epath.Path) -> str:
    """Writes `interpolation.png` and, as `sample.animation` says, `interpolation.gif` or `.mp4`.

    `sample.shown` loops each go through `sample.stops` latents, of one class, in `sample.frames`
    steps from one to the next: between latents on great circles, between styles on straight lines.
    The picture has a row for each, from its first stop to its second. In the animation all loops
    move together; after the last frame comes the first.

    Returns:
      A line that says where.

    Raises:
      UserError: the run's pictures follow from no latents, or what writes an animation is missing.
    """
    run, options = trained.run, trained.run.config.sample
    latents = drawn.latents_of(run)
    clips.check(options.animation, "sample.animation")
    key = rng.stream(options.seed, rng.Stream.SAMPLE)

    def draw(state, index, after, t):
        a, b = (latents.points(state, key, i, latents.level) for i in (index, after))
        points = latents.between(a, b, t)
        return latents.pictures(latents.generate(state, points, index, latents.noise(state)))

    count = options.shown * options.stops * options.frames
    # The pictures, the sheets of them, and the file that is made of those.
    check_memory(3 * count * math.prod(run.dataset.shape), _FEWER)
    arrays = places(options.shown, options.stops, options.frames, max(1, run.task.classes))
    state = runs.settler(run, options.seed)(trained.state)
    found = drawn.pictures(run, draw, *arrays)(state)
    loops = found.reshape(options.shown, -1, *found.shape[1:])
    first_way = np.concatenate([loops, loops[:, :1]], axis=1)[:, : options.frames + 1]
    columns = spread(range(first_way.shape[1]), _COLUMNS)
    line = f"ways between {latents.name} of step {trained.step}: {workdir}/{NAME}.png"
    moving = f"{NAME}.{options.animation}"
    if options.animation != "none":
        line += f"; {loops.shape[1]} frames, a loop: {workdir}/{moving}"
    if processes.is_first():
        images.write(workdir / f"{NAME}.png", images.grid(first_way[:, columns]))
        if options.animation != "none":
            frames = [images.grid(each) for each in np.moveaxis(loops, 1, 0)]
            write_atomically(workdir / moving, clips.encoded(frames, options.animation))
    return line


def places(shown: int, stops: int, frames: int, classes: int):
    """(index i32[n], after i32[n], t f32[n]) of the pictures of closed loops, loop after loop.

    Picture j of a loop is at t of the way from the latent of place `index` to that of `after`. The
    places of a loop are a multiple of `classes` apart, so that they are of one class.
    """
    apart = -(-shown // classes) * classes
    loop, stop, frame = np.meshgrid(
        np.arange(shown), np.arange(stops), np.arange(frames), indexing="ij"
    )
    index = loop + apart * stop
    after = loop + apart * ((stop + 1) % stops)
    flat = [x.ravel().astype(np.int32) for x in (index, after)]
    return *flat, (frame / frames).ravel().astype(np.float32)
