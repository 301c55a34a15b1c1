"""How far two ways to compute the same run may end apart: as far as rounding takes them.

Sums in another order, a compiler's other instructions, another kind of processor: each changes the
last bits, and the steps of a run make more of it, how much more depends on the task and grows with
its steps. So the bound is measured where it is used. The same steps, with the same program, are run
again from a state whose parameters are moved by one unit in the last place, up or down at random,
before every step. Another way to compute the run may differ from it by `MULTIPLE` of what these
moves changed.

An update is itself a sum of many roundings and is thousands of times smaller than the parameter
that it is added to: moving parameters by a last place is more than reordering the sums of a step.
An error of another kind (an example counted twice, a sum for a mean, one device's gradient for the
average of all) changes updates by parts of themselves, which is hundreds of times more;
`test_devices.py` makes such errors.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from genjax import runs
from genjax.stage import Stage
from genjax.steps import open_feed
from genjax.style import wasserstein
from tests.tiny import metrics_of, state_of

MOVED = 3  # runs from moved states
MULTIPLE = 8
# Beside it, in units of float32's precision: results are themselves rounded, sums of metrics too.
FLOOR = 16
# Metrics that count examples on one side of a border, which `CROSSING` of them may cross.
SHARES = ("accuracy", "d_real", "d_fake")
CROSSING = 2

_EPSILON = float(np.finfo(np.float32).eps)
_COMPARED = ("params", "image", "average")


class Bound(NamedTuple):
    """By how much another way may differ.

    Attributes:
      lines: {metric: bound} for each line of metrics.jsonl.
      arrays: {path in the state: bound} of parameters, averages of them, and pictures.
    """

    lines: list[dict[str, float]]
    arrays: dict[str, float]


def bound(config) -> Bound:
    """The bound for the run of a config, measured on this machine."""
    with jax.debug_nans(True):  # states are then not donated
        run = runs.build(config)
        follow = follower(run)
        lines, arrays = follow(lambda state: state)
        moved = [follow(mover(np.random.default_rng(i))) for i in range(MOVED)]

    def limit(value, others: list, terms: float = 1) -> float:
        changes = [np.abs(np.asarray(x, np.float64) - value).max() for x in others]
        return allowed(changes, np.abs(value).max(), terms)

    return Bound(
        [
            {
                name: limit(
                    value, [others[i][name] for others, _ in moved], _terms(name, line, config)
                )
                + _crossing(name, run, config)
                + _cancelled(name, config)
                for name, value in line.items()
            }
            for i, line in enumerate(lines)
        ],
        {name: limit(x, [others[name] for _, others in moved]) for name, x in arrays.items()},
    )


def allowed(changes: list[float], size: float, terms: float = 1) -> float:
    """The bound for numbers of that size, from what each run from moved states changed.

    Args:
      terms: how many numbers are added up one after the other, where it is known: their roundings
        make about the root of it.
    """
    return float(MULTIPLE * max(changes) + max(FLOOR, math.sqrt(terms)) * _EPSILON * size)


def moved_by_a_last_place(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Every number of `x`, up or down by one unit in the last place."""
    towards = np.where(random.random(x.shape) < 0.5, -np.inf, np.inf).astype(x.dtype)
    return np.nextafter(x, towards)


def is_compared(path: str) -> bool:
    return any(word in path for word in _COMPARED)


def mover(random: np.random.Generator) -> Callable:
    """`move(state)`: the state, its parameters moved by a last place each."""

    def move(path, x):
        counts = not jax.numpy.issubdtype(x.dtype, jax.numpy.floating)
        if counts or not is_compared(jax.tree_util.keystr(path)):
            return x
        return jax.device_put(moved_by_a_last_place(np.asarray(x), random), x.sharding)

    return lambda state: jax.tree_util.tree_map_with_path(move, state)


