"""Evaluation: means of per-example scores over held-out data, and the record of them."""

import math

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from genjax import config as config_lib
from genjax import data, rng, runs
from genjax.devices import processes
from genjax.errors import UserError
from genjax.metrics import rulers
from genjax.scores import generators, likelihoods, measure, pictures, record, sets
from genjax.task import RUN_PREFIX

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
        for batch in self.batches():
            values, weight = self._compiled(state, batch, self._key)
            weight = np.asarray(weight)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + np.dot(np.float64(value), weight)
            total += weight.sum()
        return {f"eval/{name}": float(value / total) for name, value in sums.items()}

    def batches(self):
        """The held-out data, as `data.evaluation_batches` does, in batches of a good size."""
        devices, dataset = self._run.devices, self._run.dataset
        if dataset is None:
            return [{"weight": np.ones(len(devices.rows), np.float32)}]
        size = self._run.task.images_per_step
        size *= max(1, min(_EXAMPLES // size, _BYTES // (size * math.prod(dataset.shape))))
        return data.evaluation_batches(dataset.test, size, devices.rows_of(size))


def evaluate(config: ConfigDict, workdir: epath.Path, step: str = "latest"):
    """`--mode=evaluate`: appends one record per score to `scores.jsonl` and prints the scores.

    They are the task's own of held-out data and, where the config has `score`, those of samples
    beside real pictures. Of several processes, only the first writes and prints.

    Args:
      step: of the checkpoint: a number, "latest" or "best".

    Raises:
      UserError: nothing is trained in `workdir`, or its task has nothing to score.
    """
    names = config.score.metrics if "score" in config else ()
    chosen = measure.choose(names, (*generators.NAMES, *likelihoods.NAMES))
    ruler = rulers.load(config.score.net) if chosen else None
    trained = runs.open_trained(config, workdir, step)
    if trained.run.task.evaluate is None:
        raise UserError(f"task={config.task!r} has no scores")
    if trained.run.dataset and not len(trained.run.dataset.test):
        raise UserError("nothing is held out to score: data.test_fraction=0")
    if dataset := trained.run.dataset:
        for line in dataset.lines():
            runs.warn(f"data: {line}")
    evaluator = Evaluator(trained.run)
    values = evaluator(trained.state)
    if processes.is_first():
        records = [
            {"metric": name, "value": value} | _setting(trained, evaluator)
            for name, value in values.items()
        ]
        record.append(workdir, records)
        rows = [(each["metric"], record.shown(each)) for each in records]
        print(f"step {trained.step:,}, {evaluator.examples:,} examples")
        print(record.table(rows))
    if "nll" in names:
        found = likelihoods.nll(trained, evaluator.batches())
        if processes.is_first():
            about = {
                "metric": "nll",
                "value": found.value,
                "error": found.error,
                "setting": {"k": config.score.k, "likelihood": config.likelihood}
                | {"binarize": config.binarize},
            } | _setting(trained, evaluator)
            record.append(workdir, [about])
            print(record.table([(about["metric"], record.shown(about))]))
    if chosen:
        records = of_samples(trained, ruler, chosen, config.score.n, workdir)
        if processes.is_first():
            print(sets.described(records))
    if "path_length" in names:
        found = generators.of(trained, config.score.n)
        if processes.is_first():
            record.append(workdir, [found])
            print(record.table([(found["metric"], record.shown(found))]))


def of_samples(
    trained: runs.Trained, ruler: rulers.Ruler, chosen, n: int, workdir: epath.Path
) -> list[dict]:
    """The records of `n` samples of a run beside real pictures, as `config.score` says; they are
    written as `sets.compared` does."""
    options = trained.run.config.score
    meter = rulers.Meter(ruler)
    real = pictures.of_split(trained.run.dataset, options.split)
    seed = trained.run.config.sample.seed
    fake = pictures.of_trained(trained, f"{RUN_PREFIX}{workdir}", n, seed)
    return sets.compared(meter, chosen, real, fake, seed, workdir)


def _setting(trained: runs.Trained, evaluator: Evaluator) -> dict:
    """What the task's own scores depend on."""
    config, dataset = trained.run.config, trained.run.dataset
    return {
        "step": trained.step,
        "n": evaluator.examples,
        "split": "test" if dataset else "",
        "data_digest": dataset.digest if dataset else "",
        "seed": config.seed,
        "config": config.to_dict(),
        "config_hash": config_lib.digest(config),
        **record.surroundings(),
    }
