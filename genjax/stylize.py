"""Stylising: pictures of any size, or another run's samples, in the styles of a trained network."""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from genjax import following, images, rng, runs
from genjax.devices import processes
from genjax.errors import UserError
from genjax.files import check_not_over, place
from genjax.nn import backend
from genjax.style.sources import names
from genjax.stylize_keys import DRAWN
from genjax.task import RUN_PREFIX
from genjax.workdir import at_step, config_file

# From how many pictures of one shape on it pays to compile longer (docs/style.md).
_OFTEN = 16

# Files that keep their kind; others, and pictures that have no file, become PNG.
_KEPT = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


class _Look(NamedTuple):
    """A style that all pictures are painted in.

    Attributes:
      ending: what it adds to a picture's name, "" where there is one look only.
      style: of `Stylization.choose`.
    """

    ending: str
    style: Any


def stylize(config: ConfigDict, workdir: epath.Path, source: str, output: str, step="latest"):
    """`--mode=stylize`: paints pictures with the network trained in `workdir`, or a clip's frames
    (`genjax.following`).

    The keys are those of `genjax.stylize_keys`. Pictures keep their names; with several looks each
    has the style's number at the end of its name. Of several processes, one writes.

    Args:
      source: files, folders, globs or built-in names, with commas between them; or `run:WORKDIR`,
        of which `sample.n` samples are drawn with `sample.seed`, and stylised on the devices.
      output: a file, for one picture; or a folder, which is made.
      step: of the checkpoint: a number, "latest" or "best".

    Raises:
      UserError: the run does not stylise, a picture is missing or unreadable, a key has no possible
        value, or a picture would be written over one that is read.
    """
    if "stylize" not in config:
        raise UserError(
            f"{workdir} is of task={config.task!r}, which does not stylise: name a run of"
            " configs/style_fast.py or configs/style_adain.py"
        )
    if config.stylize.get("clip", False) and following.is_clip(source):
        trained = runs.open_trained(config, workdir, step, with_data=False)
        looks = {look.ending: look.style for look in _looks(trained)[0]}
        count = following.paint(trained, looks, source, output)
        if processes.is_first():
            print(f"{count} frames, painted by step {trained.step}: {output}")
        return
    given = _Samples(config, source) if source.startswith(RUN_PREFIX) else _Files(config, source)
    trained = runs.open_trained(config, workdir, step, with_data=False)
    looks, read = _looks(trained)
    targets = _targets(given.names, looks, output, {*given.files, *read})
    often = given.of_each_shape * len(looks) >= _OFTEN
    paint = painter(trained.run, given.image, often)
    for numbers, batch in given.batches(trained.run.devices):
        for look in looks:
            found = paint(trained.state, batch, look.style, given.carried)
            for number, picture in zip(numbers, found, strict=False):
                if processes.is_first():
                    images.write(targets[number, look.ending], picture)
    if processes.is_first():
        print(f"{len(targets)} pictures, painted by step {trained.step}: {output}")


def _read(name: str, side: int) -> np.ndarray:
    """u8[H, W, 3] of a file or a built-in name, with `side` px on the longer side, or its own."""
    picture = images.load(name)
    return images.fit(picture, side) if side else picture


