"""Our sides of a measurement, each built as `main.py` builds its runs.

A side is warm once it has been constructed and `run(1)` has returned. `run(n)` does n steps and
returns when the devices are done; `images_per_step` says what a step is.
"""

import json
import sys
import tempfile
from collections.abc import Mapping

import jax
import numpy as np
from etils import epath

from benchmarks import workloads
from benchmarks.timing import Round
from genjax import rng, runs
from genjax.steps import Steps, open_feed
from genjax.train import train


class Training:
    """Training steps as the loop runs them: the same chunks, with one always under way.

    Args:
      prepared: whether the inputs of a chunk are made and placed once, and used again for all: what
        is left is the compiled step.
    """

    def __init__(self, config: str, overrides: Mapping[str, str], prepared: bool = False):
        self.built = runs.build(workloads.read(config, overrides))
        run = self.built
        self.images_per_step = run.task.images_per_step
        key = rng.stream(run.config.seed, rng.Stream.INIT)
        state = run.devices.init(run.task.init, key, run.task.constants)
        self._state, self._step = run.devices.from_global(state), 0
        self._length = run.config.train.steps_per_call
        feed = open_feed(run, lambda line: print(line, file=sys.stderr))
        self._chunk = Steps(run, feed, self._state)
        self._prepared = self._chunk.inputs(0, self._length) if prepared else None

    def run(self, steps: int):
        last, before = self._step + steps, None
        while self._step < last:
            n = min(self._length, last - self._step)
            inputs = self._prepared or self._chunk.inputs(self._step, n)
            self._state, metrics = self._chunk(self._state, inputs, self._step, n)
            self._step += n
            jax.block_until_ready(before)
            before = metrics
        jax.block_until_ready((before, self._state))


class Samples:
    """Drawing from a network as it was initialised: speed does not know what was learnt.

    The pictures come as uint8 to the host, as people get them.
    """

    def __init__(self, config: str, overrides: Mapping[str, str]):
        run = runs.build(workloads.read(config, overrides))
        self.images_per_step = run.config.train.batch_size
        key = rng.stream(run.config.seed, rng.Stream.INIT)
        self._state = run.devices.init(run.task.init, key, run.task.constants)
        self._draw = run.devices.on_state(
            lambda state, key: run.task.sample(state, key, self.images_per_step)
        )
        self._key, self._drawn = rng.stream(run.config.seed, rng.Stream.SAMPLE), 0

    def run(self, steps: int):
        for _ in range(steps):
            np.asarray(self._draw(self._state, jax.random.fold_in(self._key, self._drawn)))
            self._drawn += 1


class Loop:
    """The training loop itself, `genjax.train.train`, in segments of one run in one workdir.

    Each `run(n)` raises `train.steps` and resumes. A line of metrics.jsonl is due at every
    `log.every` steps, sampling, evaluation and checkpoints only at a segment's end. Counted are the
    steps between a segment's first line, before which it restores and compiles, and its last but
    one, after which it evaluates, draws and saves.
    """

    def __init__(self, config: str, overrides: Mapping[str, str]):
        never = {f"{what}.every": "0" for what in ("sample", "evaluate", "checkpoint")}
        self._config, self._overrides = config, dict(overrides) | never
        options = workloads.read(config, overrides)
        self._every = options.train.steps_per_call
        self._overrides["log.every"] = str(self._every)
        self.images_per_step = options.train.batch_size
        self._folder = tempfile.TemporaryDirectory(prefix="genjax-benchmarks-")
        self._workdir = epath.Path(self._folder.name) / "run"
        self._step = 0

    def run(self, steps: int) -> Round:
        """At least `steps` counted ones."""
        counted = -(-steps // self._every) * self._every
        first, last = self._step + self._every, self._step + self._every + counted
        self._step = last + self._every
        train(
            workloads.read(self._config, self._overrides | {"train.steps": str(self._step)}),
            self._workdir,
        )
        lines = map(json.loads, (self._workdir / "metrics.jsonl").read_text().splitlines())
        seconds = {line["step"]: line["seconds"] for line in lines}
        return Round(counted, seconds[last] - seconds[first])
