"""The sets of pictures that scores compare: folders, arrays, splits of data sets, fresh samples.

The pictures of a set come in a random order that is always the same, so that parts of it are alike
(folders are often sorted by class) and the first n stand for all.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genjax import config as config_lib
from genjax import data, images, runs, sample_keys, score_keys
from genjax.data import Split, archives, listing
from genjax.errors import UserError
from genjax.files import expanded
from genjax.task import RUN_PREFIX
from genjax.workdir import at_step, config_file

MOST_SAMPLES = 10_000  # that a run is asked for where nobody says how many

_THREADS = min(16, 2 * (os.cpu_count() or 1))
_TOGETHER = 256  # pictures that are decoded at a time
_SEED = 0  # of the order


class Pictures(NamedTuple):
    """A set of pictures of one size.

    Attributes:
      name: as people call it, with its split.
      digest: equal for equal pictures; "" of samples that are drawn for the purpose.
      n: how many; fewer come where some that may be left out cannot be read.
      shape: (H, W, C).
      batches: `() -> ` u8[b, H, W, C], …: all of them, in their order.
      about: what a record says besides: of samples, what they were drawn from and how.
      labels: integers [n], the class of each, or that it was made to be of; None where that is not
        known.
    """

    name: str
    digest: str
    n: int
    shape: tuple[int, int, int]
    batches: Callable[[], Iterator[np.ndarray]]
    about: Mapping = {}
    labels: np.ndarray | None = None


def named(name: str, n: int = 0, size: int = 0) -> Pictures:
    """The pictures that `--real` or `--fake` names.

    Args:
      name: a folder, read recursively; a `.npz` with `images` u8[N, H, W, C]; a data set with its
        split, such as `mnist:test` or `folder:PATH:train`; or `run:WORKDIR[@STEP]`, samples drawn
        anew.
      n: how many of them, at most; 0 for all, or `MOST_SAMPLES` of a run.
      size: px of a side to which folders and data sets are brought (`data.size`); 0 for as stored.

    Raises:
      UserError: there is no such set; it is empty, unreadable, or of pictures of several sizes.
    """
    if name.startswith(RUN_PREFIX):
        return _of_run(name.removeprefix(RUN_PREFIX), n or MOST_SAMPLES)
    path, _, split = name.rpartition(":")
    if split in score_keys.SPLITS and path:
        if path.startswith("folder:") and not size:
            raise UserError(f"{name} needs a size for its pictures: --size=PX")
        return of_split(data.open_dataset(config_lib.dataset(path, size)), split, n)
    if path in data.PLAIN:
        raise UserError(f"{name}: {path} has the splits {path}:train and {path}:test")
    is_data = name in data.PLAIN or name.startswith(("npz:", "tfds:", "folder:"))
    if is_data and not os.path.exists(expanded(name)):
        raise UserError(f"{name} is a data set: say which split, {name}:train or {name}:test")
    if name.endswith(".npz"):
        return _of_file(name, n)
    return _of_folder(name, n, size)


def of_split(dataset: data.Dataset, split: str, n: int = 0) -> Pictures:
    """`n` pictures of a split, or all (0), as networks see them.

    A few unreadable ones are left out, where `data.max_corrupt` allows it.

    Raises:
      UserError: the split has no pictures.
    """
    part: Split = getattr(dataset, split)
    if not len(part):
        raise UserError(f"{dataset.name} has no {split} pictures: use the other split")
    order = _order(len(part), n)

    def batches():
        with ThreadPoolExecutor(_THREADS) as pool:
            for first in range(0, len(order), _TOGETHER):
                asked = order[first : first + _TOGETHER]
                found = list((pool.map if part.decodes else map)(part.read, asked))
                skipped = [record["skipped"] for record in found]
                part.report(asked, skipped)
                if read := [r["image"] for r in found if not r["skipped"]]:
                    yield np.stack(read)

    # Of a folder, a data set's digest sees names and sizes, which edited pictures may keep.
    digest = f"{dataset.digest}:{split}"
    if part.content(0) is not None:
        contents = (part.content(int(i)) or b"" for i in order)
        digest = _digest_of(contents, *part.shape, *part.seen_through)
    known = dataset.classes and part.labels is not None
    labels = np.asarray(part.labels)[order] if known else None
    name = f"{dataset.name}:{split}"
    return Pictures(name, digest, len(order), part.shape, batches, labels=labels)


def of_array(
    name: str, array: np.ndarray, n: int = 0, labels: np.ndarray | None = None
) -> Pictures:
    """`n` pictures of u8[N, H, W, C] in memory, or all (0).

    Args:
      labels: integers [N], their classes.

    Raises:
      UserError: an array is of another kind, or there are no pictures.
    """
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3):
        raise UserError(
            f"{name}: images is {array.dtype}{list(array.shape)}, it must be uint8[N, H, W, C] with"
            " C 1 or 3"
        )
    if not array.size:
        raise UserError(f"{name} has no pictures")
    order = _order(len(array), n)

    def batches():
        for first in range(0, len(order), _TOGETHER):
            yield array[order[first : first + _TOGETHER]]

    if labels is not None:
        if labels.shape != (len(array),) or labels.dtype.kind not in "iu":
            raise UserError(
                f"{name}: labels is {labels.dtype}{list(labels.shape)}, it must be integers"
                f" [{len(array)}]"
            )
        if labels.min() < 0:
            raise UserError(f"{name}: labels has {labels.min()}: classes count from 0")
        labels = labels[order]
    digest = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()[:32]
    return Pictures(name, digest, len(order), array.shape[1:], batches, labels=labels)


def of_trained(trained: runs.Trained, name: str, n: int, seed: int) -> Pictures:
    """`n` samples of a trained run, drawn with `seed` each time that they are asked for.

    Raises:
      UserError: the run's task has nothing to sample.
    """
    sampler = runs.sampler(trained.run, n, seed)
    shape, options = trained.run.dataset.shape, trained.run.config.sample
    about = drawn_from(trained, seed) | sample_keys.chosen(options)
    batches = partial(sampler.batches, trained.state)
    return Pictures(name, "", n, shape, batches, about, sampler.labels)


def drawn_from(trained: runs.Trained, seed: int) -> dict:
    """What a record says of samples: of which state of which run, and how they are drawn."""
    config = trained.run.config
    return {
        "step": trained.step,
        **trained.run.task.sampled_with,
        "sample_seed": seed,
        "seed": config.seed,
        "config_hash": config_lib.digest(config),
    }


def _of_run(name: str, n: int) -> Pictures:
    workdir, step = at_step.split(name)
    config = config_file.load(workdir)
    trained = runs.open_trained(config, workdir, step, with_data=False)
    if trained.run.dataset is None:
        raise UserError(
            f"{workdir} makes {len(trained.run.devices.rows)} pictures, too few to score"
        )
    return of_trained(trained, f"{RUN_PREFIX}{workdir}", n, config.sample.seed)


def _of_file(path: str, n: int) -> Pictures:
    arrays = archives.read_npz(expanded(path), images.shown(path))
    if "images" not in arrays:
        there = ", ".join(list(arrays)[:5]) or "nothing"
        raise UserError(
            f"{images.shown(path)} has no array `images`, it has {there}; a data set of Keras' form"
            f" is npz:{images.shown(path)}:train"
        )
    return of_array(images.shown(path), arrays["images"], n, arrays.get("labels"))


def _of_folder(path: str, n: int, size: int) -> Pictures:
    root, shown = Path(expanded(path)), images.shown(path)
    if not root.is_dir():
        what = "is a file: name a folder or a .npz" if root.exists() else "does not exist"
        raise UserError(f"{shown} {what}{'' if root.exists() else images.nearest_files(root)}")
    found = listing.pictures(shown, str(root))
    if not found.files:
        left_out = listing.describe_left_out(found.left_out)
        raise UserError(
            f"{shown}: no pictures in this folder" + (f" ({left_out})" if left_out else "")
        )
    files = [str(root / found.files[i]) for i in _order(len(found.files), n)]

    def read(file: str) -> np.ndarray:
        picture = images.read(file)
        return images.crop_square(picture, size) if size else picture

    shape = read(files[0]).shape

    def batches():
        with ThreadPoolExecutor(_THREADS) as pool:
            for first in range(0, len(files), _TOGETHER):
                some = files[first : first + _TOGETHER]
                batch = list(pool.map(read, some))
                for file, picture in zip(some, batch, strict=True):
                    if picture.shape != shape:
                        raise UserError(
                            f"{shown} has pictures of several sizes, {_px(shape)} and"
                            f" {_px(picture.shape)} ({images.shown(file)}): bring them to one with"
                            " --size=PX"
                        )
                yield np.stack(batch)

    digest = _digest_of((Path(file).read_bytes() for file in files), size)
    return Pictures(shown, digest, len(files), shape, batches)


def _digest_of(contents: Iterable[bytes], *form: int | str) -> str:
    """Of files' contents, whatever the files are called, and of the form they are brought to."""
    total = hashlib.sha256(f"{form}".encode())
    for each in sorted(hashlib.sha256(content).digest() for content in contents):
        total.update(each)
    return total.hexdigest()[:32]


def _order(count: int, n: int) -> np.ndarray:
    """i64[n]: which of `count` pictures, in their order."""
    return np.random.default_rng(_SEED).permutation(count)[: n or count]


def _px(shape) -> str:
    return f"{shape[1]} x {shape[0]} px"


def check_alike(real: Pictures, fake: Pictures) -> None:
    """Checks that both sets are of one size.

    Raises:
      UserError: they are not.
    """
    if real.shape[:2] != fake.shape[:2]:
        raise UserError(
            f"the pictures of {real.name} have {_px(real.shape)}, those of {fake.name}"
            f" {_px(fake.shape)}: compare pictures of one size (--size=PX brings folders and data"
            " sets to it)"
        )