class _Files:
    """Pictures in files.

    Attributes:
      names: of the pictures, in order.
      files: paths that are read.
      carried: arrays that `image` needs besides a batch.
      of_each_shape: how many pictures have one shape, at the mean.
    """

    carried = ()

    def __init__(self, config, source: str):
        self._options = config.stylize
        found = names(source)
        if runs_too := [name for name in found if name.startswith(RUN_PREFIX)]:
            raise UserError(f"--input={runs_too[0]} has to stand alone: stylise the others apart")
        self.names = found
        self.files = [name for name in found if name not in images.BUILTIN]
        # Each picture is read once before anything is computed, so that a broken one is known, and
        # the largest shape comes first, so that a lack of memory is.
        shapes: dict[tuple, list[int]] = {}
        for number, name in enumerate(found):
            shapes.setdefault(_read(name, self._options.size).shape, []).append(number)
        largest_first = sorted(shapes, key=math.prod, reverse=True)
        self._groups = [shapes[shape] for shape in largest_first]
        self.of_each_shape = len(found) / len(shapes)

    def batches(self, devices) -> Iterator[tuple[list[int], dict]]:
        """Yields (numbers of pictures, {"image": u8[b, H, W, 3]}, this process' rows); the last
        picture fills a batch up."""
        for group in self._groups:
            size = _batch_size(min(self._options.batch, len(group)), devices)
            for first in range(0, len(group), size):
                numbers = group[first : first + size]
                rows = np.minimum(devices.rows_of(size), len(numbers) - 1)
                side = self._options.size
                read = {i: _read(self.names[numbers[i]], side) for i in {*rows.tolist()}}
                yield numbers, {"image": np.stack([read[i] for i in rows.tolist()])}

    def image(self, batch, carried):
        """f32[b, H, W, 3] in [0, 1] of a batch. Traceable."""
        return images.to_float(batch["image"], low=0)


class _Samples:
    """Samples of a trained run, which stay on the devices until they are stylised.

    Attributes:
      names, files, carried, of_each_shape: as of `_Files`.
    """

    files = ()

    def __init__(self, config, source: str):
        folder, step = at_step.split(source.removeprefix(RUN_PREFIX))
        theirs = config_file.load(folder)
        trained = runs.open_trained(theirs, folder, step, with_data=False)
        task = trained.run.task
        if task.sample is None or task.state_is_batch:
            raise UserError(
                f"--input={source} draws no pictures (task={theirs.task!r}): name the run of a GAN"
                " or a VAE, or files"
            )
        options = config.sample
        self._sample, self._options, self._n = task.sample, config.stylize, options.n
        self.names = [f"{i:06}.png" for i in range(options.n)]
        self.of_each_shape = options.n
        key = rng.stream(options.seed, rng.Stream.SAMPLE)
        self.carried = runs.settler(trained.run, options.seed)(trained.state), key

    def batches(self, devices):
        """As of `_Files`, with {"index": i32[b]}."""
        n, size = self._n, _batch_size(min(self._options.batch, self._n), devices)
        for first in range(0, n, size):
            numbers = list(range(first, min(first + size, n)))
            yield numbers, {"index": (first + devices.rows_of(size)).astype(np.int32)}

    def image(self, batch, carried):
        """As of `_Files`."""
        state, key = carried
        image = images.to_float(self._sample(state, key, batch["index"]), low=0)
        image = jnp.broadcast_to(image, (*image.shape[:3], 3))
        if not self._options.size:
            return image
        scale = self._options.size / max(image.shape[1:3])
        height, width = (max(1, round(side * scale)) for side in image.shape[1:3])
        resized = jax.image.resize(image, (len(image), height, width, 3), "lanczos3")
        return jnp.clip(resized, 0, 1)


