"""The measurements: every side in its own process, in turn, and a row of results for each."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import commands, scaling, scoring, texts, timing, workloads
from benchmarks import input as inputs
from benchmarks.children import Side, SideError, nursery
from benchmarks.workloads import (
    COMMAND,
    INPUT,
    LOOP,
    SAMPLE,
    SCORE,
    STYLIZE,
    TRAIN,
    Setting,
    Workload,
)
from genjax import config as config_lib

OURS = "genjax"
# Of each kind; of the first four, the variants of a peer are measured as well.
_SIDES = {
    TRAIN: {OURS: "benchmarks.ours:Training"},
    SAMPLE: {OURS: "benchmarks.ours:Samples"},
    SCORE: {OURS: "benchmarks.ours:Likelihoods"},
    STYLIZE: {OURS: "benchmarks.ours:Stylized"},
    INPUT: {OURS: "benchmarks.input:Feed", "DataLoader": "benchmarks.input:Loader"},
    LOOP: {OURS: "benchmarks.ours:Loop", "bare step": "benchmarks.ours:BareStep"},
}


class Care(NamedTuple):
    """How carefully a suite measures."""

    rounds: int  # of each side
    seconds: float  # that a round takes at least
    most_seconds: float  # that all rounds of a side may take; but there are LEAST_ROUNDS
    variants: tuple[str, ...] | None  # of a peer; None for all
    commands: int  # rounds of whole commands
    warm_starts: bool  # whether training is also started with a warm compilation cache


CARE = {
    "smoke": Care(3, 0.02, 1.0, ("eager",), 1, False),
    "quick": Care(3, 0.5, 5.0, ("eager", "eager channels_last"), 3, False),
    "full": Care(9, 0.5, 45.0, None, 5, True),
}
LEAST_ROUNDS = 3
# Reading ahead goes on between rounds, and a resumed loop counts whole lines of metrics only.
LONGER = {INPUT: 4, LOOP: 4}


class Plan(NamedTuple):
    """What every measurement of a run has to know."""

    care: Care
    place: str  # "cpu" or "gpu"
    peer: str  # "torch" or "none"
    matmul: dict[str, float]  # as `find_device` says


def find_device() -> tuple[dict, dict[str, float]]:
    """What JAX computes on, asked in a process that then ends, and leaves the device free.

    Returns:
      `platform`, `kind` and `count`; and {precision: FLOP/s of one device in matrix products}.
    """
    with nursery() as start_child:
        child = start_child()
        device = child.call("benchmarks.machine:device")
        precisions = ("float32",) if device["platform"] == "cpu" else ("float32", "bfloat16")
        rate = functools.partial(child.call, "genjax.speed.flops:matmul_rate")
        return device, {precision: rate(dtype=precision) for precision in precisions}


def run(chosen: list[Workload], results: dict, say: Callable[[str], None]) -> Iterator[None]:
    """Measures, and yields whenever there is more.

    Args:
      results: of the command, and of the lists that docs/benchmarks.md describes, which it fills.
      say: tells people one line.
    """
    here, peer = results["environment"], results["peer"]
    place = "cpu" if here["device"]["platform"] == "cpu" else "gpu"
    plan = Plan(CARE[results["suite"]], place, peer, results["matmul"])
    stamp = {"device": here["device"]["platform"], "commit": here["commit"], "date": here["date"]}
    for workload in chosen:
        if peer != "none" and workload.parity is not None:
            say(f"{workload.name}: parity")
            results["parity"].append(_parity(workload))
            yield
        for setting in workload.settings(place):
            say(workloads.row_name(workload, setting))
            already = len(results["rows"])
            for row in _growing(plan, workload, setting):
                results["rows"][already:] = [row | stamp]
                yield
            say(f"    {summary(row)}")
    for series in scaling.SERIES[results["suite"]]:
        if series.workload in {x.name for x in chosen} and getattr(series, place):
            say(f"{series.workload} against {series.axis}")
            results["scaling"].append(scaling.measure(series, place, plan.care.seconds))
            yield


def summary(row: dict) -> str:
    """A row in one line, for the terminal."""
    parts = [f"{name} {texts.speed(side)}" for name, side in row["sides"].items()]
    ratios = {"ratio": row["ratio"]} | {f"ratio, {k}": x for k, x in row.get("ratios", {}).items()}
    return "; ".join([*parts, *(f"{k} {texts.ratio(x)}" for k, x in ratios.items() if x)])


def _growing(plan: Plan, workload: Workload, setting: Setting) -> Iterator[dict]:
    """A row; of a whole command, which takes minutes, as it is after each round."""
    if workload.kind != COMMAND:
        yield measure(plan, workload, setting)
        return
    goals = {commands.EMPTY: workload.empty_goal, commands.WARM: setting.goal}
    row = _begun(workload, setting) | {"goal": None, "goals": goals if plan.place == "cpu" else {}}
    with tempfile.TemporaryDirectory(prefix="genjax-benchmarks-") as folder:
        contest = _contest(plan, workload, setting, Path(folder))
        for found in commands.measure(contest, plan.care.commands, Path(folder)):
            yield row | found


def _contest(plan: Plan, workload: Workload, setting: Setting, folder: Path) -> commands.Contest:
    config, arguments = workloads.arguments(workload, setting)
    if config is None:
        return scoring.contest(arguments, plan.place, plan.peer, folder)
    return commands.training(config, arguments, plan.place, plan.peer, folder)


def measure(plan: Plan, workload: Workload, setting: Setting) -> dict:
    """A row, whatever happens: what goes wrong with a side is said in its place."""
    config, arguments = workloads.arguments(workload, setting)
    row = _begun(workload, setting)
    with tempfile.TemporaryDirectory(prefix="genjax-benchmarks-") as folder:
        if any("PATH" in argument for argument in arguments):
            inputs.write_folder(Path(folder))
            arguments = [argument.replace("PATH", folder) for argument in arguments]
        request = {"config": config, "arguments": arguments}
        sides = _sides(plan, workload.kind, setting.precision)
        requests = {name: request | side for name, side in sides.items()}
        ratios = _take_turns(plan, workload, requests, row)
    row["fastest"] = timing.fastest({name: _rates(row["sides"][name]) for name in ratios})
    row["ratio"] = ratios.get(row["fastest"])
    _utilise(row, plan.matmul)
    return row


def _begun(workload: Workload, setting: Setting) -> dict:
    """A row of which nothing is measured yet."""
    config, arguments = workloads.arguments(workload, setting)
    return {
        "name": workloads.row_name(workload, setting),
        "workload": workload.name,
        "kind": workload.kind,
        "family": workload.peer,
        "unit": workload.unit,
        "config": config,
        "overrides": config_lib.overrides(arguments) if config else _options(arguments),
        **setting._asdict(),
        "sides": {},
        "fastest": None,
        "ratio": None,
    }


def _options(arguments: list[str]) -> dict[str, str]:
    """{option: text} of arguments `--OPTION=TEXT`."""
    return dict(argument.removeprefix("--").split("=", 1) for argument in arguments)


def _sides(plan: Plan, kind: str, precision: str) -> dict[str, dict]:
    """{name: what a child is asked to open}, ours first."""
    sides = {name: {"side": side} for name, side in _SIDES[kind].items()}
    if plan.peer == "none":
        sides.pop("DataLoader", None)
    elif kind in (TRAIN, SAMPLE, SCORE, STYLIZE):
        peer = {"side": "benchmarks.peers:open_side", "kind": kind, "device": plan.place}
        for name in _peer_variants(plan.place, precision):
            if plan.care.variants is None or name in plan.care.variants:
                sides[name] = peer | {"variant": name}
    return sides


@functools.cache
def _peer_variants(place: str, precision: str) -> list[str]:
    with nursery() as start_child:
        return start_child().call("benchmarks.peers:names", device=place, precision=precision)


def _take_turns(plan: Plan, workload: Workload, requests: dict, row: dict) -> dict[str, dict]:
    """Times sides in turn, A B C A B C …, into `row`; {name: ours' ratio to it}.

    A side that fails is out, and the others go on.
    """
    care, is_training = plan.care, workload.kind == TRAIN
    seconds = care.seconds * LONGER.get(workload.kind, 1)
    with nursery() as start_child:
        sides = {name: Side(start_child, x, seconds) for name, x in requests.items()}
        running, ours = _in_turn(sides.values(), Side.open), sides[OURS]
        if care.warm_starts and is_training and ours in running:
            again = Side(start_child, requests[OURS], 0)  # its programs are in the cache now
            if _in_turn([again], Side.open):
                ours.about["warm_start_seconds"] = again.about["first_step_seconds"]
            again.child.close()
        if workload.unit == "iterations" and running:  # one may need a longer line search
            done, steps = max(x.done for x in running), max(x.round_steps for x in running)
            running = _in_turn(running, lambda side: side.align(done, steps))
        longest = max((x.round_steps * x.step_seconds for x in running), default=seconds)
        for _ in range(min(care.rounds, max(LEAST_ROUNDS, int(care.most_seconds / longest)))):
            running = _in_turn(running, Side.count)
        running = _in_turn(running, Side.finish)
        if is_training and ours in running:
            with contextlib.suppress(SideError):
                row["model"] = ours.child.ask("tell", what="model")
    row["sides"] = {name: side.about for name, side in sides.items()}
    return {
        name: timing.pairwise(_rates(ours.about), _rates(side.about))
        for name, side in sides.items()
        if ours in running and side in running and side is not ours
    }


def _in_turn(sides: Iterable[Side], do: Callable[[Side], None]) -> list[Side]:
    """Has each side do something. Returns those that could; the others know only why not."""
    able = []
    for side in sides:
        try:
            do(side)
            able.append(side)
        except SideError as error:
            side.about = {"error": str(error)}
    return able


def _rates(side: dict) -> list[float]:
    """Images a second of each round."""
    return [each["rate"] for each in side["rounds"]]


def _utilise(row: dict, matmul: dict[str, float]) -> None:
    """Adds FLOP/s and MFU of each side that has a rate, where the model's FLOP are known."""
    if "model" not in row:
        return
    possible = matmul[row["precision"]] * row["model"]["devices"]
    for side in row["sides"].values():
        if "rate" in side:
            steps_per_second = side["rate"]["median"] / side["images_per_step"]
            side["flop_per_second"] = row["model"]["flop"] * steps_per_second
            side["mfu"] = side["flop_per_second"] / possible


def _parity(workload: Workload) -> dict:
    """Of a workload, from `benchmarks.parity`: its errors are {quantity: largest relative}."""
    config, arguments = workloads.arguments(workload)
    overrides = config_lib.overrides(arguments)
    entry = {"workload": workload.name, "config": config, "overrides": overrides}
    request = {"config": config, "arguments": arguments}
    with nursery() as start_child:
        try:
            return entry | {"errors": start_child().call("benchmarks.parity:measure", **request)}
        except SideError as error:
            return entry | {"error": str(error)}
