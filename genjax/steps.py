"""A run's training steps: the one program that executes chunks of them, and its inputs."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from genjax import data, rng, runs
from genjax.data.augment import augment, mirrored_in_turn
from genjax.data.feed import Resident, Stream
from genjax.devices import pmean


def open_feed(run: runs.Run, say: Callable[[str], None]) -> Resident | Stream | None:
    """The batches of a run's training split (see `data.open_feed`), or None for a task without.

    `say` is called with a line that says where the data are held.
    """
    if not run.dataset:
        return None
    options, size = run.config, run.task.images_per_step
    return data.open_feed(
        run.dataset.train, options.data, size, run.devices.rows, options.seed, say
    )


class Steps:
    """The compiled steps of a run, with its data and constants on the devices.

    Args:
      run: its task, config and devices.
      feed: the result of `open_feed`.
      state: a result of `run.devices.from_global`, whose shardings the program keeps.
    """

    def __init__(self, run: runs.Run, feed: Resident | Stream | None, state):
        self._devices, self._feed = run.devices, feed
        # A dimension of size 1 would be compiled away, into a program that rounds differently.
        self.capacity = max(2, run.config.train.steps_per_call)
        function = step_function(run.task, run.config, len(run.dataset.train) if feed else 0)
        self._program = run.devices.chunk(function, self.capacity, state)
        self._arrays = run.devices.place_arrays(
            {"data": feed.arrays if feed else {}, "constants": run.task.constants}
        )

    def inputs(self, step: int, n: int) -> dict[str, jax.Array]:
        """The inputs of the `n` steps after `step`, on the devices: {name: [capacity, B, ...]}."""
        chunk = self._feed.chunk(step, n) if self._feed else {}
        return self._devices.place_inputs(filled(chunk, self.capacity))

    def __call__(self, state, inputs, step: int, n: int) -> tuple:
        """Starts the `n` steps after `step`; returns (state, {metric: f32[capacity]}).

        The argument's state is donated. The first `n` values of each metric are those of the steps.
        """
        return self._program(state, self._arrays, inputs, step, n)

    def text(self, state, inputs, step: int, n: int) -> str:
        """The text of the compiled program, or "" where JAX does not give it."""
        if not hasattr(self._program, "lower"):  # `parallel.Pmap` wraps it in a function
            return ""
        return self._program.lower(state, self._arrays, inputs, step, n).compile().as_text()


def filled(chunk: dict[str, np.ndarray], capacity: int) -> dict[str, np.ndarray]:
    """{name: [n, ...]} filled up with zeros to {name: [capacity, ...]}."""
    return {
        name: np.pad(x, [(0, capacity - len(x))] + [(0, 0)] * (x.ndim - 1))
        for name, x in chunk.items()
    }


def step_function(task, config: ConfigDict, examples: int = 0) -> Callable:
    """One training step: selects the batch, augments it, and calls the task's step.

    Returns `(state, arrays, x, step, axis_name) -> (state, metrics)`.

    Args:
      task: a `genjax.task.Task`.
      config: of the run; `seed`, `train.on_nonfinite` and what `data` says of flips and shifts are
        read. With "skip", a step whose metrics are not all finite leaves the state as it was.
      examples: how many the training split has; only `data.flip_in_turn` asks.
    """
    seed, options = config.seed, config.get("data")
    skips = config.train.on_nonfinite == "skip"

    def run_step(state, arrays, x, step, axis_name):
        batch = data.select(arrays["data"], x)
        if options:
            key = jax.random.fold_in(rng.stream(seed, rng.Stream.AUGMENT), step)
            flip = options.flip
            if options.flip_in_turn and flip:
                side = rng.stream(seed, rng.Stream.SIDE)
                size = task.images_per_step
                flip = mirrored_in_turn(batch["index"], side, step, size, examples, axis_name)
            batch = augment(batch, key, flip, options.shift, axis_name, options.border)
        key = jax.random.fold_in(rng.stream(seed, rng.Stream.STEP), step)
        updated, metrics = task.step(state, batch | arrays["constants"], key, axis_name)
        if not skips:
            return updated, metrics
        metrics = pmean(metrics, axis_name)  # so that all devices decide alike
        good = jnp.stack([jnp.isfinite(value) for value in metrics.values()]).all()
        return jax.tree.map(partial(jax.lax.select, good), updated, state), metrics

    return run_step
