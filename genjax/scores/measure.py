"""The scores of sets that can be asked for by name, and what each needs of the features."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from genjax import config as config_lib
from genjax import score_keys
from genjax.devices import cache, processes
from genjax.devices.program import check_memory
from genjax.errors import UserError
from genjax.metrics import frechet, inception_score, kernel, manifold, memorisation, moments
from genjax.metrics.moments import Moments
from genjax.metrics.rulers import Meter
from genjax.scores.pictures import Pictures

_PATIENCE = 2  # seconds of measuring before a progress bar appears
_FEWER = "take fewer pictures (--n, or score.n of a run), or metrics that keep no features"


class Measured(NamedTuple):
    """The features of a set of pictures.

    Attributes:
      n: how many pictures.
      parts: moments of consecutive parts of the set, all together the whole.
      features: f32[n, D], where a score needs them one by one; else None.
      logits: f32[n, K], likewise.
      labels: integers [n], their classes, or those that they were made to be of; None where that is
        not known.
      near: of generated ones, `neighbours.nearest` of the real ones, where that is known.
    """

    n: int
    parts: tuple[Moments, ...]
    features: np.ndarray | None = None
    logits: np.ndarray | None = None
    labels: np.ndarray | None = None
    near: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def moments(self) -> Moments:
        """Of the whole set."""
        return frechet.merged(self.parts)


class Value(NamedTuple):
    """A score.

    Attributes:
      error: its standard error, as far as the generated pictures are a sample of many; the real
        ones are taken as given. None where it is not known.
      about: what else its record says (`genjax.scores.record`).
    """

    value: float
    error: float | None = None
    about: Mapping = {}


class Metric(NamedTuple):
    """What can be asked for by name.

    Attributes:
      least: pictures of each set that it takes.
      of_real, of_fake: "features" or "logits" where it needs those of each picture of the set, else
        "".
      setting: what its values depend on besides both sets, for the record.
      scores: `(real, fake, seed) -> {name: Value}`.
    """

    least: int
    of_real: str
    of_fake: str
    setting: Mapping
    scores: Callable[[Measured, Measured, int], Mapping[str, Value]]


def choose(names: Iterable[str], others: Iterable[str] = ()) -> dict[str, Metric]:
    """The metrics of these names.

    Args:
      others: names that are known as well, and are left out.

    Raises:
      UserError: there is no such metric.
    """
    known = METRICS | dict.fromkeys(others)
    chosen = {name: config_lib.choose("metric", name, known) for name in names}
    return {name: metric for name, metric in chosen.items() if metric}


def scores(
    meter: Meter, metrics: Mapping[str, Metric], real: Measured, fake: Measured, seed: int
) -> dict[str, tuple[Value, Metric]]:
    """{name of the score, with the ruler's: its value, and the metric that it belongs to}.

    Raises:
      UserError: the ruler tells no classes apart, where a metric needs them.
    """
    found = {}
    for name, metric in metrics.items():
        sets = ((metric.of_real, real), (metric.of_fake, fake))
        if any(kept == "logits" and each.logits is None for kept, each in sets):
            raise UserError(f"{name} needs a net that tells classes apart, not {meter.ruler.name}")
        for score, value in metric.scores(real, fake, seed).items():
            found[score_keys.name_of(score, meter.ruler.name)] = value, metric
    return found


def reference(meter: Meter, metrics: Mapping[str, Metric], pictures: Pictures) -> Measured:
    """The features of real pictures: computed once, and kept beside the compiled programs.

    Raises:
      UserError: there are too few, or they cannot be read.
    """
    check_enough(metrics, pictures)
    kept = sorted({metric.of_real for metric in metrics.values() if metric.of_real})
    ruler = meter.ruler
    key = (ruler.fingerprint, ruler.resizer, pictures.digest, pictures.shape, pictures.n, kept)

    def measure() -> dict[str, np.ndarray]:
        found = measured(meter, metrics, pictures, parts=1, kept=set(kept))
        ((n, mean, scatter),) = found.parts
        arrays = {"n": np.int64(n), "mean": mean, "scatter": scatter}
        each = {name: getattr(found, name) for name in kept}
        return arrays | {name: array for name, array in each.items() if array is not None}

    # Samples that are drawn for the purpose have no digest to be known by. Of several processes,
    # one that found the features would leave the others waiting for it.
    known = pictures.digest and processes.count() == 1
    arrays = cache.kept_arrays(f"reference {key}", measure) if known else measure()
    part = Moments(int(arrays["n"]), arrays["mean"], arrays["scatter"])
    each = {name: arrays.get(name) for name in kept}
    return Measured(part.n, (part,), **each, labels=pictures.labels)


def measured(
    meter: Meter,
    metrics: Mapping[str, Metric],
    pictures: Pictures,
    parts: int | None = None,
    kept: set[str] | None = None,
) -> Measured:
    """The features of pictures, in memory that grows with their number only where a metric asks.

    Args:
      parts: how many parts have moments of their own; by default as many as Fréchet's error takes.
      kept: "features" and "logits", what is kept of each picture; by default what `metrics` need of
        generated ones.

    Raises:
      UserError: there are too few pictures, or they cannot be read.
    """
    check_enough(metrics, pictures)
    if kept is None:
        kept = {metric.of_fake for metric in metrics.values() if metric.of_fake}
    lists: dict[str, list] = {name: [] for name in kept}

    def features():
        from tqdm import tqdm

        quiet = not processes.is_first()
        about = {"desc": pictures.name, "total": pictures.n}
        with tqdm(**about, leave=False, delay=_PATIENCE, disable=quiet) as bar:
            for i, batch in enumerate(_regrouped(pictures.batches(), meter.size)):
                found = meter(batch)
                bar.update(len(batch))
                if not i:
                    size = sum(4 * found[name].shape[1] for name in kept & found.keys())
                    check_memory(2 * pictures.n * size, _FEWER)  # the list, and the array of it
                for name in kept & found.keys():
                    lists[name].append(found[name])
                yield found["features"]

    parts = parts or min(frechet.PARTS, pictures.n)
    if parts == 1:  # however many can be read
        total = None
        for batch in features():
            total = moments.merged(total, moments.of(batch))
        found = (total,)
    else:
        found = tuple(moments.of_parts(features(), frechet.sizes(pictures.n, parts)))
    arrays = {name: np.concatenate(rows) for name, rows in lists.items() if rows}
    return Measured(sum(part.n for part in found), found, **arrays, labels=pictures.labels)


def _regrouped(batches: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same pictures in batches of one size, but for the last: a net fills up what is less."""
    rest = None
    for batch in batches:
        rest = batch if rest is None else np.concatenate([rest, batch])
        whole = len(rest) // size * size
        for first in range(0, whole, size):
            yield rest[first : first + size]
        rest = rest[whole:]
    if rest is not None and len(rest):
        yield rest


def check_enough(metrics: Mapping[str, Metric], pictures: Pictures) -> None:
    """Raises UserError where a set has fewer pictures than a metric takes."""
    for name, metric in metrics.items():
        if pictures.n < metric.least:
            raise UserError(
                f"{pictures.name} has {pictures.n} pictures, too few for {name}, which takes"
                f" {metric.least} or more"
            )


def _frechet(real: Measured, fake: Measured, seed: int):
    value = frechet.distance(real.moments, fake.moments)
    return {"frechet": Value(value, frechet.standard_error(real.moments, fake.parts))}


def _limit(real: Measured, fake: Measured, seed: int):
    return {"frechet_limit": Value(frechet.limit(real.moments, fake.parts))}


def _kid(real: Measured, fake: Measured, seed: int):
    value = kernel.distance(real.features, fake.features, seed)
    return {"kid": Value(value, kernel.standard_error(real.features, fake.features))}


def _inception_score(real: Measured, fake: Measured, seed: int):
    mean, spread = inception_score.score(fake.logits)
    return {"inception_score": Value(mean, spread / np.sqrt(inception_score.SPLITS))}


def _class_accuracy(real: Measured, fake: Measured, seed: int):
    if fake.labels is None:
        raise UserError(
            "class_accuracy needs the classes of the generated pictures: a .npz with `labels`, or a"
            " run that makes pictures of classes"
        )
    return {"class_accuracy": _accuracy(fake)}


def _classification_accuracy(real: Measured, fake: Measured, seed: int):
    """Ravuri and Vinyals 2019, arXiv:1905.10887: of a net that was trained on generated pictures.

    The real ones are the sample here, which the interval speaks of.
    """
    if real.labels is None:
        raise UserError(
            "classification_accuracy needs the classes of the real pictures: a .npz with `labels`,"
            " or a split of a data set that has them, such as mnist:test"
        )
    return {"classification_accuracy": _accuracy(real)}


def _accuracy(found: Measured) -> Value:
    """The share of pictures that the net takes for what they are labelled."""
    classes = found.logits.shape[1]
    if len(found.labels) != found.n:
        raise UserError("some pictures cannot be read, and the classes of the others are not known")
    if found.labels.max() >= classes:
        raise UserError(
            f"there are pictures of class {found.labels.max()}, counted from 0, and the net tells"
            f" {classes} classes apart: it has to know the same classes"
        )
    return _share(float((found.logits.argmax(1) == found.labels).mean()), found.n)


def _precision_recall(real: Measured, fake: Measured, seed: int):
    found = manifold.precision_recall(real.features, fake.features)
    return {
        "precision": _share(found["precision"], fake.n),
        "recall": _share(found["recall"], real.n),
    }


def _density_coverage(real: Measured, fake: Measured, seed: int):
    found = manifold.density_coverage(real.features, fake.features)
    return {
        "density": Value(found["density"], found["density_error"]),
        "coverage": _share(found["coverage"], real.n),
    }


def _memorisation(real: Measured, fake: Measured, seed: int):
    found = memorisation.of(real.features, fake.features, fake.near)
    return {"copies": _share(found["copies"], fake.n), "nearest": Value(found["nearest"])}


def _share(value: float, n: int) -> Value:
    return Value(value, float(np.sqrt(value * (1 - value) / n)))


METRICS = {
    "frechet": Metric(2 * frechet.PARTS, "", "", {}, _frechet),
    "frechet_limit": Metric(100 * frechet.PARTS, "", "", {"parts": frechet.PARTS}, _limit),
    "kid": Metric(
        3,
        "features",
        "features",
        {"subsets": kernel.SUBSETS, "subset_size": kernel.SUBSET_SIZE},
        _kid,
    ),
    "inception_score": Metric(
        inception_score.SPLITS, "", "logits", {"splits": inception_score.SPLITS}, _inception_score
    ),
    "precision_recall": Metric(
        manifold.PRECISION_NEIGHBOURS + 1,
        "features",
        "features",
        {"neighbours": manifold.PRECISION_NEIGHBOURS, "border": "<="},
        _precision_recall,
    ),
    "density_coverage": Metric(
        manifold.DENSITY_NEIGHBOURS + 1,
        "features",
        "features",
        {"neighbours": manifold.DENSITY_NEIGHBOURS, "border": "<"},
        _density_coverage,
    ),
    "memorisation": Metric(2, "features", "features", {}, _memorisation),
    "class_accuracy": Metric(1, "", "logits", {}, _class_accuracy),
    "classification_accuracy": Metric(1, "logits", "", {}, _classification_accuracy),
}

LABELLED = ("class_accuracy", "classification_accuracy")  # metrics that take classes of pictures

# What the names begin with of scores of which less, or more, is better. Of the others, such as
# `copies`, what real pictures have is best.
LESS_IS_BETTER = (
    *("frechet", "fid", "kid", "path_length", "nll"),
    *("bits_per_dim", "dead_codes", "lpips", "eval/negative_elbo", "eval/nll", "eval/bits_per_dim"),
)
MORE_IS_BETTER = (
    *("inception_score", "precision", "recall", "density", "coverage"),
    *("class_accuracy", "classification_accuracy", "eval/accuracy", "psnr", "ssim"),
)


def better(score: str) -> str:
    """ "more is better", "less is better", or "" where neither is."""
    if score.startswith(MORE_IS_BETTER):
        return "more is better"
    return "less is better" if score.startswith(LESS_IS_BETTER) else ""
