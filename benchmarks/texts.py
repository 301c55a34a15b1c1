"""Numbers as a report writes them, and whether they are as good as they should be."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jinja2 import is_undefined

from genjax.speed.collectives import size_text

PARITY_GOAL = 1e-4
# What a loop may cost over the bare step, by the step's length.
LOOP_COST, SHORT_LOOP_COST, SHORT_STEP_SECONDS = 0.02, 0.05, 0.01
# What ours may take in multiples of PyTorch's: of the fastest variant's peak memory; and, by the
# state of the compilation cache, of the time until the first step is done, of that which is first.
MEMORY_GOAL, FIRST_STEP_GOALS = 1.5, {"empty cache": 2.0, "warm cache": 1.2}
# A DataLoader's is that of several processes.
_WITH_MEMORY = ("train", "sample", "score", "stylize", "command")

DASH = "\N{EN DASH}"  # for what there is not, and in ranges
GOOD, BELOW = " \N{CHECK MARK}", " \N{BALLOT X}"  # behind a text


def _or_dash(text: Callable) -> Callable:
    return lambda value: DASH if value is None or is_undefined(value) else text(value)


def _ranged(text: Callable) -> Callable:
    """Of a median with its range: `95.2 (90.1 to 99.8)` with a dash."""
    return _or_dash(lambda x: f"{text(x['median'])} ({text(x['low'])}{DASH}{text(x['high'])})")


# Filters of the template: the first four of {median, low, high}, the others of a number.
rate = _ranged(lambda x: f"{x:,.0f}" if x >= 100 else f"{x:.3g}")
ratio = _ranged("{:.2f}".format)
duration = _ranged(lambda x: f"{x:.1f} s" if x < 100 else f"{x:.0f} s")
sizes = _ranged(size_text)
seconds = _or_dash(lambda x: f"{x:.1f} s" if x < 100 else f"{x:.0f} s")
percent = _or_dash(lambda x: f"{100 * x:.0f} %" if x > 0.1 else f"{100 * x:.1f} %")
gigaflop = _or_dash(lambda x: f"{x / 1e9:,.1f}")
flop_rate = _or_dash(lambda x: f"{x / 1e12:.3g} TFLOP/s" if x >= 1e12 else f"{x / 1e9:.3g} GFLOP/s")
size = _or_dash(lambda x: size_text(x) if x else DASH)
times = _or_dash("{:.2f}".format)


def speed(side: Mapping) -> str:
    """Images a second, of a whole command its seconds, or what went wrong."""
    if "error" in side:
        return f"failed: {side['error']}{BELOW}".replace("|", "\\|")
    return rate(side["rate"]) if "rate" in side else duration(side["seconds"])


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


def judge(row: Mapping) -> dict[str, Judgement]:
    """{the row's name, or with what of it is judged behind a colon: judgement}.

    Nothing is judged without a goal, or without something to compare with.
    """
    found = {"": _speed_judged(row)}
    for side, reached in row.get("ratios", {}).items():
        found[f": {side}"] = _at_least(reached, row["goals"].get(side))
    found[": memory"] = _at_most(memory_ratio(row), MEMORY_GOAL)
    for side, limit in FIRST_STEP_GOALS.items():
        found[f": first step, {side}"] = _at_most(first_step_ratio(row, side), limit)
    return {row["name"] + what: judged for what, judged in found.items() if judged}


def _speed_judged(row: Mapping) -> Judgement | None:
    if row["ratio"] and row["kind"] == "loop":
        cost, limit = 1 / row["ratio"]["median"] - 1, loop_limit(row)
        return Judgement(cost <= limit, percent(cost), f"at most {percent(limit)}")
    return _at_least(row["ratio"], row["goal"])


def _at_least(reached: Mapping | None, goal: float | None) -> Judgement | None:
    if not reached or goal is None:
        return None
    return Judgement(reached["median"] >= goal, ratio(reached), f"{goal:g}")


def _at_most(reached: float | None, limit: float) -> Judgement | None:
    if reached is None:
        return None
    return Judgement(reached <= limit, times(reached), f"at most {limit:g}")


def memory_ratio(row: Mapping) -> float | None:
    """Our peak memory over the fastest PyTorch variant's; None where one is not known. Of a whole
    command medians, ours that of the cache's state which needs more."""
    if row["kind"] not in _WITH_MEMORY:
        return None
    if row["kind"] == "command":
        peaks = {k: side["memory_bytes"]["median"] for k, side in row["sides"].items() if _ok(side)}
        theirs = peaks.pop("PyTorch", None)
        return max(peaks.values()) / theirs if peaks and theirs else None
    ours, theirs = (_known(row, name, "peak_memory_bytes") for name in ("genjax", row["fastest"]))
    return ours / theirs if ours and theirs else None


def first_step_ratio(row: Mapping, side: str) -> float | None:
    """How long our training takes from the start of the process until its first step is done, over
    `first_peer_step`; from an "empty cache" or a "warm cache"."""
    key = {"empty cache": "first_step_seconds", "warm cache": "warm_start_seconds"}[side]
    ours, theirs = _known(row, "genjax", key), first_peer_step(row)
    return ours / theirs if row["kind"] == "train" and ours and theirs else None


def first_peer_step(row: Mapping) -> float | None:
    """The seconds until a first step in PyTorch is done, of the variant that takes least: compiling
    can make another one the fastest."""
    found = (_known(row, name, "first_step_seconds") for name in row["sides"] if name != "genjax")
    return min(filter(None, found), default=None)


def scores(row: Mapping, name: str) -> str:
    """The scores of a command's side that all of its sides have: `accuracy 0.98, loss 0.064`."""
    found = [side["scores"] for side in row["sides"].values() if _ok(side)]
    common = sorted(set.intersection(*map(set, found))) if found else []
    own = row["sides"][name].get("scores", {})
    return ", ".join(f"{key.partition('/')[2]} {own[key]:.5g}" for key in common if key in own)


def _ok(side: Mapping) -> bool:
    return "error" not in side


def _known(row: Mapping, side: str | None, key: str) -> float | None:
    return row["sides"].get(side, {}).get(key)


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
