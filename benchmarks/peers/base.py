"""What every peer has: resident data, a loop, memory, and how a variant is applied."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import memory
from genjax.data import Resident


@dataclass(frozen=True)
class Variant:
    """One way to run a PyTorch program.

    Attributes:
      name: what a report calls it.
      channels_last: modules, pictures and data in NHWC memory; NCHW otherwise.
      compile: the mode of `torch.compile`, "" for eager.
      autocast: bfloat16 arithmetic by `torch.autocast`; parameters and losses stay float32.
      tf32: whether a GPU may round the factors of float32 products to TF32, as JAX's default
        precision lets it.
      dtype: of parameters and arithmetic; float64 only as a witness in parity.
    """

    name: str
    channels_last: bool = False
    compile: str = ""
    autocast: bool = False
    tf32: bool = False
    dtype: torch.dtype = torch.float32


EAGER = Variant("eager")


class Peer:
    """A workload in PyTorch, from drawing a batch to the optimisers' updates.

    A family gives `_train`, `_draw`, `sample`, `load`, `outputs` and `moments`.

    Attributes:
      images_per_step: examples that a step consumes, as genjax counts them.
    """

    images_per_step: int

    def __init__(self, config, variant: Variant, device: str):
        self.config, self.variant = config, variant
        self.device = torch.device({"gpu": "cuda"}.get(device, device))
        torch.set_float32_matmul_precision("high" if variant.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = variant.tf32
        torch.backends.cudnn.benchmark = True  # the shapes never change: time the algorithms once
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)

    def run(self, n: int) -> None:
        """Trains `n` steps, each on a batch and noise of its own; waits for the last."""
        for _ in range(n):
            if self.variant.compile == "reduce-overhead":
                torch.compiler.cudagraph_mark_step_begin()
            self._train(*self._draw())
        self._synchronize()

    def step(self, batch: dict, noise: dict) -> dict[str, float]:
        """One training step on a given batch and noise.

        Args:
          batch: numpy arrays as genjax's step sees them: "image" u8[B, H, W, C], after
            augmentation, and "label" i32[B].
          noise: {name: f32[...]}, the random numbers that genjax draws in this step.

        Returns:
          The step's losses.
        """
        losses = self._train(self.images(batch["image"]), self._labels(batch), self._noise(noise))
        return {name: float(value) for name, value in losses.items()}

    def peak_memory_bytes(self) -> int:
        """The most that tensors have taken of a GPU since this peer was made; on a CPU the most
        that this process has held resident, Python and its libraries included."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return memory.resident_peak_bytes()

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """A module on the device, in the variant's type and memory format."""
        module = module.to(self.device, self.variant.dtype)
        if self.variant.channels_last:
            module = module.to(memory_format=torch.channels_last)
        return module

    def compiled(self, function):
        """A function as the variant runs it: under autocast, compiled, or as it is."""
        if self.variant.autocast:
            function = torch.autocast(self.device.type, torch.bfloat16)(function)
        if not self.variant.compile:
            return function
        # With dynamic shapes, inductor's CPU code fails on convolutions ("Cannot convert
        # expression to float"); the shapes are constant, and constants make faster code anyway.
        return torch.compile(function, dynamic=False, mode=self.variant.compile)

    def tensor(self, array) -> torch.Tensor:
        """A numpy array on the device; floats in the variant's type."""
        tensor = torch.tensor(np.asarray(array), device=self.device)
        return tensor.to(self.variant.dtype) if tensor.is_floating_point() else tensor

    def images(self, array) -> torch.Tensor:
        """Pictures [B, H, W, C] as a tensor [B, C, H, W] in the variant's memory format."""
        tensor = self.tensor(array).permute(0, 3, 1, 2)
        return tensor if self.variant.channels_last else tensor.contiguous()

    def to_float(self, image: torch.Tensor, low: int) -> torch.Tensor:
        """Scales u8[...] to [low, 1], `low` being -1 or 0, as `genjax.images.to_float` does."""
        scaled = image.to(self.variant.dtype)
        return (scaled.add_(low * 127.5) if low else scaled).mul_((1 - low) / 255)

    def to_uint8(self, image: torch.Tensor, low: int) -> np.ndarray:
        """Pictures [B, C, H, W] in [low, 1] as u8[B, H, W, C]; the inverse of `to_float`."""
        scaled = (image.float() - low).mul_(255 / (1 - low)).round_().clamp_(0, 255)
        return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal noise."""
        return torch.randn(
            shape, generator=self.generator, device=self.device, dtype=self.variant.dtype
        )

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform noise in [0, 1)."""
        return torch.rand(
            shape, generator=self.generator, device=self.device, dtype=self.variant.dtype
        )

    def _noise(self, noise: dict) -> dict[str, torch.Tensor]:
        """Noise as `_train` takes it; what has the shape of pictures becomes pictures."""
        return {k: self.images(x) if x.ndim == 4 else self.tensor(x) for k, x in noise.items()}

    def _labels(self, batch: dict) -> torch.Tensor:
        return self.tensor(batch["label"]).long()

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Data:
    """A training split, resident as uint8, and its batches: a fresh permutation each epoch.

    Images lie in the variant's memory format, so that a batch needs no conversion.
    """

    def __init__(self, peer: Peer, dataset, batch_size: int):
        split = dataset.train
        arrays = Resident(split, batch_size, np.arange(batch_size), peer.config.seed).arrays
        self._peer, self._options, self._batch_size = peer, peer.config.data, batch_size
        image = torch.tensor(arrays["image"], device=peer.device)
        if not peer.variant.channels_last:
            image = image.permute(0, 3, 1, 2).contiguous()
        self._image, self._label = image, peer.tensor(arrays["label"]).long()
        self._order, self._next = None, len(image)

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(u8[B, C, H, W], i64[B]), flipped and shifted as `config.data` says."""
        count = len(self._image)
        positions = []
        missing = self._batch_size
        while missing:
            if self._next >= count:
                generator, device = self._peer.generator, self._peer.device
                self._order = torch.randperm(count, generator=generator, device=device)
                self._next = 0
            part = self._order[self._next : self._next + missing]
            positions.append(part)
            missing -= len(part)
            self._next += len(part)
        index = positions[0] if len(positions) == 1 else torch.cat(positions)
        image = self._image.index_select(0, index)
        if self._peer.variant.channels_last:
            image = image.permute(0, 3, 1, 2)
        return self._augment(image), self._label.index_select(0, index)

    def _augment(self, image: torch.Tensor) -> torch.Tensor:
        flip, shift = self._options.flip, self._options.shift
        if not flip and not shift:
            return image
        # Both are one gather: where each row and each column of the result comes from.
        batch, _, height, width = image.shape
        rows = torch.arange(height, device=image.device).expand(batch, -1)
        columns = torch.arange(width, device=image.device).expand(batch, -1)
        options = {"generator": self._peer.generator, "device": image.device}
        if shift:
            moved = torch.randint(0, 2 * shift + 1, (2, batch, 1), **options)
            rows, columns = rows + moved[0], columns + moved[1]
            image = torch.nn.functional.pad(image, (shift,) * 4)
        if flip:
            # Flipped first, then shifted: the mirrored column of the padded picture.
            mirrored = torch.rand((batch, 1), **options) < 0.5
            columns = torch.where(mirrored, image.shape[3] - 1 - columns, columns)
        rows, columns = rows[:, :, None], columns[:, None, :]
        examples = torch.arange(batch, device=image.device)[:, None, None]
        # Advanced indices around a slice put the channels last, whatever the memory format.
        picked = image.permute(0, 2, 3, 1)[examples, rows, columns].permute(0, 3, 1, 2)
        return picked if self._peer.variant.channels_last else picked.contiguous()


def ema_decay(step: int, batch_size: int, half_life: float, ramp: float) -> float:
    """The decay of a moving average after `step` rounds: `genjax.nn.ema.update`."""
    effective = min(half_life, ramp * batch_size * step)
    return math.exp2(-batch_size / max(effective, 1e-8))