def follower(run: runs.Run) -> Callable:
    """`follow(move) -> (lines, arrays)`: the steps of a run, with its state moved before each.

    Nothing is written; the lines are those of metrics.jsonl, without step and images.
    """
    config, devices = run.config, run.devices
    first = runs.first_state(run)
    feed = open_feed(run, lambda line: None)
    stages = [Stage(run, feed, first)]  # so far; each follows the same ones

    def follow(move: Callable) -> tuple[list[dict], dict]:
        state, lines, since, number = first, [], [], 0
        for t in range(config.train.steps):
            if t == stages[number].end:
                following, state = runs.next_stage(stages[number].run, state)
                number += 1
                if number == len(stages):
                    stages.append(Stage(following, feed, state))
            steps = stages[number].steps
            at = devices.from_global(move(state))
            at, metrics = steps(at, steps.inputs(t, 1), t, 1)
            state = devices.to_global(at)
            since.append({name: float(x[0]) for name, x in metrics.items()})
            last = t + 1 == stages[number].end
            if (t + 1) % config.log.every == 0 or last:
                means = {f"train/{k}": np.mean([x[k] for x in since]) for k in since[0]}
                due = config.evaluate.every and (t + 1) % config.evaluate.every == 0
                lines.append(means | (stages[number].evaluator(state) if due or last else {}))
                since = []
        found = jax.tree_util.tree_leaves_with_path(state)
        arrays = {jax.tree_util.keystr(p, simple=True, separator="/"): x for p, x in found}
        return lines, {k: np.asarray(x) for k, x in arrays.items() if is_compared(k)}

    return follow


def _terms(metric: str, line: dict[str, float], config) -> float:
    """Whose root is by how many roundings a metric differs, where moved parameters show fewer.

    IWAE's gradients are weighted by exp(log w), which is off by a part of itself that log w is off
    by: by its own size in roundings, since it is a sum over pixels.
    """
    weighted = metric == "train/grad_norm" and "bound" in config and config.bound.name == "iwae"
    return line["train/loss"] ** 2 if weighted else 1


def _crossing(metric: str, run: runs.Run, config) -> float:
    """What examples on the other side of a border make of a share of them."""
    kind, _, name = metric.partition("/")
    if name not in SHARES:
        return 0.0
    trained = config.log.every * run.task.images_per_step
    return CROSSING / (len(run.dataset.test) if kind == "eval" else trained)


def _cancelled(metric: str, config) -> float:
    """The rounding of numbers whose difference a metric is. A Wasserstein distance is one of
    traces, of matrices with 1e-4 on their diagonals, however small it is itself."""
    kind = config.style_loss.get("kind") if "style_loss" in config else None
    if kind == "wasserstein" and metric.endswith(("style", "total", "loss")):
        return wasserstein._EPSILON * _EPSILON
    return 0.0


def state_excess(bound: Bound, workdir, reference) -> dict[str, float]:
    """{array: difference over its bound} of the newest parameters and pictures of two runs."""
    ours, theirs = state_of(workdir), state_of(reference)
    assert ours.keys() == theirs.keys()
    return {
        k: _ratio(np.abs(ours[k] - theirs[k]).max(), limit) for k, limit in bound.arrays.items()
    }


def lines_excess(bound: Bound, ours: list[dict], theirs: list[dict]) -> dict[str, float]:
    """{metric: difference over its bound} of lines of the same steps and metrics."""
    assert [line.keys() for line in ours] == [line.keys() for line in theirs]
    found = {}
    for line, expected, limits in zip(ours, theirs, bound.lines, strict=True):
        assert (line["step"], line["images"]) == (expected["step"], expected["images"])
        for name, limit in limits.items():
            difference = abs(line[name] - expected[name])
            found[f"{name} at step {line['step']}"] = _ratio(difference, limit)
    return found


def is_nearly(ours: list[dict], theirs: list[dict]) -> bool:
    """Whether lines differ by no more than every bound allows, whatever the run: by results' own
    rounding. Then the bound need not be measured."""
    if [line.keys() for line in ours] != [line.keys() for line in theirs]:
        return False
    pairs = [(x[k], y[k]) for x, y in zip(ours, theirs, strict=True) for k in x]
    return all(abs(a - b) <= FLOOR / 2 * _EPSILON * min(abs(a), abs(b)) for a, b in pairs)


def _ratio(difference: float, limit: float) -> float:
    return float(difference / limit) if limit else float(np.inf if difference else 0)


def assert_close(bound: Bound, workdir, reference) -> None:
    """Two runs, made in two ways, differ by rounding at most."""
    assert_within(lines_excess(bound, metrics_of(workdir), metrics_of(reference)))
    assert_within(state_excess(bound, workdir, reference))


def assert_within(found: dict[str, float]) -> None:
    beyond = {what: f"{ratio:.3g} x its bound" for what, ratio in found.items() if not ratio <= 1}
    assert not beyond, beyond