def _batch_size(n: int, devices) -> int:
    """`n`, or so many more that the devices divide them."""
    return -(-n // devices.device_count) * devices.device_count


def painter(run: runs.Run, image: Callable, often: bool = True) -> Callable:
    """`(state, batch, style, carried) -> u8[b, H, W, 3]`, compiled for each shape.

    Args:
      image: `(batch, carried) -> f32[b, H, W, 3]`, in [0, 1]; traceable.
      often: whether a program is called so often that it is compiled to run fast.
    """
    alpha = np.float32(run.config.stylize.alpha)

    def paint(state, batch, more):
        style, alpha, carried = more
        given = image(batch, carried)
        found = run.task.stylization.apply(state, batch, style, given, alpha)
        return images.to_uint8(found, low=0)

    compiled = run.devices.on_batch(backend.forward(often)(paint), run.task.constants)

    def call(state, batch, style, carried=()):
        return np.asarray(compiled(state, batch, (style, alpha, carried)))

    return call


def _looks(trained: runs.Trained) -> tuple[list[_Look], list[str]]:
    """(the looks that `stylize.style` and `stylize.weights` ask for, files that are read)."""
    run, options = trained.run, trained.run.config.stylize
    stylization = run.task.stylization
    if stylization.drawn and options.style == DRAWN:
        return _drawn(trained), []
    learned = stylization.styles
    if learned:
        chosen, read = _numbers(options.style, learned), []
    else:
        chosen = read = names(options.style)
        if not read:
            raise UserError("stylize.style is not set: name pictures, --config.stylize.style=A.jpg")
    choose = backend.native()(lambda state, batch, more: stylization.choose(state, batch, *more))
    compiled = run.devices.on_batch(choose, run.task.constants)

    def look(which: list, shares: np.ndarray, ending: str) -> _Look:
        if learned:
            pictures, weights = [], np.zeros(learned, np.float32)
            np.add.at(weights, [number - 1 for number in which], shares)
        else:
            loaded = (jnp.asarray(_read(x, options.style_size))[None] for x in which)
            pictures, weights = [images.to_float(x, low=0) for x in loaded], shares
        return _Look(ending, compiled(trained.state, {}, (pictures, weights)))

    if options.weights or len(chosen) == 1:
        return [look(chosen, _shares(options.weights or (1.0,), len(chosen)), "")], read
    one = np.ones(1, np.float32)
    numbers = chosen if learned else range(1, len(chosen) + 1)
    return [look([x], one, f"_{i}") for i, x in zip(numbers, chosen, strict=True)], read


def _drawn(trained: runs.Trained) -> list[_Look]:
    """`sample.n` styles that the network draws, with `sample.seed`."""
    run, options = trained.run, trained.run.config.sample
    if run.config.stylize.weights:
        raise UserError(
            f"stylize.weights are of pictures: leave them away with stylize.style={DRAWN}"
        )
    drawn = backend.native()(lambda state, batch, more: run.task.stylization.drawn(state, *more))
    compiled = run.devices.on_batch(drawn, run.task.constants)
    key = rng.stream(options.seed, rng.Stream.SAMPLE)
    endings = [f"_{i}" for i in range(1, options.n + 1)] if options.n > 1 else [""]
    return [
        _Look(ending, compiled(trained.state, {}, (key, np.int32(i))))
        for i, ending in enumerate(endings)
    ]


def _numbers(text: str, learned: int) -> list[int]:
    """The learned styles that a text names by their numbers, from 1 on; all where it is empty."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if not (part.isdecimal() and 1 <= int(part) <= learned):
            raise UserError(f"stylize.style={part!r} is no learned style: they are 1 to {learned}")
    return list(dict.fromkeys(map(int, parts))) or list(range(1, learned + 1))


def _shares(weights, n: int) -> np.ndarray:
    """f32[n] with sum 1."""
    if len(weights) != n:
        raise UserError(f"{n} styles but {len(weights)} stylize.weights: give as many")
    if not sum(weights) > 0:
        raise UserError("stylize.weights are all 0: give one that is more")
    return np.float32(weights) / np.float32(sum(weights))


def _targets(pictures: list[str], looks: list[_Look], output: str, read: set[str]) -> dict:
    """{(number of a picture, ending of a look): the path where it is written}.

    Raises:
      UserError: several would be written to one file, or one over a file that is read.
    """
    folder, n = place(output), len(pictures) * len(looks)
    if folder.suffix.lower() in _KEPT and not folder.is_dir():
        if n > 1:
            raise UserError(f"--output={output} is one file for {n} pictures: name a folder")
        found = {(0, looks[0].ending): folder}
    else:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--output={output} is a file: name a folder, or a .png")
        found = {
            (number, look.ending): folder / _file_name(name, look.ending)
            for number, name in enumerate(pictures)
            for look in looks
        }
    check_not_over(found.values(), read, output)
    taken = {}
    for (number, _), path in found.items():
        if taken.setdefault(path, number) != number:
            first, second = (images.shown(pictures[i]) for i in (taken[path], number))
            raise UserError(f"{first} and {second} would both be {path}: stylise them apart")
    return found


def _file_name(name: str, ending: str) -> str:
    path = Path(os.path.basename(name))
    kept = path.suffix.lower() in _KEPT
    return f"{path.stem if kept else path.name}{ending}{path.suffix if kept else '.png'}"
