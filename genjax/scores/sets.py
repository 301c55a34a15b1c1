"""Two sets of pictures compared: from pictures to records, and to lines for people."""

from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from genjax import images
from genjax.devices import processes
from genjax.metrics import memorisation, neighbours
from genjax.metrics.rulers import Meter
from genjax.scores import measure, pictures, record
from genjax.scores.pictures import Pictures

PAGE = "neighbours.png"
_ROWS, _COLUMNS = 8, 7  # of the page: generated pictures, and real ones beside each


def compared(
    meter: Meter,
    metrics: Mapping[str, measure.Metric],
    real: Pictures,
    fake: Pictures,
    seed: int,
    workdir: epath.Path,
) -> list[dict]:
    """The records of the scores of two sets; they are added to the workdir's `scores.jsonl`.

    With the metric `memorisation` the workdir also gets `neighbours.png`: the pictures of `fake`
    that are nearest to one of `real`, a row each, and behind each the real ones nearest to it. Of
    several processes, the first writes.

    Args:
      seed: of what scores draw at random, KID's subsets.

    Raises:
      UserError: the pictures differ in size, are too few, or cannot be read.
    """
    # What can be refused before minutes of measuring.
    pictures.check_alike(real, fake)
    for each in (real, fake):
        measure.check_enough(metrics, each)
    if processes.is_first():
        workdir.mkdir(parents=True, exist_ok=True)
    about_real = measure.reference(meter, metrics, real)
    about_fake = measure.measured(meter, metrics, fake)
    if "memorisation" in metrics:
        count = min(_COLUMNS, about_real.n)
        near = neighbours.nearest(about_fake.features, about_real.features, count)
        about_fake = about_fake._replace(near=near)
    found = measure.scores(meter, metrics, about_real, about_fake, seed)
    records = record.of_sets(meter, found, (real, about_real), (fake, about_fake))
    page = None
    if "memorisation" in metrics:
        page = _page(real, fake, about_fake.near)
    if processes.is_first():
        record.append(workdir, records)
        if page is not None:
            images.write(workdir / PAGE, page)
    return records


def _page(real: Pictures, fake: Pictures, near: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    fakes, reals = memorisation.closest(near, _ROWS)
    channels = max(real.shape[2], fake.shape[2])
    of_fake = _picked(fake, fakes, channels)
    of_real = _picked(real, reals.ravel(), channels).reshape(*reals.shape, *of_fake.shape[1:])
    return images.grid(np.concatenate([of_fake[:, None], of_real], axis=1))


def _picked(pictures: Pictures, index: np.ndarray, channels: int) -> np.ndarray:
    """u8[len(index), H, W, channels]: the pictures at these places of their order."""
    found, place, wanted = {}, 0, len(set(index.tolist()))
    for batch in pictures.batches():
        for i in index[(place <= index) & (index < place + len(batch))]:
            found[i] = images.to_channels(batch[i - place], channels)
        place += len(batch)
        if len(found) == wanted:  # of a run, batches are drawn as they are asked for
            break
    return np.stack([found[i] for i in index])


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
