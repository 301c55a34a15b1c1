"""What moves which score: real pictures, as they are and disturbed, against others like them.

    python -m benchmarks.disturbances [--data=NAME] [--size=PX] [--n=N] [--net=NET]

The training pictures are split into two halves, in a random order that is always the same. The
second half, as it is and disturbed in one way after the other, is scored against the first with
every metric that there is. It prints a Markdown table; docs/scores.md has such tables, and what
they show.

NAME is a data set as in a config's data.name (mnist, the embedded digits), PX as in data.size, N
how many pictures a half has (all), and NET as in --mode=score (lite0).
"""

import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from benchmarks import tables
from genjax import config as config_lib
from genjax import data
from genjax.data import Dataset
from genjax.devices import cache, parallel
from genjax.errors import OptionParser, UserError, run_program
from genjax.metrics import rulers
from genjax.metrics.rulers import Meter
from genjax.scores import measure, pictures, record

AS_IT_IS = "as it is"
NOISE = (16, 32)  # standard deviations, of 255
BLUR = (1, 2)  # standard deviations, px
FEWER = 4  # one picture in so many
_SEED = 0  # of the split, of the noise, and of what scores draw


class Halves(NamedTuple):
    """Two sets of real pictures that have none in common.

    Attributes:
      real: u8[N, H, W, C], what is scored against.
      fake: u8[N, H, W, C], what is disturbed.
      labels: i64[N], the classes of `fake`; None of a data set without classes.
    """

    real: np.ndarray
    fake: np.ndarray
    labels: np.ndarray | None


def halves(dataset: Dataset, n: int) -> Halves:
    """The training pictures in two halves, of `n` pictures or as large as possible (0).

    Raises:
      UserError: there are not so many, they are too few, or one cannot be read.
    """
    split, most, least = dataset.train, len(dataset.train) // 2, measure.METRICS["frechet"].least
    if most < least:
        raise UserError(f"{dataset.name} has too few pictures: a half takes {least}, it has {most}")
    n = n or most
    if not least <= n <= most:
        raise UserError(
            f"--n={n} has to be {least} to {most}, half of the pictures of {dataset.name}"
        )
    order = np.random.default_rng(_SEED).permutation(len(split))[: 2 * n]
    found = [split.read(i) for i in order]
    split.report(order, [each["skipped"] for each in found])
    array = np.stack([each["image"] for each in found])
    labels = np.array([each["label"] for each in found[n:]]) if dataset.classes else None
    return Halves(array[:n], array[n:], labels)


def disturbed(given: Halves) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (what was done, u8[M, H, W, C]): first the second half as it is."""
    fake = given.fake
    yield AS_IT_IS, fake
    for deviation in NOISE:
        yield f"noise, sigma = {deviation} of 255", noisy(fake, deviation)
    for deviation in BLUR:
        yield f"blur, sigma = {deviation} px", blurred(fake, deviation)
    yield "one picture, repeated", np.repeat(fake[:1], len(fake), axis=0)
    if given.labels is not None and len(np.unique(given.labels)) > 1:
        yield "without the first class", fake[given.labels != given.labels.min()]
    yield "copies of the real half", given.real
    yield f"one picture in {FEWER}", fake[::FEWER]


def noisy(array: np.ndarray, deviation: float) -> np.ndarray:
    """Pictures u8[N, H, W, C] and noise from N(0, deviation²), cut off at 0 and 255."""
    draw = np.random.default_rng(_SEED)
    noise = draw.normal(0, deviation, array.shape)
    return (array + noise).round().clip(0, 255).astype(np.uint8)


def blurred(array: np.ndarray, deviation: float) -> np.ndarray:
    """Pictures u8[N, H, W, C] under a Gaussian of `deviation` px, mirrored at their edges."""
    smooth = ndimage.gaussian_filter(array.astype(np.float32), (0, deviation, deviation, 0))
    return smooth.round().clip(0, 255).astype(np.uint8)


def rows(meter: Meter, given: Halves) -> Iterator[tuple[str, int, dict[str, Mapping]]]:
    """Yields (what was done, number of pictures, {score: its record}) of each disturbance.

    A metric that takes more pictures than there are is left out.
    """
    real = pictures.of_array("the first half", given.real)
    reference = measure.reference(meter, _possible(real.n), real)
    for name, array in disturbed(given):
        fake = pictures.of_array(name, array)
        metrics = _possible(min(real.n, fake.n))
        about = measure.measured(meter, metrics, fake)
        found = measure.scores(meter, metrics, reference, about, _SEED)
        records = record.of_sets(meter, found, (real, reference), (fake, about))
        yield name, fake.n, {each["metric"]: each for each in records}


def _possible(n: int) -> dict[str, measure.Metric]:
    """The metrics that `n` pictures are enough for, without those of labelled pictures."""
    return {
        name: metric
        for name, metric in measure.METRICS.items()
        if metric.least <= n and name not in measure.LABELLED
    }


def table(found: list[tuple[str, int, dict[str, Mapping]]]) -> str:
    """A Markdown table of `rows`; bold is what is beyond both intervals from the first row."""
    _, _, first = found[0]
    lines = []
    for name, n, records in found:
        cells = [_cell(records.get(score), first[score]) for score in first]
        lines.append([name, f"{n:,}", *cells])
    return tables.markdown(["", "pictures", *first], lines)


def _cell(found: Mapping | None, before: Mapping) -> str:
    if found is None:
        return "\N{EN DASH}"
    text = record.shown(found)
    if found["error"] is None:
        return text
    reach = 1.96 * (found["error"] + before["error"])
    return f"**{text}**" if abs(found["value"] - before["value"]) > reach else text


def report(argv: list[str]) -> None:
    """Prints the table of a command line."""
    parser = OptionParser()
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--n", type=int, default=0)
    parser.add_argument("--net", default="lite0")
    options = parser.parse_args(argv[1:])
    cache.enable()
    dataset = data.open_dataset(config_lib.dataset(options.data, options.size))
    given = halves(dataset, options.n)
    parallel.require_devices()
    found = []
    for row in rows(Meter(rulers.load(options.net)), given):
        print(f"{row[0]}: scored", file=sys.stderr)
        found.append(row)
    print(table(found))


def main(argv: list[str]) -> int:
    """Runs a command line and returns its exit code."""
    return run_program(argv, __doc__, report)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
