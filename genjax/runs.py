"""Builds a run from a config, and opens a trained run from its workdir."""

import hashlib
import importlib.metadata
import os
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
from genjax.devices import host, parallel, processes
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

# The libraries besides JAX that compute, or that decode pictures.
_LIBRARIES = ("jaxlib", "flax", "optax", "numpy", "pillow")

RUN_PREFIX = "run:"
RUN_PICTURES = 4  # how many samples of a run `run:WORKDIR` stands for


class Run(NamedTuple):
    """What a config describes: a task, its data, and the devices it runs on."""

    config: ConfigDict
    task: Task
    dataset: data.Dataset | None
    devices: parallel.Jit


class Trained(NamedTuple):
    """A run with the state of its newest checkpoint, as of `parallel.Jit.to_global`."""

    run: Run
    state: Any
    step: int


def build(config: ConfigDict) -> Run:
    """Builds the run that a config describes.

    Raises:
      UserError: a value of the config is not possible, a file that it names is missing, or the
        processes of the run have different configs or code.
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
    """The versions of genjax, JAX and Python, for processes to compare."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(genjax.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return {
        "genjax": f"{genjax.__version__} {digest.hexdigest()[:12]}",
        "jax": jax.__version__,
        "python": platform.python_version(),
    }


def checkpoints(run: Run, workdir: epath.Path) -> Checkpoints:
    """The checkpoints of `run` in `workdir`, kept as its config says.

    All processes have to call this.
    """
    options = run.config.checkpoint
    return Checkpoints(
        workdir,
        options.keep,
        best=options.best,
        best_mode=options.best_mode,
        made_by=_made_by(run.devices),
    )


def _made_by(devices: parallel.Jit) -> dict[str, str]:
    """What decides the bits of a run besides its config and data, for people to compare."""
    return {
        **_code(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
        "devices": str(devices),
        "runtime": devices.runtime,
        "cpu": "; ".join(sorted(set(processes.exchange(host.description())))),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def abstract_state(run: Run) -> Any:
    """The shapes, types and shardings of a run's global state."""
    key = rng.stream(run.config.seed, rng.Stream.INIT)
    return run.devices.abstract(run.task.init, key, run.task.constants)


def step_shapes(run: Run) -> tuple:
    """The arguments (state, batch, key) of a step on the global batch; shapes instead of arrays."""
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
    """Prints a line on stderr, in the first process only."""
    if processes.is_first():
        print(line, file=sys.stderr)


def open_trained(config: ConfigDict, workdir: epath.Path) -> Trained:
    """The trained run in `workdir`. Its config has to equal `config` except for the free keys.

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
    """Draws `n` pictures u8[n, H, W, C] from any state of a run, always with the same noise."""

    def __init__(self, run: Run, n: int, seed: int):
        self._key = rng.stream(seed, rng.Stream.SAMPLE)
        self._compiled = run.devices.on_state(lambda state, key: run.task.sample(state, key, n))

    def __call__(self, state) -> np.ndarray:
        return np.asarray(self._compiled(state, self._key))


def read_picture(name: str) -> list[np.ndarray]:
    """[u8[H, W, 3], ...]: the pictures that a config's value stands for.

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
