"""A task: the handful of pure functions that the one loop drives, whatever the family."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from genjax.data import Dataset

State = Any  # one flax.struct dataclass a family: everything that a resume needs
Batch = Mapping[str, jax.Array]  # "image" u8[B, H, W, C], "label" i32[B], "index" i32[B]
Metrics = Mapping[str, jax.Array]


class Task(NamedTuple):
    """Pure functions over pytrees: no I/O and no globals.

    Pictures leave a task as uint8, so whoever writes, shows or measures them sees the same ones.

    Attributes:
      init: `(key, constants) -> state`.
      step: `(state, batch, key, axis_name) -> (state, metrics)`, one optimiser round. `batch` and
        `metrics` (f32[] each, means over the batch) are this device's share when `axis_name` names
        a mapped axis, and global when it is None; gradients and statistics are averaged inside.
      images_per_step: how many images a step consumes, all devices together.
      evaluate: `(state, batch, key) -> metrics` of held-out data, f32[B]: one value per example.
        None where nothing can be held out.
      sample: `(state, key, n) -> u8[n, H, W, C]`, what to show a person; None for a task that
        makes no pictures of its own.
      pictures: `(state, batch, key) -> {name: u8[rows, columns, H, W, C]}`, further pictures that
        need held-out data to be drawn, such as reconstructions beside their originals.
      outputs: `(state) -> {file name: u8[H, W, C]}`, what the run was for, written into the
        workdir when it ends.
      state_is_batch: whether the state's leaves have the batch as leading axis (the image is the
        parameter) and are divided over the devices like one; otherwise every device holds all.
      constants: {name: arrays} that no step changes, such as a feature network's weights; every
        device holds them whole, and every batch carries them besides its images.
      notes: {what: fact} that the report of a run says, such as whose weights were used.
    """

    init: Callable[..., State]
    step: Callable[..., tuple[State, Metrics]]
    images_per_step: int
    evaluate: Callable[..., Metrics] | None = None
    sample: Callable[..., jax.Array] | None = None
    pictures: Callable[..., Mapping[str, jax.Array]] | None = None
    outputs: Callable[..., Mapping[str, jax.Array]] | None = None
    state_is_batch: bool = False
    constants: Mapping[str, Any] = {}
    notes: Mapping[str, str] = {}


class Inputs(NamedTuple):
    """What a family builds its task from, besides the config.

    Attributes:
      dataset: the images to train on; None for a task that optimises its own.
      read_picture: `(name) -> [u8[H, W, 3], ...]`, the pictures that a path, a built-in name or
        `run:WORKDIR` (the samples of a trained run) stands for.
    """

    dataset: Dataset | None
    read_picture: Callable[[str], list]
