"""Two sets of pictures compared: from pictures to records, and to lines for people."""

from collections.abc import Mapping, Sequence

from genjax.metrics.rulers import Meter
from genjax.scores import measure, pictures, record
from genjax.scores.pictures import Pictures


def compared(
    meter: Meter, metrics: Mapping[str, measure.Metric], real: Pictures, fake: Pictures, seed: int
) -> list[dict]:
    """The records of the scores of two sets.

    Args:
      seed: of what scores draw at random, KID's subsets.

    Raises:
      UserError: the pictures differ in size, are too few, or cannot be read.
    """
    pictures.check_alike(real, fake)
    about_real = measure.reference(meter, metrics, real)
    about_fake = measure.measured(meter, metrics, fake)
    found = measure.scores(meter, metrics, about_real, about_fake, seed)
    return record.of_sets(meter, found, (real, about_real), (fake, about_fake))


def described(records: Sequence[Mapping]) -> str:
    """A table of the records of two sets, below a line that says of which."""
    first = records[0]
    rows = [(each["metric"], record.shown(each)) for each in records]
    height, width = first["size"]
    return (
        f"{first['n_fake']:,} pictures of {first['fake']} beside {first['n_real']:,} of"
        f" {first['real']}, {width} x {height} px, by {first['net']} {first['weights']}"
        f" (intervals of 95 %)\n{record.table(rows)}"
    )
