"""A stage of a run as the training loop has it: programs for the shapes of its task's state."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from clu import parameter_overview

from genjax import data, images, rng, runs
from genjax.data.feed import Resident, Stream
from genjax.evaluate import Evaluator
from genjax.steps import Steps

LEAST_SHOWN = 16  # held-out examples for `Task.pictures`; as many as `sample.n` if that is more


class Stage:
    """Trains, scores and draws the states of one stage of a run (`genjax.task.Stage`).

    Programs are compiled at their first call. Scores and pictures are of held-out examples, if the
    run has data, and there are none where nothing is held out or the task has no such function.

    Attributes:
      run: with the task of the stage.
      end: the step at which the stage ends, or the run.
      state: as of `run.devices.from_global`.
      steps: the compiled steps.
      evaluator: of states as of `run.devices.to_global`; None for no scores.

    Args:
      feed: the result of `steps.open_feed`.
      state: as of `run.devices.to_global`.
    """

    def __init__(self, run: runs.Run, feed: Resident | Stream | None, state):
        self.run, task, total = run, run.task, run.config.train.steps
        until = task.stage.until if task.stage else None
        self.end = total if until is None else min(total, until)
        self.state = run.devices.from_global(state)
        self.steps, self._compiled = Steps(run, feed, self.state), False
        held_out = not run.dataset or len(run.dataset.watched)
        self.evaluator = Evaluator(run) if task.evaluate and held_out else None
        self._sampler = runs.sampler_of_grids(run) if task.sample else None
        self._pictures = None
        if task.pictures and held_out:
            count = max(LEAST_SHOWN, run.config.sample.n)
            self._test_batch = data.examples(run.dataset.watched, count)
            self._pictures = run.devices.on_state(task.pictures)

    def facts(self, state) -> dict[str, str]:
        """{name: fact}: the size of the global state and of each network in it, and the task's."""
        size = f"{self.run.devices.bytes_per_device(state) / 1e6:.1f} MB on each device"
        parts = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
        networks = {
            name: f"{int(parameter_overview.count_parameters(part['params'])):,} parameters"
            for name, part in parts.items()
            if isinstance(part, dict) and "params" in part
        }
        return {"state": size, **self.run.task.notes, **networks}

    def compile(self, inputs, step: int):
        """Compiles the steps, unless they are: runs none of those after `step`."""
        if not self._compiled:
            self.state, _ = self.steps(self.state, inputs, step, 0)
            self._compiled = True

    def sheets(self, state) -> Iterator[tuple[str, np.ndarray]]:
        """(name, u8[H, W, C]) of all that is drawn of a global state; samples have no name."""
        if self._sampler:
            yield "", runs.grid(self._sampler(state), self._sampler.classes)
        if self._pictures:
            key = rng.stream(self.run.config.sample.seed, rng.Stream.SAMPLE)
            batch = self._test_batch | self.run.task.constants
            for name, rows in self._pictures(state, batch, key).items():
                yield name, images.grid(np.asarray(rows))
