"""What samples are worth while a run trains, and a line where training has gone wrong."""

import json
from collections.abc import Callable, Mapping

from etils import epath

from genjax import runs, score_keys
from genjax.metrics import rulers
from genjax.scores import measure, pictures
from genjax.scores.measure import Measured, Value

_WORSE, _ERRORS = 2.0, 5.0  # times the best score, and standard errors: what counts as a collapse
_LASTING = 10  # lines of metrics: about how long a discriminator may win without a word


class Watch:
    """Scores samples of a run in training, always of the same latents.

    Args:
      workdir: of the run, whose earlier scores say what the best one was.
      say: called with a line where the score is far above its best.
    """

    def __init__(self, run: runs.Run, workdir: epath.Path, say: Callable[[str], None]):
        options = run.config.score
        self.name = score_keys.watched(run.config)
        self._metrics = measure.choose([options.metric])
        self._run, self._say = run, say
        self._meter = rulers.Meter(rulers.load(options.net))
        self._real = pictures.of_split(run.dataset, options.split)
        self._reference: Measured | None = None
        self._sampler = runs.sampler(run, options.few, run.config.sample.seed)
        self._best = min(_earlier(workdir, self.name), default=None)
        self._collapsed = False

    def __call__(self, state, step: int) -> dict[str, float]:
        """{`eval/…`: the score of the state's samples}; less is better."""
        if self._reference is None:
            self._reference = measure.reference(self._meter, self._metrics, self._real)
        options = self._run.config.score
        fake = pictures.Pictures(
            "samples", "", options.few, self._real.shape, lambda: self._sampler.batches(state)
        )
        found = measure.measured(self._meter, self._metrics, fake)
        seed = self._run.config.sample.seed
        scores = measure.scores(self._meter, self._metrics, self._reference, found, seed)
        ((value, _),) = scores.values()
        self._tell(value, step)
        return {self.name: value.value}

    def _tell(self, value: Value, step: int) -> None:
        best = self._best
        worse = best is not None and is_collapsed(value, best)
        if worse and not self._collapsed:
            self._say(
                f"step {step:,}: the samples have collapsed: {self.name} is {value.value:.4g},"
                f" where its best was {best:.4g}; training goes on (--step=best takes the best)"
            )
        self._collapsed = worse
        self._best = value.value if best is None else min(best, value.value)


def is_collapsed(value: Value, best: float) -> bool:
    """Whether a score is far above the best one before, and not by chance."""
    return value.value > _WORSE * max(best, 0) and value.value - best > _ERRORS * value.error


class Saturation:
    """Says once where a discriminator tells nearly all pictures apart for long.

    Args:
      saturated: `Task.saturated`.
      say: called with the line.
    """

    def __init__(self, saturated: Callable[[Mapping], bool], say: Callable[[str], None]):
        self._saturated, self._say, self._lines = saturated, say, 0

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Takes a line of metrics."""
        self._lines = self._lines + 1 if self._saturated(values) else 0
        if self._lines == _LASTING:
            self._say(
                f"step {step:,}: the discriminator has told nearly all pictures apart for"
                f" {_LASTING} lines of metrics: the generator learns little from it"
            )


def _earlier(workdir: epath.Path, name: str) -> list[float]:
    """The values of a metric in the run's `metrics.jsonl`."""
    path = workdir / "metrics.jsonl"
    if not path.exists():
        return []
    lines = (json.loads(line) for line in path.read_text().splitlines() if name in line)
    return [line[name] for line in lines if line.get(name) is not None]
