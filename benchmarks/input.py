"""Input: how fast batches of decoded pictures come, with no network behind them.

The pictures are JPEG files of 256 px a side, cut from the built-in photographs at fixed places, and
every batch is of central squares at the config's size. Ours is the project's own feed; beside it a
PyTorch DataLoader reads the same files with Pillow. Both read ahead while nobody asks, about four
batches, which a round of some seconds makes little of.
"""

import functools
from pathlib import Path

import jax
import numpy as np
from PIL import Image, ImageOps

from genjax import data, images
from genjax.devices import host
from genjax.steps import filled

PHOTOGRAPHS = ("astronaut", "coffee", "cat", "rocket")
FILES, SIDE, QUALITY = 1024, 256, 90


def write_folder(root: Path):
    """Writes FILES JPEG pictures of SIDE x SIDE into `root`, the same whenever it is called."""
    photographs = [images.load(name) for name in PHOTOGRAPHS]
    draw = np.random.default_rng(0)
    for i in range(FILES):
        photograph = photographs[i % len(photographs)]
        top, left = (draw.integers(0, side - SIDE + 1) for side in photograph.shape[:2])
        crop = photograph[top : top + SIDE, left : left + SIDE]
        Image.fromarray(crop).save(root / f"{i:05}.jpg", quality=QUALITY)


@jax.jit
def _use(arrays, inputs, i):
    """Needs every pixel of a batch, or the compiler would leave the gathering out."""
    batch = data.select(arrays, jax.tree.map(lambda x: x[i], inputs))
    return batch["image"].sum(dtype=np.uint32)


class Feed:
    """The project's feed, from files or from the device (`data.placement`); a step is a batch."""

    def __init__(self, config):
        self.images_per_step = config.train.batch_size
        split, rows = data.open_dataset(config.data).train, np.arange(self.images_per_step)
        self._feed = data.open_feed(split, config.data, len(rows), rows, config.seed, log=print)
        self._length, self._step = config.train.steps_per_call, 0
        self._arrays = jax.device_put(self._feed.arrays)

    def run(self, steps: int):
        last, total = self._step + steps, None
        while self._step < last:
            n = min(self._length, last - self._step)
            chunk = self._feed.chunk(self._step, n)
            inputs = jax.device_put(filled(chunk, self._length))
            for i in range(n):
                total = _use(self._arrays, inputs, i)
            self._step += n
        total.block_until_ready()


class Loader:
    """PyTorch's DataLoader over the same folder, with as many worker processes as cores.

    Resident data is a tensor, of which each batch gathers rows.
    """

    def __init__(self, config):
        import torch

        self.images_per_step, self._torch = config.train.batch_size, torch
        self._device = torch.device("cuda" if jax.default_backend() == "gpu" else "cpu")
        if config.data.placement == "resident":
            split = data.open_dataset(config.data).train
            array = np.stack([split.read(i)["image"] for i in range(len(split))])
            self._batches = self._gathered(torch.from_numpy(array).to(self._device))
        else:
            self._batches = self._loaded(config.data)

    def _gathered(self, array):
        whole = len(array) // self.images_per_step
        while True:
            order = self._torch.randperm(len(array), device=self._device)
            for rows in order.split(self.images_per_step)[:whole]:
                yield array[rows]

    def _loaded(self, config_data):
        folder = Path(config_data.name.partition(":")[2])
        loader = self._torch.utils.data.DataLoader(
            sorted(folder.glob("*.jpg")),
            batch_size=self.images_per_step,
            shuffle=True,
            drop_last=True,
            num_workers=host.cores(),
            collate_fn=functools.partial(_collated, size=config_data.size),
            persistent_workers=True,
            pin_memory=self._device.type == "cuda",
        )
        while True:
            for batch in loader:
                yield batch.to(self._device, non_blocking=True)

    def run(self, steps: int):
        for _ in range(steps):
            total = next(self._batches).sum(dtype=self._torch.int64)
        total.item()  # waits for the device


def _collated(files: list[Path], size: int):
    """A batch of decoded central squares, u8[B, size, size, 3]."""
    from torch.utils.data import default_collate

    def decoded(path: Path) -> np.ndarray:
        with Image.open(path) as file:
            picture = file.convert("RGB")
        return np.array(ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS))

    return default_collate([decoded(path) for path in files])
