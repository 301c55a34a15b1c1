"""Sampling: pictures of a trained run, as arrays or files for programs and as a grid for people."""

import io
import math

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from genjax import images, runs
from genjax.devices import processes
from genjax.devices.program import check_memory
from genjax.files import write_atomically

PICTURES = "pictures"  # the folder of single files
_SHOWN = 400  # pictures of the grid, at most

_IN_FILES = "use --config.sample.format=png, which keeps few at a time, or a smaller sample.n"


def sample(config: ConfigDict, workdir: epath.Path, step: str = "latest"):
    """`--mode=sample`: writes pictures u8[H, W, C] of a trained run, and a grid of the first ones.

    `sample.n` and `sample.seed` say how many and which; `sample.format` whether as `samples.npz`
    (`images` u8[n, H, W, C]) or as `pictures/000000.png`, … Where the run makes pictures of
    classes, the array has `labels` i64[n], and the files lie in a sub-folder for each class, in the
    order of the classes. The data are not needed. Of several processes, one writes.

    Args:
      step: of the checkpoint: a number, "latest" or "best".

    Raises:
      UserError: nothing is trained in `workdir`, its task makes no pictures, or the array of so
        many does not fit into memory.
    """
    trained = runs.open_trained(config, workdir, step, with_data=False)
    n, as_files = config.sample.n, config.sample.format == "png"
    sampler = runs.sampler(trained.run, n, config.sample.seed)
    batches = sampler.batches(trained.state)
    if trained.run.dataset and not as_files:
        # The array, and the file that is made of it in memory.
        check_memory(2 * n * math.prod(trained.run.dataset.shape), _IN_FILES)
    if processes.is_first():
        write = _write_files if as_files else _write_array
        count, place = write(sampler, batches, workdir)
        print(f"{count} samples of step {trained.step}: {place}; a grid: {workdir}/samples.png")
    else:
        for _ in batches:
            pass  # all processes take part in the computation


def _write_array(sampler: runs.Sampler, batches, workdir: epath.Path) -> tuple[int, epath.Path]:
    """(how many pictures were written, where)."""
    pictures = np.concatenate(list(batches))
    archive, labels = io.BytesIO(), sampler.labels
    np.savez_compressed(archive, images=pictures, **({} if labels is None else {"labels": labels}))
    write_atomically(workdir / "samples.npz", archive.getvalue())
    images.write(workdir / "samples.png", runs.grid(pictures[:_SHOWN], sampler.classes))
    return len(pictures), workdir / "samples.npz"


def _write_files(sampler: runs.Sampler, batches, workdir: epath.Path) -> tuple[int, epath.Path]:
    """(how many pictures were written, where)."""
    folder, labels = workdir / PICTURES, sampler.labels
    folder.mkdir(exist_ok=True)
    for name in ("[0-9]*.png", "[0-9]*/[0-9]*.png"):
        for old in folder.glob(name):  # what reads the folder would count them too
            old.unlink()
    if labels is not None:
        digits = len(str(labels.max()))  # so that names, however sorted, are in the classes' order
        names = [f"{label:0{digits}}" for label in labels]
        for name in set(names):
            (folder / name).mkdir(exist_ok=True)
    count, first = 0, []
    for batch in batches:
        first.extend(batch[: _SHOWN - len(first)])
        for picture in batch:
            at = folder if labels is None else folder / names[count]
            images.write(at / f"{count:06}.png", picture)
            count += 1
    images.write(workdir / "samples.png", runs.grid(np.stack(first), sampler.classes))
    return count, folder
