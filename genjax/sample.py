"""Sampling: pictures of a trained run, as arrays for programs and as a grid for people."""

import io

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from genjax import images, runs
from genjax.devices import processes
from genjax.files import write_atomically


def sample(config: ConfigDict, workdir: epath.Path):
    """`--mode=sample`: writes `samples.npz` (`images` u8[N, H, W, C]) and `samples.png`.

    `sample.n` and `sample.seed` say how many and which. Of several processes, one writes them.

    Raises:
      UserError: nothing is trained in `workdir`, or its task makes no pictures.
    """
    trained = runs.open_trained(config, workdir)
    pictures = runs.draw(trained, config.sample.n, config.sample.seed)
    if not processes.is_first():
        return
    archive = io.BytesIO()
    np.savez_compressed(archive, images=pictures)
    write_atomically(workdir / "samples.npz", archive.getvalue())
    images.write(workdir / "samples.png", images.grid(pictures))
    print(f"{len(pictures)} samples of step {trained.step}: {workdir}/samples.png and samples.npz")
