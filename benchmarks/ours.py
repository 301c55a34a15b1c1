"""Our sides of a measurement, each built as `main.py` builds its runs.

A side is warm once it has been constructed and `run(1)` has returned. `run(n)` does n steps and
returns when the devices are done; `images_per_step` says what a step is.
"""

import json
import tempfile

import jax
import numpy as np
from etils import epath

from genjax import data, images, rng, runs
from genjax.scores import likelihoods
from genjax.speed import collectives, flops
from genjax.steps import Steps, open_feed
from genjax.stylize import painter
from genjax.train import train


class Training:
    """Training steps as the loop runs them: the same chunks, with one always under way."""

    def __init__(self, config):
        self._run = run = runs.build(config)
        self.images_per_step = run.task.images_per_step
        self._state, self._step = run.devices.from_global(_initial(run)), 0
        self._length = config.train.steps_per_call
        self._chunk = Steps(run, open_feed(run, print), self._state)
        self._inputs = self._chunk.inputs

    def run(self, steps: int):
        last, before = self._step + steps, None
        while self._step < last:
            n = min(self._length, last - self._step)
            inputs = self._inputs(self._step, n)
            self._state, metrics = self._chunk(self._state, inputs, self._step, n)
            self._step += n
            jax.block_until_ready(before)
            before = metrics
        jax.block_until_ready((before, self._state))

    def model(self) -> dict:
        """FLOP of a step, and over how many devices it is divided.

        Raises:
          ValueError: the picture is in tiles, which compute more than the network's definition asks
            for: their halos, and each of them once more.
        """
        if self._run.config.get("tile", "0") != "0":
            raise ValueError("a step in tiles has more FLOP than the model")
        return {"flop": flops.model_flop(self._run), "devices": self._run.devices.device_count}

    def sent_bytes(self) -> float:
        """What each device sends a step."""
        averaged, devices = collectives.averaged(self._run), self._run.devices
        return collectives.sent(averaged, self._run.config.parallel, devices.device_count)


class BareStep(Training):
    """The compiled step alone: the inputs of a chunk are made once, and used again for all."""

    def __init__(self, config):
        super().__init__(config)
        prepared = self._chunk.inputs(0, self._length)
        self._inputs = lambda step, n: prepared


class Samples:
    """Drawing from a network as it was initialised: speed does not know what was learnt.

    The pictures come as uint8 to the host, as people get them.
    """

    def __init__(self, config):
        run = runs.build(config)
        self.images_per_step = config.train.batch_size
        self._state = _initial(run)
        self._draw = run.devices.on_state(
            lambda state, key: run.task.sample(state, key, np.arange(self.images_per_step)),
            often=True,
        )
        self._key, self._drawn = rng.stream(config.seed, rng.Stream.SAMPLE), 0

    def run(self, steps: int):
        for _ in range(steps):
            np.asarray(self._draw(self._state, jax.random.fold_in(self._key, self._drawn)))
            self._drawn += 1


class Likelihoods:
    """log p(x) by `score.k` samples of each latent (`genjax.scores.likelihoods`), of held-out
    pictures, with networks as they were initialised."""

    def __init__(self, config):
        run = runs.build(config)
        self.images_per_step = config.train.batch_size
        self._state, self._done = _initial(run), 0
        self._batch = data.examples(run.dataset.test, self.images_per_step)
        self._found = run.devices.on_batch(
            likelihoods.of_batch(run.task, config.score.k, run.dataset.shape),
            run.task.constants,
            often=True,
        )
        self._key = rng.stream(config.seed, rng.Stream.EVALUATE)

    def run(self, steps: int):
        for _ in range(steps):
            key = jax.random.fold_in(self._key, self._done)
            np.asarray(self._found(self._state, self._batch, key))
            self._done += 1


class Stylized:
    """Painting by a network as it was initialised, as `--mode=stylize` paints many pictures of one
    shape: one picture of `stylize.size` px a side, uint8 to uint8 on the host."""

    images_per_step = 1

    def __init__(self, config):
        run, side = runs.build(config), config.stylize.size
        state, styles = _initial(run), run.task.stylization.styles
        image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        self._paint = painter(run, lambda batch, carried: images.to_float(batch["image"], low=0))
        self._given = state, {"image": image}, np.full(styles, 1 / styles, np.float32)

    def run(self, steps: int):
        for _ in range(steps):
            self._paint(*self._given)


class Loop:
    """The training loop itself, `genjax.train.train`, in segments of one run in one workdir.

    Each `run(n)` raises `train.steps` and resumes. A line of metrics.jsonl is due at every
    `log.every` steps, sampling, evaluation and checkpoints only at a segment's end. Counted are the
    steps between a segment's first line, before which it restores and compiles, and its last but
    one, after which it evaluates, draws and saves.
    """

    def __init__(self, config):
        never = {f"{what}.every": 0 for what in ("sample", "evaluate", "checkpoint")}
        self._every, self._step = config.train.steps_per_call, 0
        self._config = config.copy_and_resolve_references()
        self._config.update_from_flattened_dict(never | {"log.every": self._every})
        self.images_per_step = config.train.batch_size
        self._folder = tempfile.TemporaryDirectory(prefix="genjax-benchmarks-")
        self._workdir = epath.Path(self._folder.name) / "run"

    def run(self, steps: int) -> tuple[int, float]:
        """(counted steps, of which there are at least `steps`; their seconds)."""
        counted = -(-steps // self._every) * self._every
        first, last = self._step + self._every, self._step + self._every + counted
        self._config.train.steps = self._step = last + self._every
        train(self._config, self._workdir)
        lines = map(json.loads, (self._workdir / "metrics.jsonl").read_text().splitlines())
        seconds = {line["step"]: line["seconds"] for line in lines}
        return counted, seconds[last] - seconds[first]


def _initial(run: runs.Run):
    """A run's state before its first step, placed."""
    key = rng.stream(run.config.seed, rng.Stream.INIT)
    return run.devices.init(run.task.init, key, run.task.constants)
