"""Evaluation: means of per-example scores over held-out data, and the record of them."""

import math

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from genjax import config as config_lib
from genjax import data, images, rng, runs
from genjax.devices import processes
from genjax.errors import UserError
from genjax.metrics import rulers
from genjax.scores import (
    anomalies,
    codes,
    factors,
    generators,
    likelihoods,
    measure,
    pictures,
    reconstructions,
    record,
    sets,
)
from genjax.scores.measure import Value
from genjax.task import RUN_PREFIX

# Limits up to which an evaluation makes one batch of several training batches: fewer calls take
# less time, and scores need no memory for gradients.
_EXAMPLES = 64
_BYTES = 2**20  # of uint8 pixels


class Evaluator:
    """Scores any state of a run: on a whole split or, without a data set, on its pictures.

    Noise is a function of the config's seed and an example's index alone, so two evaluations of one
    state agree exactly, and in batches of another size to rounding. Only a discriminator with
    BatchNorm judges an example differently beside others (`genjax.gan.task`).

    Args:
      split: what to score on; by default what is looked at while training (`Dataset.watched`).
    """

    def __init__(self, run: runs.Run, split: data.Split | None = None):
        self._run = run
        watched = run.dataset.watched if run.dataset else None
        self._split = watched if split is None else split
        self._key = rng.stream(run.config.seed, rng.Stream.EVALUATE)
        self._compiled = run.devices.on_batch(
            lambda state, batch, key: (
                run.task.evaluate(state, batch, key),
                batch["weight"],
                batch.get("index"),
            ),
            run.task.constants,
        )

    @property
    def examples(self) -> int:
        """How many examples there are to score, unreadable ones included."""
        return self._run.task.images_per_step if self._split is None else len(self._split)

    def __call__(self, state) -> dict[str, float]:
        """{`eval/…`: mean over the examples}."""
        sums, total = {}, 0.0
        for batch in self.batches():
            values, weight, _ = self._compiled(state, batch, self._key)
            weight = np.asarray(weight)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + np.dot(np.float64(value), weight)
            total += weight.sum()
        return {f"eval/{name}": float(value / total) for name, value in sums.items()}

    def each(self, state, split: data.Split) -> dict[str, np.ndarray]:
        """{name: f64[N]} of the examples of a split; NaN where one cannot be read."""
        found: dict[str, np.ndarray] = {}
        for batch in self.batches(split):
            values, weight, index = self._compiled(state, batch, self._key)
            counts = np.asarray(weight) > 0
            for name, value in values.items():
                into = found.setdefault(name, np.full(len(split), np.nan))
                into[np.asarray(index)[counts]] = np.float64(value)[counts]
        return found

    def batches(self, split: data.Split | None = None):
        """A split, by default the evaluator's, as `data.evaluation_batches` has it, in batches of a
        good size."""
        devices, dataset = self._run.devices, self._run.dataset
        if dataset is None:
            return [{"weight": np.ones(len(devices.rows), np.float32)}]
        size = self._run.task.images_per_step
        size *= max(1, min(_EXAMPLES // size, _BYTES // (size * math.prod(dataset.shape))))
        chosen = self._split if split is None else split
        return data.evaluation_batches(chosen, size, devices.rows_of(size))


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
    chosen = measure.choose(names, (*generators.NAMES, *OF_HELD_OUT))
    ruler = rulers.load(config.score.net) if chosen else None
    trained = runs.open_trained(config, workdir, step)
    if trained.run.task.evaluate is None:
        raise UserError(f"task={config.task!r} has no scores")
    if trained.run.dataset and not len(trained.run.dataset.test):
        raise UserError("nothing is held out to score: data.test_fraction=0")
    if dataset := trained.run.dataset:
        for line in dataset.lines():
            runs.warn(f"data: {line}")
    evaluator = Evaluator(trained.run, trained.run.dataset and trained.run.dataset.test)
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
    for name in (each for each in OF_HELD_OUT if each in names):
        found = OF_HELD_OUT[name](trained, evaluator, workdir)
        if processes.is_first():
            records = [
                {"metric": metric, "value": value.value, "error": value.error, "setting": setting}
                | dict(value.about)
                | _setting(trained, evaluator)
                for metric, (value, setting) in found.items()
            ]
            record.append(workdir, records)
            print(record.table([(each["metric"], record.shown(each)) for each in records]))
    if chosen:
        records = of_samples(trained, ruler, chosen, config.score.n, workdir)
        if processes.is_first():
            print(sets.described(records))
    if "path_length" in names:
        found = generators.of(trained, config.score.n)
        if processes.is_first():
            record.append(workdir, [found])
            print(record.table([(found["metric"], record.shown(found))]))


def _nll(trained: runs.Trained, evaluator: Evaluator, workdir: epath.Path):
    config = trained.run.config
    found = likelihoods.nll(trained, evaluator.batches())
    about = {key: config[key] for key in ("likelihood", "binarize") if key in config}
    asked = {"k": config.score.k} | about
    if config.get("binarize") == "grey":
        return {"nll": (found, asked)}
    # Of pixels that are 0 or 1, or (where nothing is binarised) one of 256 levels, p(x) is a
    # probability.
    dimensions = math.prod(trained.run.dataset.shape)
    bits = Value(*(x / (dimensions * math.log(2)) for x in (found.value, found.error)))
    return {"nll": (found, asked), "bits_per_dim": (bits, asked | {"dimensions": dimensions})}


def _anomalies(trained: runs.Trained, evaluator: Evaluator, workdir: epath.Path):
    anomalies.check(trained)
    split = trained.run.dataset.whole_test
    values = evaluator.each(trained.state, split)
    perceptual = "lpips" in trained.run.config.score.metrics
    found, sheet = anomalies.of(trained, values, lambda: evaluator.batches(split), perceptual)
    if processes.is_first():
        images.write(workdir / anomalies.SHEET, sheet)
    return found


def _codes(trained: runs.Trained, evaluator: Evaluator, workdir: epath.Path):
    found, chart = codes.of(trained, evaluator.batches())
    if processes.is_first():
        images.write(workdir / codes.CHART, chart)
    return found


def _of_pairs(score):
    return lambda trained, evaluator, workdir: score(trained, evaluator.batches())


def _of_code(score):
    return lambda trained, evaluator, workdir: score(trained, evaluator.batches)


# Scores of held-out data beside the task's own: `(trained, evaluator, workdir) -> {metric: (Value,
# the record's setting)}`.
OF_HELD_OUT = {
    "nll": _nll,
    "reconstruction": _of_pairs(reconstructions.fidelities),
    "lpips": _of_pairs(reconstructions.perceptual),
    "codes": _codes,
    "active_units": _of_code(factors.active_units),
    "kl_per_dimension": _of_code(factors.kl_per_dimension),
    "anomalies": _anomalies,
    "disentanglement": _of_code(factors.gaps),
    "dci": _of_code(factors.dci),
}


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
