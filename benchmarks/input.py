"""Input: how fast batches of decoded pictures come, with no network behind them.

The pictures are JPEG files of 256 px a side, cut from the built-in photographs at fixed places, and
every batch is of central squares at the config's size. Ours is the project's own feed; beside it a
PyTorch DataLoader reads the same files with Pillow. Both read ahead while nobody asks, about four
batches, which a round of some seconds makes little of.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from benchmarks import workloads
from genjax import data, images
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


class Feed:
    """The project's feed; a step is one batch, on the device.

    Args:
      overrides: `data.placement` says whether the batches stream from files or are gathered on the
        device.
    """

    def __init__(self, config: str, overrides: Mapping[str, str]):
        options = workloads.read(config, overrides)
        self.images_per_step = options.train.batch_size
        split = data.open_dataset(options.data).train
        rows = np.arange(self.images_per_step)
        self._feed = data.open_feed(
            split, options.data, len(rows), rows, options.seed, log=lambda line: None
        )
        self._length = options.train.steps_per_call
        self._arrays = jax.device_put(self._feed.arrays)

        @jax.jit
        def use(arrays, inputs, i):
            # Something that needs every pixel, or the compiler would leave the gathering out.
            batch = data.select(arrays, jax.tree.map(lambda x: x[i], inputs))
            return batch["image"].sum(dtype=np.uint32)

        self._use, self._step = use, 0

    def run(self, steps: int):
        done, total = 0, None
        while done < steps:
            n = min(self._length, steps - done)
            chunk = self._feed.chunk(self._step, n)
            inputs = jax.device_put(filled(chunk, self._length))
            for i in range(n):
                total = self._use(self._arrays, inputs, i)
            self._step, done = self._step + n, done + n
        total.block_until_ready()


class Loader:
    """PyTorch's DataLoader over the same folder, with as many worker processes as cores.

    Resident data is a tensor, of which each batch gathers rows.
    """

    def __init__(self, config: str, overrides: Mapping[str, str], device: str):
        import torch

        options = workloads.read(config, overrides)
        self.images_per_step = options.train.batch_size
        self._device = torch.device("cuda" if device == "gpu" else "cpu")
        self._torch = torch
        if options.data.placement == "resident":
            split = data.open_dataset(options.data).train
            array = np.stack([split.read(i)["image"] for i in range(len(split))])
            self._batches = self._gathered(torch.from_numpy(array).to(self._device))
        else:
            self._batches = self._loaded(options.data.name.partition(":")[2], options.data.size)

    def _gathered(self, array):
        while True:
            order = self._torch.randperm(len(array), device=self._device)
            for part in order.split(self.images_per_step):
                if len(part) == self.images_per_step:
                    yield array[part]

    def _loaded(self, folder: str, size: int):
        files = sorted(Path(folder).glob("*.jpg"))
        workers = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
        loader = self._torch.utils.data.DataLoader(
            _Files(files, size),
            batch_size=self.images_per_step,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
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


class _Files:
    """A data set of PyTorch's protocol: decoded central squares, u8[size, size, 3]."""

    def __init__(self, files: list[Path], size: int):
        self._files, self._size = files, size

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, i: int):
        with Image.open(self._files[i]) as file:
            picture = file.convert("RGB")
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        box = (left, top, left + side, top + side)
        size = (self._size, self._size)
        return np.asarray(picture.resize(size, Image.Resampling.LANCZOS, box)).copy()
