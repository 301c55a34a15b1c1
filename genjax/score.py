"""`--mode=score`: compares two sets of pictures, made by whatever program."""

import sys

from etils import epath

from genjax.devices import parallel, processes
from genjax.metrics import rulers
from genjax.scores import measure, pictures, record, sets

_SEED = 0  # of KID's subsets


def score(
    real: str, fake: str, net: str, metrics: str, n: int, size: int, workdir: epath.Path
) -> None:
    """Prints scores and appends their records to `scores.jsonl` in `workdir`.

    Args:
      real, fake: names of sets (`pictures.named`); `real` is taken as given, `fake` as a sample.
      net: the ruler (`rulers.load`).
      metrics: names with commas between them (`measure.METRICS`).
      n: pictures of each set, at most; 0 for all.
      size: px to which folders and data sets are brought; 0 for as stored.

    Raises:
      UserError: a set, a net or a metric is not what it has to be; the message says which.
    """
    chosen = measure.choose(name.strip() for name in metrics.split(","))
    parallel.require_devices()
    meter = rulers.Meter(rulers.load(net))
    both = pictures.named(real, n, size), pictures.named(fake, n, size)
    records = sets.compared(meter, chosen, *both, _SEED, workdir)
    if processes.is_first():
        print(sets.described(records))
        print(f"{workdir / record.FILE}: {len(records)} records", file=sys.stderr)
