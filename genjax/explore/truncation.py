"""The truncation trick, shown: the same latents in each row, truncated less from row to row."""

import numpy as np
from etils import epath

from genjax import images, rng, runs
from genjax.devices import processes
from genjax.explore import drawn

FILE = "truncation.png"


def write(trained: runs.Trained, workdir: epath.Path) -> str:
    """Writes `truncation.png`: a column for each of `sample.shown` latents, the first samples', and
    a row for each of `Latents.levels`, the last without truncation.

    Returns:
      A line that says where, and which levels.

    Raises:
      UserError: the run's pictures follow from no latents.
    """
    run, options = trained.run, trained.run.config.sample
    latents = drawn.latents_of(run)
    key = rng.stream(options.seed, rng.Stream.SAMPLE)

    def draw(state, level, index):
        points = latents.points(state, key, index, level)
        return latents.pictures(latents.generate(state, points, index, latents.noise(state)))

    call = drawn.pictures(run, draw, np.arange(options.shown, dtype=np.int32))
    settle = runs.settler(run, options.seed)
    rows = [call(settle(trained.state, level), np.float32(level)) for level in latents.levels]
    if processes.is_first():
        images.write(workdir / FILE, images.grid(np.stack(rows)))
    levels = ", ".join(f"{x:g}" if np.isfinite(x) else "none" for x in latents.levels)
    return (
        f"{options.shown} {latents.name} of step {trained.step}: {workdir / FILE}; rows:"
        f" {latents.key} {levels}"
    )
