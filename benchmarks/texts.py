"""Numbers as a report writes them, and whether they are as good as they should be."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jinja2 import is_undefined

from genjax.speed.collectives import size_text

PARITY_GOAL = 1e-4
# What a loop may cost over the bare step, by the step's length; and a warm start in seconds.
LOOP_COST, SHORT_LOOP_COST, SHORT_STEP_SECONDS = 0.02, 0.05, 0.01
WARM_START_SECONDS = 15.0

DASH = "\N{EN DASH}"  # for what there is not, and in ranges
GOOD, BELOW = " \N{CHECK MARK}", " \N{BALLOT X}"  # behind a text


def _or_dash(text: Callable) -> Callable:
    return lambda value: DASH if value is None or is_undefined(value) else text(value)


def _ranged(text: Callable) -> Callable:
    """Of a median with its range: `95.2 (90.1 to 99.8)` with a dash."""
    return _or_dash(lambda x: f"{text(x['median'])} ({text(x['low'])}{DASH}{text(x['high'])})")


# Filters of the template: the first two of {median, low, high}, the others of a number.
rate = _ranged(lambda x: f"{x:,.0f}" if x >= 100 else f"{x:.3g}")
ratio = _ranged("{:.2f}".format)
seconds = _or_dash(lambda x: f"{x:.1f} s" if x < 100 else f"{x:.0f} s")
percent = _or_dash(lambda x: f"{100 * x:.0f} %" if x > 0.1 else f"{100 * x:.1f} %")
gigaflop = _or_dash(lambda x: f"{x / 1e9:,.1f}")
flop_rate = _or_dash(lambda x: f"{x / 1e12:.3g} TFLOP/s" if x >= 1e12 else f"{x / 1e9:.3g} GFLOP/s")
size = _or_dash(lambda x: size_text(x) if x else DASH)


def speed(side: Mapping) -> str:
    """Images a second, of a start its seconds, or what went wrong."""
    if "error" in side:
        return f"failed: {side['error']}{BELOW}".replace("|", "\\|")
    return rate(side["rate"]) if "rate" in side else seconds(side["first_step_seconds"])


def failures(row: Mapping) -> str:
    """What went wrong with its sides; "" if nothing did."""
    return "; ".join(speed(side) for side in row["sides"].values() if "error" in side)


class Judgement(NamedTuple):
    """Whether something reaches its goal, and both as texts."""

    reached: bool
    value: str
    goal: str

    @property
    def mark(self) -> str:
        return GOOD if self.reached else BELOW


def judge(row: Mapping) -> Judgement | None:
    """None where there is no goal, or nothing to compare with."""
    if row["kind"] == "start":
        warm, limit = row["sides"]["warm cache"].get("first_step_seconds"), WARM_START_SECONDS
        return warm and Judgement(warm <= limit, seconds(warm), f"at most {seconds(limit)}")
    if not row["ratio"]:
        return None
    if row["kind"] == "loop":
        cost, limit = 1 / row["ratio"]["median"] - 1, loop_limit(row)
        return Judgement(cost <= limit, percent(cost), f"at most {percent(limit)}")
    median, goal = row["ratio"]["median"], row["goal"]
    return goal and Judgement(median >= goal, ratio(row["ratio"]), f"{goal:g}")


def quoted(rows: Sequence[Mapping], workload: str) -> str:
    """The ratios of a workload that other reports' rows have."""
    rows = [row for row in rows if row["workload"] == workload and row["ratio"]]
    settings = [f"(batch {row['batch'] or 1}, {row['precision']})" for row in rows]
    return "; ".join(f"{r['ratio']['median']:.2f} {x}" for r, x in zip(rows, settings, strict=True))


def loop_limit(row: Mapping) -> float:
    """What the loop may cost, as a share of the bare step."""
    seconds = step_seconds(row["sides"]["bare step"])
    return SHORT_LOOP_COST if seconds < SHORT_STEP_SECONDS else LOOP_COST


def loop_cost(row: Mapping) -> str:
    """What the loop takes longer than the bare step, as a share of it: 1 / ratio - 1."""
    median, low, high = (100 / row["ratio"][key] - 100 for key in ("median", "high", "low"))
    return f"{median:.1f} % ({low:.1f} to {high:.1f})"


def step_seconds(side: Mapping) -> float:
    return side["images_per_step"] / side["rate"]["median"]


def parity(entry: Mapping) -> str:
    """The largest difference of all quantities."""
    if "error" in entry:
        return speed(entry)
    worst = largest(entry["errors"])
    return f"{worst:.1e}{GOOD if worst <= PARITY_GOAL else BELOW}"


def largest(numbers: Mapping[str, float]) -> float:
    return max(numbers.values())
