"""Evaluation: means of per-example scores over held-out data, and the record of them."""

import datetime
import json
import math

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

import genjax
from genjax import data, rng, runs
from genjax.devices import processes
from genjax.errors import UserError
from genjax.files import append_durably

# Limits up to which an evaluation makes one batch of several training batches: fewer calls take
# less time, and scores need no memory for gradients.
_EXAMPLES = 64
_BYTES = 2**20  # of uint8 pixels


class Evaluator:
    """Scores any state of a run: on the whole test split or, without a data set, on its pictures.

    Noise is a function of the config's seed and an example's index alone, so two evaluations of one
    state agree exactly, and in batches of another size to rounding. Only a discriminator with
    BatchNorm judges an example differently beside others (`genjax.gan.task`).
    """

    def __init__(self, run: runs.Run):
        self._run = run
        self._key = rng.stream(run.config.seed, rng.Stream.EVALUATE)
        self._compiled = run.devices.on_batch(
            lambda state, batch, key: (run.task.evaluate(state, batch, key), batch["weight"]),
            run.task.constants,
        )

    @property
    def examples(self) -> int:
        """How many examples there are to score, unreadable ones included."""
        dataset = self._run.dataset
        return len(dataset.test) if dataset else self._run.task.images_per_step

    def __call__(self, state) -> dict[str, float]:
        """{`eval/…`: mean over the examples}."""
        sums, total = {}, 0.0
        for batch in self._batches():
            values, weight = self._compiled(state, batch, self._key)
            weight = np.asarray(weight)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + np.dot(np.float64(value), weight)
            total += weight.sum()
        return {f"eval/{name}": float(value / total) for name, value in sums.items()}

    def _batches(self):
        devices, dataset = self._run.devices, self._run.dataset
        if dataset is None:
            return [{"weight": np.ones(len(devices.rows), np.float32)}]
        size = self._run.task.images_per_step
        size *= max(1, min(_EXAMPLES // size, _BYTES // (size * math.prod(dataset.shape))))
        return data.evaluation_batches(dataset.test, size, devices.rows_of(size))


def evaluate(config: ConfigDict, workdir: epath.Path, step: str = "latest"):
    """`--mode=evaluate`: appends one record per score to `scores.jsonl` and prints the scores.

    Of several processes, only the first writes and prints.

    Args:
      step: of the checkpoint: a number, "latest" or "best".

    Raises:
      UserError: nothing is trained in `workdir`, or its task has nothing to score.
    """
    trained = runs.open_trained(config, workdir, step)
    if trained.run.task.evaluate is None:
        raise UserError(f"task={config.task!r} has no scores")
    if trained.run.dataset and not len(trained.run.dataset.test):
        raise UserError("nothing is held out to score: data.test_fraction=0")
    if dataset := trained.run.dataset:
        for line in dataset.lines():
            runs.warn(f"data: {line}")
    evaluator = Evaluator(trained.run)
    scores = evaluator(trained.state)
    if not processes.is_first():
        return
    setting = {
        "step": trained.step,
        "n": evaluator.examples,
        "split": "test" if trained.run.dataset else "",
        "seed": config.seed,
        "config": config.to_dict(),
        "genjax": genjax.__version__,
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "devices": trained.run.devices.device_count,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    records = [{"metric": name, "value": value} | setting for name, value in scores.items()]
    append_durably(workdir / "scores.jsonl", "".join(json.dumps(r) + "\n" for r in records))
    for metric, value in scores.items():
        print(f"{metric} {value:.6g}  (step {trained.step}, {evaluator.examples} examples)")
