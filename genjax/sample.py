"""Sampling: pictures of a trained run, as arrays or files for programs and as a grid for people."""

import io
import math

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from genjax import images, runs
from genjax.devices import processes
from genjax.devices.program import check_memory
from genjax.explore import (
    interpolation,
    latent_map,
    projection,
    swap,
    temperature,
    traversal,
    truncation,
)
from genjax.files import write_atomically

PICTURES = "pictures"  # the folder of single files
_SHOWN = 400  # pictures of the grid, at most, and what its last row takes

_IN_FILES = "use --config.sample.format=png, which keeps few at a time, or a smaller sample.n"

# {sample.kind: `(trained, workdir) -> a line that says what was written`}
_KINDS = {
    "truncation": truncation.write,
    "temperature": temperature.write,
    "interpolation": interpolation.write,
    "projection": projection.write,
    "traversal": traversal.write,
    "map": latent_map.write,
    "swap": swap.write,
}


def sample(config: ConfigDict, workdir: epath.Path, step: str = "latest"):
    """`--mode=sample`: writes pictures of a trained run; which, `sample.kind` says.

    By default, samples u8[H, W, C] and a grid of the first ones. `sample.n` and `sample.seed` say
    how many and which; `sample.format` whether as `samples.npz` (`images` u8[n, H, W, C]) or as
    `pictures/000000.png`, … Where the run makes pictures of classes, the array has `labels` i64[n],
    and the files lie in a sub-folder for each class, in the order of the classes. The data are not
    needed. Of several processes, one writes.

    Args:
      step: of the checkpoint: a number, "latest" or "best".

    Raises:
      UserError: nothing is trained in `workdir`, its task makes no such pictures, or the array of
        so many does not fit into memory.
    """
    trained = runs.open_trained(config, workdir, step, with_data=False)
    write = _KINDS.get(config.sample.get("kind", "pictures"), _write)
    line = write(trained, workdir)
    if processes.is_first():
        print(line)


def _write(trained: runs.Trained, workdir: epath.Path) -> str:
    options, run = trained.run.config.sample, trained.run
    n, as_files = options.n, options.format == "png"
    if run.task.state_is_batch:  # which gives all the pictures there are
        n = len(jax.eval_shape(run.task.sample, trained.state, None, None))
    shown = runs.whole_rows(run, min(n, _SHOWN))
    sampler = runs.sampler(run, max(n, shown), options.seed)
    batches = sampler.batches(trained.state)
    if run.dataset and not as_files:
        # The array, and the file that is made of it in memory.
        check_memory(2 * n * math.prod(run.dataset.shape), _IN_FILES)
    if not processes.is_first():
        for _ in batches:
            pass  # all processes take part in the computation
        return ""
    write = _write_files if as_files else _write_array
    count, place, first = write(sampler, batches, workdir, n, shown)
    images.write(workdir / "samples.png", runs.grid(first, sampler.classes))
    return f"{count} samples of step {trained.step}: {place}; a grid: {workdir}/samples.png"


def _write_array(sampler: runs.Sampler, batches, workdir: epath.Path, n: int, shown: int):
    """(how many of `n` pictures were written, where, the first `shown` u8[N, H, W, C])."""
    pictures = np.concatenate(list(batches))
    archive, labels = io.BytesIO(), sampler.labels
    labels = {} if labels is None else {"labels": labels[:n]}
    np.savez_compressed(archive, images=pictures[:n], **labels)
    write_atomically(workdir / "samples.npz", archive.getvalue())
    return len(pictures[:n]), workdir / "samples.npz", pictures[:shown]


def _write_files(sampler: runs.Sampler, batches, workdir: epath.Path, n: int, shown: int):
    """As `_write_array`, but a file for each."""
    folder, labels = workdir / PICTURES, sampler.labels
    folder.mkdir(exist_ok=True)
    for name in ("[0-9]*.png", "[0-9]*/[0-9]*.png"):
        for old in folder.glob(name):  # what reads the folder would count them too
            old.unlink()
    if labels is not None:
        digits = len(str(labels.max()))  # so that names, however sorted, are in the classes' order
        names = [f"{label:0{digits}}" for label in labels[:n]]
        for name in set(names):
            (folder / name).mkdir(exist_ok=True)
    count, first = 0, []
    for batch in batches:
        first.extend(batch[: shown - len(first)])
        for picture in batch[: n - count]:
            at = folder if labels is None else folder / names[count]
            images.write(at / f"{count:06}.png", picture)
            count += 1
    return count, folder, np.stack(first)
