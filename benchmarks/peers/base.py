"""What every peer has: resident data, a loop, memory, and how a variant is applied."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.peers import weights


class Examples(NamedTuple):
    """A split, whoever has read it."""

    image: np.ndarray  # u8[N, H, W, C]
    label: np.ndarray  # i32[N]
    classes: int  # how many there are


@dataclass(frozen=True)
class Variant:
    """One way to run a PyTorch program."""

    name: str  # as a report calls it
    channels_last: bool = False  # modules, pictures and data in NHWC memory; else NCHW
    compile: str = ""  # the mode of `torch.compile`; "" for eager
    autocast: bool = False  # bfloat16 arithmetic; parameters and losses stay float32
    tf32: bool = False  # a GPU rounds the factors of products, as JAX's default precision does
    dtype: torch.dtype = torch.float32  # float64 only as a witness in parity


EAGER = Variant("eager")
COLUMNS = 8  # of the pictures that `Peer.shown` makes


class Peer:
    """A workload in PyTorch, from drawing a batch to the optimisers' updates.

    A family holds its data, fills `networks`, as genjax's state names them, and `optimizers`, and
    gives `_noise`, `_train`, `scores` and, if it draws pictures, `_pictures` and `shown`. Style,
    which has neither networks nor batches, replaces what uses them.

    Neither this class nor a family's imports JAX: `benchmarks.torch_main` is a program of PyTorch
    alone. What is read from files is given to them.

    Attributes:
      low: the least value of a picture as the networks know it: 0, or -1.
      images_per_step: examples that a step consumes, as genjax counts them.
    """

    low = 0

    def __init__(self, config, variant: Variant, device: str):
        self.config, self.variant = config, variant
        self.layout = torch.channels_last if variant.channels_last else torch.contiguous_format
        self.device = torch.device({"gpu": "cuda"}.get(device, device))
        torch.set_float32_matmul_precision("high" if variant.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = variant.tf32
        torch.backends.cudnn.benchmark = True  # the shapes never change: time the algorithms once
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        self.networks, self.optimizers = {}, {}

    def hold(self, examples: Examples, batch_size: int) -> tuple[int, int, int]:
        """Trains on these from now on, `batch_size` in a step; returns their shape (H, W, C)."""
        require(self.config, "data.flip", (False,))
        require(self.config, "data.border", ("black",))
        self.images_per_step, self.data = batch_size, Data(self, examples, batch_size)
        return examples.image.shape[1:]

    def run(self, steps: int) -> None:
        """Trains so many steps, each on a batch and noise of its own; waits for the last."""
        for _ in range(steps):
            self._advance()
        self._synchronize()

    def train(self, steps: int) -> dict[str, float]:
        """As `run`; returns the means of the steps' losses, {name: mean}."""
        losses = [{k: x.detach() for k, x in self._advance().items()} for _ in range(steps)]
        return {k: torch.stack([step[k] for step in losses]).mean().item() for k in losses[0]}

    def _advance(self) -> dict[str, torch.Tensor]:
        """One step; its losses."""
        if self.variant.compile == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        image, label = self.data.draw()
        return self._train(image, label, self._noise(image))

    def scores(self, image: torch.Tensor, label: torch.Tensor) -> dict[str, torch.Tensor]:
        """{name: f[]}: means over a held-out batch u8[B, C, H, W] and i64[B], as genjax's."""
        raise NotImplementedError

    def shown(self, image: torch.Tensor, label: torch.Tensor) -> dict[str, np.ndarray]:
        """{name: u8[rows, columns, H, W, C]}: pictures of a held-out batch, as genjax's."""
        return {}

    def everything(self) -> dict:
        """What a checkpoint has: of each network and each optimiser its `state_dict`."""
        kinds = {"networks": self.networks, "optimizers": self.optimizers}
        return {
            kind: {name: each.state_dict() for name, each in parts.items()}
            for kind, parts in kinds.items()
        }

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Within it, noise comes from a generator of its own, and that of training stays."""
        kept = self.generator
        self.generator = torch.Generator(self.device).manual_seed(seed)
        try:
            yield
        finally:
            self.generator = kept

    def draw(self, steps: int) -> None:
        """Samples so many times as many pictures as a training step consumes."""
        for _ in range(steps):
            self.sample(self.images_per_step)

    def weigh(self, steps: int) -> None:
        """Estimates so many times the likelihoods of as many pictures as a step consumes."""
        for _ in range(steps):
            self.log_likelihoods(self.data.draw()[0]).cpu()

    def log_likelihoods(self, image: torch.Tensor) -> torch.Tensor:
        """f[B], log p(x) in nats of u8[B, C, H, W], from `score.k` samples of each latent."""
        raise NotImplementedError

    def sample(self, n: int) -> np.ndarray:
        """u8[n, H, W, C]: drawn pictures, on the host."""
        with torch.no_grad():
            return self.to_uint8(self._pictures(n))

    def peak_memory_bytes(self) -> int:
        """The most that tensors took of a GPU since this peer was made; on a CPU, that this whole
        process has held resident."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        from benchmarks import machine

        return machine.resident_peak_bytes()

    def step(self, batch: dict, noise: dict) -> dict[str, float]:
        """The losses of one training step on given numpy arrays.

        Args:
          batch: "image" u8[B, H, W, C], after augmentation, and "label" i32[B].
          noise: {name: f32[...]}, the random numbers that genjax draws in this step.
        """
        image, label = self.tensor(batch["image"]), self.tensor(batch["label"]).long()
        losses = self._train(image, label, {name: self.tensor(x) for name, x in noise.items()})
        return {name: value.item() for name, value in losses.items()}

    def load(self, state) -> None:
        """Takes the networks of one of genjax's states at its start."""
        for name, network in self.networks.items():
            weights.load(network, getattr(state, name))

    def outputs(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """{network: its answer in training mode to its input}, pictures as [B, H, W, C]."""
        with torch.no_grad():
            found = {name: self.networks[name](self.tensor(x)) for name, x in inputs.items()}
        return {name: to_numpy(x) for name, x in found.items()}

    def gradients(self) -> dict[str, dict[str, np.ndarray]]:
        """{network: {parameter, named as Linen does: array}}: Adam's first moments."""
        states = {p: state for x in self.optimizers.values() for p, state in x.state.items()}
        return {
            name: weights.read(network, lambda parameter: states[parameter]["exp_avg"])
            for name, network in self.networks.items()
            if any(parameter in states for parameter in network.parameters())
        }

    def place(self, module: torch.nn.Module) -> torch.nn.Module:
        """A module on the device, in the variant's type and memory format."""
        return module.to(self.device, self.variant.dtype, memory_format=self.layout)

    def adam(self, *networks: str, shares: Mapping | None = None) -> torch.optim.Adam:
        """An optimiser of networks, with the config's learning rate and moments.

        Args:
          shares: {parameter: its share of the learning rate}; 1 for those that are not named.
        """
        options, groups = self.config.optimizer, {}
        for name in networks:
            for parameter in self.networks[name].parameters():
                groups.setdefault((shares or {}).get(parameter, 1.0), []).append(parameter)
        return torch.optim.Adam(
            [{"params": group, "share": share} for share, group in groups.items()],
            lr=options.learning_rate,
            betas=(options.get("b1", 0.9), options.get("b2", 0.999)),
            fused=True,
        )

    def descend(self, name: str, share: float = 1.0) -> None:
        """An update at a share of the config's learning rate."""
        optimizer = self.optimizers[name]
        for group in optimizer.param_groups:
            group["lr"] = self.config.optimizer.learning_rate * share * group["share"]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

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
        """An array on the device, floats in the variant's type; of pictures [B, H, W, C], which
        are all that has four axes, a tensor [B, C, H, W] in the variant's memory format."""
        tensor = torch.tensor(np.asarray(array), device=self.device)
        if tensor.is_floating_point():
            tensor = tensor.to(self.variant.dtype)
        return self.as_laid(tensor.permute(0, 3, 1, 2)) if tensor.ndim == 4 else tensor

    def as_laid(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures [B, C, H, W] in the variant's memory format."""
        return pictures.contiguous(memory_format=self.layout)

    def picked(self, pictures, rows, columns) -> torch.Tensor:
        """Of pictures [B, C, H, W] the pixels [B, C, h, w] of rows i64[B, h] and columns i64[B, w],
        which each example has of its own."""
        examples = torch.arange(len(pictures), device=pictures.device)[:, None, None]
        # One gather. Indices of the first axes leave the channels last, whatever the memory format.
        found = pictures.permute(0, 2, 3, 1)[examples, rows[:, :, None], columns[:, None, :]]
        return self.as_laid(found.permute(0, 3, 1, 2))

    def to_float(self, image: torch.Tensor) -> torch.Tensor:
        """Scales u8[...] to [low, 1], as `genjax.images.to_float` does."""
        scaled = image.to(self.variant.dtype)
        return (scaled.add_(self.low * 127.5) if self.low else scaled).mul_((1 - self.low) / 255)

    def to_uint8(self, image: torch.Tensor) -> np.ndarray:
        """Pictures [B, C, H, W] in [low, 1] as u8[B, H, W, C]; the inverse of `to_float`."""
        scaled = (image.float() - self.low).mul_(255 / (1 - self.low)).round_().clamp_(0, 255)
        return to_numpy(scaled.to(torch.uint8))

    def random(self, draw, *shape: int) -> torch.Tensor:
        """Noise in the variant's type; `draw` is `torch.randn` or, from 0 to 1, `torch.rand`."""
        return draw(shape, generator=self.generator, device=self.device, dtype=self.variant.dtype)

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Data:
    """A training split, resident as uint8, and its batches: each epoch a permutation.

    Images lie in the variant's memory format, so that a batch needs no conversion.
    """

    def __init__(self, peer: Peer, examples: Examples, batch_size: int):
        self._peer, self._batch_size = peer, batch_size
        # The rows of a gather are whole examples as they lie in memory: NHWC, or NCHW.
        image = peer.tensor(examples.image)
        self._image = image.permute(0, 2, 3, 1) if peer.variant.channels_last else image
        self._label = peer.tensor(examples.label).long()
        self._random = {"generator": peer.generator, "device": peer.device}
        self._order = torch.empty(0, dtype=torch.long, device=peer.device)

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(u8[B, C, H, W], i64[B]), shifted as `config.data` says."""
        while len(self._order) < self._batch_size:
            epoch = torch.randperm(len(self._image), **self._random)
            self._order = torch.cat([self._order, epoch])
        index, self._order = self._order[: self._batch_size], self._order[self._batch_size :]
        image = self._image.index_select(0, index)
        if self._peer.variant.channels_last:
            image = image.permute(0, 3, 1, 2)
        return self.augment(image), self._label.index_select(0, index)

    def augment(self, image: torch.Tensor) -> torch.Tensor:
        """A batch u8[B, C, H, W], each picture moved at random."""
        shift = self._peer.config.data.shift
        if not shift:
            return image
        batch, _, height, width = image.shape
        moved = torch.randint(0, 2 * shift + 1, (2, batch, 1), **self._random)
        rows = moved[0] + torch.arange(height, device=image.device)
        columns = moved[1] + torch.arange(width, device=image.device)
        padded = torch.nn.functional.pad(image, (shift,) * 4)
        return self._peer.picked(padded, rows, columns)


def require(config, key: str, supported: Collection) -> None:
    """Refuses a config that a peer would compute as another.

    Raises:
      ValueError: the key's value is none of those supported.
    """
    value = attrgetter(key)(config)
    value = tuple(value) if isinstance(value, list) else value  # settings come as JSON, too
    if value not in supported:
        raise ValueError(f"{key}={value} has no peer, only {', '.join(map(str, supported))}")


def to_numpy(x: torch.Tensor) -> np.ndarray:
    """A tensor as a numpy array of its own, pictures [B, C, H, W] as [B, H, W, C]."""
    x = x.detach().permute(0, 2, 3, 1) if x.ndim == 4 else x.detach()
    return x.cpu().numpy().copy()  # a view would change with the next step


def in_rows(pictures: np.ndarray) -> np.ndarray:
    """u8[rows, COLUMNS, H, W, C] of as many of u8[N, H, W, C] as fill whole rows."""
    rows = len(pictures) // COLUMNS
    return pictures[: rows * COLUMNS].reshape(rows, COLUMNS, *pictures.shape[1:])
