"""How a run uses its codes: scores of all held-out pictures, and a chart."""

from collections.abc import Iterable, Mapping

import numpy as np

from genjax import runs
from genjax.errors import UserError
from genjax.metrics import codes
from genjax.scores import held_out
from genjax.scores.measure import Value

CHART = "codes.png"


def of(
    trained: runs.Trained, batches: Iterable[Mapping[str, np.ndarray]]
) -> tuple[dict[str, tuple[Value, dict]], np.ndarray]:
    """({name of a score: (its value, the record's `setting`)}, `chart`).

    `code_perplexity` is 2 to the power of the entropy of all codes of the pictures; `dead_codes`
    counts those that no picture has; `bits_per_picture` is that entropy times the codes of a
    picture (`genjax.metrics.codes`), what it takes to store one without regard to its neighbours.

    Args:
      batches: of `data.evaluation_batches`.

    Raises:
      UserError: the task has no codes.
    """
    run = trained.run
    if run.task.code is None:
        raise UserError(f"task={run.config.task!r} has no codes: leave codes out of score.metrics")
    counts, pictures = np.zeros(run.task.codes, np.int64), 0
    for chosen in held_out.each(trained, batches, run.task.code):
        counts += np.bincount(chosen.ravel(), minlength=len(counts))
        pictures += len(chosen)
    bits = codes.entropy(counts)
    found = {
        "code_perplexity": (Value(2**bits), {}),
        "dead_codes": (Value(float(codes.dead(counts)), about={"codes": len(counts)}), {}),
        "bits_per_picture": (Value(bits * counts.sum() / pictures), {}),
    }
    return found, chart(counts)


def chart(counts: np.ndarray) -> np.ndarray:
    """u8[H, W, 3]: a bar for the share of each code, of counts i64[K], the most used one first.

    A line shows the share that all would have if they were used alike.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    share = np.sort(counts)[::-1] / counts.sum()
    figure = Figure(figsize=(8, 3), dpi=100, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    # Steps, as bars of their own would be thinner than a pixel.
    axes.stairs(share, np.arange(len(share) + 1), fill=True)
    axes.axhline(1 / len(share), color="black", linewidth=0.8, linestyle="dashed")
    axes.set_xlim(0, len(share))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(f"{len(share)} codes, by use: {codes.dead(counts)} are never chosen")
    axes.set_ylabel("share")
    axes.spines[["top", "right"]].set_visible(False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
