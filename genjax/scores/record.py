"""The record of a score: one JSON object with everything that the number depends on.

Records are lines of `scores.jsonl`. Those of sets of pictures have: `metric`, `value`, `error` (its
standard error, or null), `net`, `weights` (a hash), `resizer`, `setting` (the metric's own
numbers), `real` and `real_digest`, `n_real`, `fake` and `fake_digest` ("" for fresh samples),
`n_fake`, `size` ([H, W]), and for samples of a run `parameters`, `batch_norm`, `sample_seed`,
`step`, `seed` and `config_hash`, and `psi`, `threshold`, `temperature`, `prior` or `label` where
they are truncated, of another temperature or prior, or of one class (`genjax.sample_keys`). Those
of held-out data have `split`, `n` and `data_digest` instead; `kl_per_dimension` has `nats`, of each
latent, largest first, and `latents`, which these are, counted from 0; `dead_codes` has `codes`, of
how many. All have `genjax`, `jax`, `backend`, `devices` and `time`.
"""

import datetime
import json
from collections.abc import Iterable, Mapping

import jax
from etils import epath

import genjax
from genjax.errors import UserError
from genjax.files import append_durably
from genjax.metrics.rulers import Meter
from genjax.scores.measure import Measured, Metric, Value
from genjax.scores.pictures import Pictures

FILE = "scores.jsonl"

# What two records of a metric have to agree in for their values to be comparable. Which samples
# were drawn and by which versions is chance, which the standard errors speak of.
MEASURED = (
    *("net", "weights", "resizer", "setting", "real_digest", "n_real", "n_fake", "size"),
    *("parameters", "batch_norm", "psi", "threshold", "label", "temperature", "prior"),
    *("split", "n", "data_digest"),
)

# Scores whose net is what they measure, as it was trained on the generated pictures.
_OF_NETS = ("classification_accuracy",)


def measured(metric: str) -> tuple[str, ...]:
    """Those of `MEASURED` that records of this metric have to agree in."""
    return tuple(x for x in MEASURED if not (x == "weights" and metric.startswith(_OF_NETS)))


def surroundings() -> dict:
    """What every record says of the program that took the score."""
    return {
        "genjax": genjax.__version__,
        "jax": jax.__version__,
        "backend": jax.default_backend(),
        "devices": jax.device_count(),
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def of_sets(
    meter: Meter,
    found: Mapping[str, tuple[Value, Metric]],
    real: tuple[Pictures, Measured],
    fake: tuple[Pictures, Measured],
) -> list[dict]:
    """A record for each score of two sets (`measure.scores`)."""
    about = {
        "net": meter.ruler.name,
        "weights": meter.ruler.fingerprint,
        "resizer": meter.ruler.resizer,
        "real": real[0].name,
        "real_digest": real[0].digest,
        "n_real": real[1].n,
        "fake": fake[0].name,
        "fake_digest": fake[0].digest,
        "n_fake": fake[1].n,
        "size": list(real[0].shape[:2]),
        **fake[0].about,
        **surroundings(),
    }
    return [
        {
            "metric": name,
            "value": value.value,
            "error": value.error,
            "setting": dict(metric.setting),
        }
        | about
        for name, (value, metric) in found.items()
    ]


def append(workdir: epath.Path, records: Iterable[Mapping]) -> None:
    """Adds records to the workdir's `scores.jsonl`."""
    append_durably(workdir / FILE, "".join(json.dumps(record) + "\n" for record in records))


def read(path: epath.Path) -> list[dict]:
    """The records of a file, oldest first.

    Raises:
      UserError: there is no such file, or a line of it is no record.
    """
    if path.is_dir():
        path = path / FILE
    if not path.exists():
        raise UserError(f"{path} does not exist: name a scores.jsonl, or a workdir that has one")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text ({error})") from None
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            _check_form(record)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError(f"{path}, line {number} is no record of a score: remove it") from None
        records.append(record)
    if not records:
        raise UserError(f"{path} has no records")
    return records


def _check_form(record) -> None:
    """Raises one of several errors where what is shown of a record is not what it should be."""
    numbers = [record["value"], record.get("error") or 0.0, record.get("step", 0)]
    texts = [record["metric"], record.get("fake", "")]
    if not all(isinstance(x, (int, float)) for x in numbers):
        raise TypeError(numbers)
    if not all(isinstance(x, str) for x in texts):
        raise TypeError(texts)


def table(rows: Iterable[Iterable[str]]) -> str:
    """Lines of columns, the first flush left and the others flush right."""
    rows = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def shown(record: Mapping) -> str:
    """ "12.34 ± 0.4": a value with the half-width of its 95 % interval, where that is known."""
    value, error = record["value"], record.get("error")
    return f"{value:.6g}" if error is None else f"{value:.4g} ± {1.96 * error:.2g}"
