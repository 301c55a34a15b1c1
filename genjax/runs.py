"""Runs: from a config to a task on its devices, and from a workdir back to a trained state."""

import hashlib
import importlib
import pathlib
import platform
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from ml_collections import ConfigDict

import genjax
from genjax import config as config_lib
from genjax import data, images, rng
from genjax.devices import parallel, processes
from genjax.errors import UserError
from genjax.task import Inputs, Task
from genjax.workdir import Checkpoints, checkpoint

# The module whose `build(config, inputs)` makes the task, for each value of the config's `task`.
FAMILIES = {
    "gan": "genjax.gan",
    "vae": "genjax.vae",
    "cnn": "genjax.cnn",
    "style": "genjax.style",
}

RUN_PREFIX = "run:"
RUN_PICTURES = 4  # how many samples of a run `run:WORKDIR` stands for


class Run(NamedTuple):
    """A config made into functions, on devices."""

    config: ConfigDict
    task: Task
    dataset: data.Dataset | None
    devices: parallel.Jit


class Trained(NamedTuple):
    """A run with the state of its newest checkpoint, in global form."""

    run: Run
    state: Any
    step: int


def build(config: ConfigDict) -> Run:
    """The run of a config.

    Raises:
      UserError: a value of the config is not possible, or a file that it names is missing.
    """
    config_lib.check(config)
    if processes.count() > 1:
        processes.check_same(config_lib.flatten(config) | _code())
    family = config_lib.choose("task", config.task, FAMILIES)
    dataset = data.open_dataset(config.data) if "data" in config else None
    task = importlib.import_module(family).build(config, Inputs(dataset, read_picture))
    devices = parallel.make(config.parallel, task.images_per_step, task.state_is_batch)
    return Run(config, task, dataset, devices)


def _code() -> dict[str, str]:
    """The versions of what computes, for processes to compare."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(genjax.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return {
        "genjax": f"{genjax.__version__} {digest.hexdigest()[:12]}",
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def checkpoints(config: ConfigDict, workdir: epath.Path) -> Checkpoints:
    """The checkpoints of the run in `workdir`, kept as its config says."""
    options = config.checkpoint
    return Checkpoints(workdir, options.keep, best=options.best, best_mode=options.best_mode)


def abstract_state(run: Run) -> Any:
    """The shapes, types and shardings of a run's global state."""
    key = rng.stream(run.config.seed, rng.Stream.INIT)
    return run.devices.abstract(run.task.init, key, run.task.constants)


def step_shapes(run: Run) -> tuple:
    """(state, batch, key) of a step's arguments, all devices together, as shapes and a key."""
    key = rng.stream(run.config.seed, rng.Stream.STEP)
    state = jax.eval_shape(run.task.init, key, run.task.constants)
    size, batch = run.task.images_per_step, {}
    if run.dataset:
        batch = {
            "image": jax.ShapeDtypeStruct((size, *run.dataset.shape), jnp.uint8),
            "label": jax.ShapeDtypeStruct((size,), jnp.int32),
            "index": jax.ShapeDtypeStruct((size,), jnp.int32),
        }
    return state, batch, key


def warn(line: str) -> None:
    """Tells people something, once, whatever the number of processes."""
    if processes.is_first():
        print(line, file=sys.stderr)


def open_trained(config: ConfigDict, workdir: epath.Path) -> Trained:
    """The trained run in `workdir`, whose config has to be `config` but for the free keys.

    Raises:
      UserError: there is no such run, it has another config, or no checkpoint yet.
    """
    config_lib.check_same(config, workdir)
    run = build(config)
    found = checkpoint.restore(workdir, abstract_state(run), warn)
    if found is None:
        raise UserError(f"{workdir} has no checkpoint yet: train it first with --mode=train")
    return Trained(run, found.state, found.step)


def draw(trained: Trained, n: int, seed: int) -> np.ndarray:
    """u8[n, H, W, C], `n` samples of a trained run.

    Raises:
      UserError: its task has nothing to sample.
    """
    run = trained.run
    if run.task.sample is None:
        raise UserError(
            f"task={run.config.task!r} makes no pictures to sample: use --mode=evaluate"
        )
    return Sampler(run, n, seed)(trained.state)


class Sampler:
    """Draws the same `n` latents' pictures, u8[n, H, W, C], from any state of a run."""

    def __init__(self, run: Run, n: int, seed: int):
        self._key = rng.stream(seed, rng.Stream.SAMPLE)
        self._compiled = run.devices.on_state(lambda state, key: run.task.sample(state, key, n))

    def __call__(self, state) -> np.ndarray:
        return np.asarray(self._compiled(state, self._key))


def read_picture(name: str) -> list[np.ndarray]:
    """[u8[H, W, 3], ...]: what a config's picture stands for.

    Args:
      name: a path, the name of a built-in photograph, or `run:WORKDIR` for the samples of a
        trained run.

    Raises:
      UserError: there is no such picture or run.
    """
    if not name.startswith(RUN_PREFIX):
        return [images.load(name)]
    workdir = epath.Path(name.removeprefix(RUN_PREFIX))
    config = config_lib.load(workdir)
    pictures = draw(open_trained(config, workdir), RUN_PICTURES, config.sample.seed)
    return [images.to_channels(picture, 3) for picture in pictures]
