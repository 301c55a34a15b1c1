"""Builds a run from a config, and opens a trained run from its workdir."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from genjax import aggregate, data, images, rng, score_keys, versions
from genjax import config as config_lib
from genjax.devices import parallel, processes, shared
from genjax.errors import UserError
from genjax.files import expanded
from genjax.nn import backend
from genjax.task import RUN_PREFIX, Inputs, Task
from genjax.workdir import (
    Checkpoints,
    at_step,
    checkpoint,
    config_file,
    fingerprint,
    known_data,
    known_task,
)

# The module whose `build(config, inputs)` makes the task, for each value of the config's `task`.
FAMILIES = {
    "gan": "genjax.gan",
    "vae": "genjax.vae",
    "vq": "genjax.vae.vq_task",
    "vqgan": "genjax.vae.vqgan_task",
    "codes": "genjax.vae.code_prior",
    "vdvae": "genjax.vae.vdvae_task",
    "cnn": "genjax.cnn",
    "style": "genjax.style",
    "nnst": "genjax.style.nnst_task",
    "stain": "genjax.style.stain_task",
    "style_fast": "genjax.style.fast_task",
    "style_adain": "genjax.style.adain_task",
    "style_linear": "genjax.style.linear_task",
    "style_vae": "genjax.style.vae_task",
    "style_video": "genjax.style.video_task",
}

RUN_PICTURES = 4  # how many samples of a run `run:WORKDIR` stands for

_LONGEST_ROW = 40  # pictures; of more classes, a grid has no column for each

TOGETHER = 64  # samples are drawn so many at a time, or as many as a training batch has if fewer


class Run(NamedTuple):
    """What a config describes: a task, its data, and the devices it runs on.

    `dataset` is None for a task without data, and has no splits where the data were not opened.
    """

    config: ConfigDict
    task: Task
    dataset: data.Dataset | None
    devices: parallel.Jit


class Trained(NamedTuple):
    """A run with the state of one of its checkpoints, as of `parallel.Jit.to_global`."""

    run: Run
    state: Any
    step: int


def build(
    config: ConfigDict, dataset: data.Dataset | None = None, workdir: epath.Path | None = None
) -> Run:
    """Builds the run that a config describes.

    Args:
      dataset: that of `config.data`, where it need not be opened.
      workdir: where the run may go on.

    Raises:
      UserError: a value of the config is not possible, a file that it names is missing, there are
        no devices, or the processes of the run have different configs, code or data.
    """
    config_lib.check(config)
    score_keys.check(config)
    parallel.require_devices()
    if processes.count() > 1:
        processes.check_same(config_lib.flatten(config) | versions.of_code())
    family = config_lib.choose("task", config.task, FAMILIES)
    if "data" in config and dataset is None:
        dataset = data.open_dataset(config.data)
        if processes.count() > 1:
            processes.check_same({"data": dataset.digest})
    known = known_task.load(workdir) if workdir else {}
    task = importlib.import_module(family).build(config, Inputs(dataset, read_picture, known))
    mode, size = config.parallel, task.images_per_step
    if task.shared:
        return Run(config, task, dataset, shared.make(mode, size))
    devices = parallel.make(mode, size, task.state_is_batch)
    return Run(config, task, dataset, devices)


def checkpoints(run: Run, workdir: epath.Path) -> Checkpoints:
    """The checkpoints of `run` in `workdir`, kept as its config says.

    All processes have to call this.
    """
    best, mode = score_keys.best(run.config)
    return Checkpoints(
        workdir,
        run.config.checkpoint.keep,
        best=best,
        best_mode=mode,
        made_by=versions.of_run(run.devices),
    )


def stage_after(run: Run, step: int) -> Run:
    """The run with the task whose state is that after `step` steps.

    At the end of a stage (`task.Stage`), that is the task of the stage which ends.
    """
    stage = run.task.stage
    return run._replace(task=stage.task(max(step, 1))) if stage else run


def next_stage(run: Run, state) -> tuple[Run, Any]:
    """The run with the task of the next stage, and the global state that it begins with.

    Args:
      state: global, after the last step of the stage of `run`.
    """
    task = run.task.stage.task(run.task.stage.until + 1)
    return run._replace(task=task), run.devices.init(task.stage.carry, state, task.constants)


def abstract_states(run: Run) -> Callable[[int], Any]:
    """`(step) -> ` the `abstract_state` after so many steps, whichever stage that is in."""
    return lambda step: abstract_state(stage_after(run, step))


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


def open_trained(
    config: ConfigDict, workdir: epath.Path, step: str = at_step.LATEST, with_data: bool = True
) -> Trained:
    """The trained run in `workdir`, which `config` has to be able to go on with.

    Args:
      step: of the checkpoint: a number, "latest" or "best" (`at_step.steps_of`).
      with_data: whether the data are opened. Otherwise what the run knows of them has to do; only
        runs from before it was kept open them all the same.

    Raises:
      UserError: there is no such run or checkpoint, or the run has another config.
    """
    config_file.changes(config, workdir)
    steps = at_step.steps_of(workdir, step)
    run = build(config, None if with_data else known_data.load(workdir), workdir)
    found = checkpoint.restore(workdir, steps, abstract_states(run), warn)
    run = stage_after(run, found.step)
    if config.sample.get("prior") == "mixture":
        run = aggregate.with_mixture(run, found.state, workdir)
    return Trained(run, found.state, found.step)


def first_state(run: Run) -> Any:
    """The state of a run before its first step, as of `parallel.Jit.to_global`.

    Raises:
      UserError: as `start_from`, or what the task has from elsewhere is not there.
    """
    key = rng.stream(run.config.seed, rng.Stream.INIT)
    state = run.devices.init(run.task.init, key, run.task.constants)
    if run.task.copied:
        state = _with_fields(run, state, run.task.copied())
    return start_from(run, state) if run.config.init_from else state


def start_from(run: Run, state) -> Any:
    """A new run's state with the networks of the run that `init_from` names.

    Raises:
      UserError: there is no such run or checkpoint, or its networks are of another kind or shape.
    """
    name, parts = run.config.init_from, run.task.networks
    if not parts:
        raise UserError(f"task={run.config.task!r} has no networks to start with: leave init_from")
    workdir, step = at_step.split(name)
    # Checkpoints do not hold a part without parameters.
    empty = tuple(part for part in parts if not jax.tree.leaves(getattr(state, part)))
    needed = tuple(part for part in parts if part not in empty)
    found = checkpoint.restore_arrays(workdir, at_step.steps_of(workdir, step), needed, empty)
    for part in parts:
        there, here = (
            {
                f"{part}/{path}": x.shape
                for path, x in zip(fingerprint.paths(tree), jax.tree.leaves(tree), strict=True)
            }
            for tree in (found[part], getattr(state, part))
        )
        for path in sorted(there.keys() | here.keys()):
            if there.get(path) != here.get(path):
                raise UserError(
                    f"init_from={name}: the networks there have other shapes: {path} is "
                    f"{there.get(path, 'absent')} there and {here.get(path, 'absent')} here"
                )
    return _with_fields(run, state, found)


def _with_fields(run: Run, state, fields: Mapping[str, Any]):
    """A global state with other arrays in its fields, of the same shapes."""
    placed = {
        name: run.devices.placed_like(arrays, getattr(state, name))
        for name, arrays in fields.items()
    }
    return state.replace(**placed)


def draw(trained: Trained, n: int, seed: int) -> np.ndarray:
    """u8[n, H, W, C], `n` samples of a trained run.

    Raises:
      UserError: its task has nothing to sample.
    """
    return sampler(trained.run, n, seed)(trained.state)


def sampler(run: Run, n: int, seed: int) -> "Sampler":
    """A `Sampler` of a run whose task may have nothing to sample.

    Raises:
      UserError: it has not.
    """
    if run.task.sample is None:
        raise UserError(
            f"task={run.config.task!r} makes no pictures to sample: use --mode=evaluate"
        )
    return Sampler(run, n, seed)


def grid(pictures: np.ndarray, classes: int) -> np.ndarray:
    """Samples u8[N, H, W, C] as a sheet (`images.grid`), where they have classes a column of each.

    Where classes are more than a row can show, they follow one another in the squarest grid.
    """
    return images.grid(pictures, _columns(classes))


def whole_rows(run: Run, n: int) -> int:
    """`n`, or so many samples more that the last row of their grid has a picture of each class."""
    columns = _columns(_classes_in_turn(run)) or 1
    return -(-n // columns) * columns


def sampler_of_grids(run: Run) -> "Sampler":
    """The `Sampler` of the grids that training shows."""
    options = run.config.sample
    return Sampler(run, whole_rows(run, options.n), options.seed, few=True)


def _classes_in_turn(run: Run) -> int:
    """Of how many classes samples are in turn; 0 where they are not."""
    return run.task.classes if run.config.sample.get("label", -1) < 0 else 0


def _columns(classes: int) -> int | None:
    return classes if 1 < classes <= _LONGEST_ROW else None


def settler(run: Run, seed: int, few: bool = False) -> Callable:
    """`(state, level) -> ` the state that samples of a run are drawn from.

    It has other statistics where `Latents.settled` makes them, for latents truncated to a `level`.

    Args:
      seed: of samples; few: as of `Sampler`.
    """
    if run.task.latents is None or run.task.latents.settled is None:
        return lambda state, level=None: state
    settled, level = run.task.latents.settled, run.task.latents.level
    compiled = run.devices.on_state(backend.native()(settled) if few else settled, often=not few)
    key = rng.stream(seed, rng.Stream.SAMPLE)
    return lambda state, level=level: state.replace(**compiled(state, key, np.float32(level)))


class Sampler:
    """Draws `n` pictures from any state of a run, always with the same noise.

    Picture i depends on the state, the seed and i alone: the first n of more are the same to the
    bit, because each call of the compiled function draws equally many.

    Attributes:
      classes: of which they are in turn; 0 where they are not.
      labels: i64[n], the class that each is made to be of; None where they are of none.

    Args:
      few: whether so few are drawn that compiling takes longer: with native operations it takes a
        quarter of the time, and drawing twice as long. Pictures differ by rounding.
    """

    def __init__(self, run: Run, n: int, seed: int, few: bool = False):
        self._key = rng.stream(seed, rng.Stream.SAMPLE)
        self._n, self._all_at_once = n, run.task.state_is_batch
        self.classes = _classes_in_turn(run)
        self.labels: np.ndarray | None = None
        if run.task.classes:
            one = run.config.sample.get("label", -1)
            self.labels = np.arange(n) % self.classes if self.classes else np.full(n, one)
        self._size = min(TOGETHER, run.task.images_per_step)
        drawn = backend.native()(run.task.sample) if few else run.task.sample
        self._compiled = run.devices.on_state(drawn, often=not few)
        self._settle = settler(run, seed, few)

    def batches(self, state) -> Iterator[np.ndarray]:
        """Yields u8[b, H, W, C], which together are the `n` pictures (see `Task.sample`)."""
        state = self._settle(state)
        for first in range(0, self._n, self._size):
            index = np.arange(first, first + self._size, dtype=np.int32)
            pictures = np.asarray(self._compiled(state, self._key, index))
            if self._all_at_once:
                yield pictures
                return
            yield pictures[: self._n - first]

    def __call__(self, state) -> np.ndarray:
        """u8[n, H, W, C], all of them."""
        return np.concatenate(list(self.batches(state)))


def read_picture(name: str) -> list[np.ndarray]:
    """[u8[H, W, 3], ...]: the pictures that a config's value stands for.

    Args:
      name: a path, the name of a built-in photograph, or `run:WORKDIR` or `run:WORKDIR@STEP` for
        the samples of a trained run.

    Raises:
      UserError: there is no such picture or run.
    """
    if not name.startswith(RUN_PREFIX):
        return [images.load(expanded(name))]
    workdir, step = at_step.split(name.removeprefix(RUN_PREFIX))
    config = config_file.load(workdir)
    trained = open_trained(config, workdir, step, with_data=False)
    pictures = draw(trained, RUN_PICTURES, config.sample.seed)
    return [images.to_channels(picture, 3) for picture in pictures]
