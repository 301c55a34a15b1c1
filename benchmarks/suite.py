"""The measurements: every side in its own process, in turn, and a row of results for each."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import input as inputs
from benchmarks import machine, scaling, start, texts, timing, workloads
from benchmarks.children import Child, Side, SideError, environment
from benchmarks.workloads import INPUT, LOOP, SAMPLE, START, TRAIN, Setting, Workload
from genjax import config as config_lib

OURS = "genjax"
# Our side of each kind, and the one other where it is no variant of a peer.
_OURS = {
    TRAIN: "benchmarks.ours:Training",
    SAMPLE: "benchmarks.ours:Samples",
    INPUT: "benchmarks.input:Feed",
    LOOP: "benchmarks.ours:Loop",
}
_OTHERS = {
    INPUT: ("DataLoader", "benchmarks.input:Loader"),
    LOOP: ("bare step", "benchmarks.ours:BareStep"),
}


class Care(NamedTuple):
    """How carefully a suite measures.

    Attributes:
      rounds: of each side, counted ones.
      seconds: a round takes at least.
      most_seconds: that all rounds of a side may take; where steps are long, there are fewer
        rounds, down to LEAST_ROUNDS.
      variants: of the peer, None for all.
      warm_starts: whether each training row's time to the first step is also taken with a warm
        compilation cache.
    """

    rounds: int
    seconds: float
    most_seconds: float
    variants: tuple[str, ...] | None
    warm_starts: bool


CARE = {
    "smoke": Care(3, 0.02, 1.0, ("eager",), False),
    "quick": Care(3, 0.5, 5.0, ("eager", "eager channels_last"), False),
    "full": Care(9, 0.5, 45.0, None, True),
}
LEAST_ROUNDS = 3
# Reading ahead goes on between rounds, and a resumed loop counts whole lines of metrics only.
LONGER = {INPUT: 4, LOOP: 4}


class Plan(NamedTuple):
    """What a whole run of the command needs to know.

    Attributes:
      suite, peer: of the command line.
      device: what `machine.device` says JAX computes on.
      stamp: what a row says of when it was measured: `commit` and `date`.
      say: tells people one line.
    """

    suite: str
    peer: str
    device: dict
    stamp: dict
    say: Callable[[str], None]

    @property
    def care(self) -> Care:
        return CARE[self.suite]

    @property
    def place(self) -> str:
        """ "cpu" or "gpu", as peers and the table of workloads know them."""
        return "cpu" if self.device["platform"] == "cpu" else "gpu"


def find_device() -> tuple[dict, dict[str, float]]:
    """What JAX computes on, asked in a process that then ends, and leaves the device free.

    Returns:
      `platform`, `kind` and `count`; and {precision: FLOP/s of one device in matrix products}.
    """
    with Child() as child:
        device = child.call("benchmarks.machine:device")
        precisions = ("float32",) if device["platform"] == "cpu" else ("float32", "bfloat16")
        rate = functools.partial(child.call, "genjax.speed.flops:matmul_rate")
        return device, {precision: rate(dtype=precision) for precision in precisions}


def run(plan: Plan, chosen: list[Workload], results: dict) -> Iterator[None]:
    """Fills `results` (docs/benchmarks.md has the schema), and yields whenever there is more."""
    for workload in chosen:
        if plan.peer != "none" and workload.parity is not None:
            plan.say(f"{workload.name}: parity")
            results["parity"].append(_parity(plan, workload))
            yield
        for setting in workload.settings(plan.place):
            plan.say(workloads.row_name(workload, setting))
            row = measure(plan, workload, setting, results["matmul"])
            results["rows"].append(row)
            plan.say(f"    {summary(row)}")
            yield
    for series in scaling.SERIES[plan.suite]:
        is_chosen = any(workload.name == series.workload for workload in chosen)
        if is_chosen and getattr(series, plan.place):
            plan.say(f"{series.workload} against {series.axis}")
            results["scaling"].append(scaling.measure(series, plan.place, plan.care.seconds))
            yield


def summary(row: dict) -> str:
    """A row in one line, for the terminal."""
    text = texts.seconds if row["kind"] == START else texts.rate
    key = "first_step_seconds" if row["kind"] == START else "rate"
    parts = [f"{name} {x.get('error') or text(x[key])}" for name, x in row["sides"].items()]
    return "; ".join([*parts, f"ratio {texts.ratio(row['ratio'])}"])


def measure(plan: Plan, workload: Workload, setting: Setting, matmul: dict[str, float]) -> dict:
    """A row, whatever happens: what goes wrong with a side is said in its place."""
    config, arguments = workloads.arguments(workload, setting)
    row = {
        "name": workloads.row_name(workload, setting),
        "workload": workload.name,
        "kind": workload.kind,
        "family": workload.peer,
        "unit": workload.unit,
        "config": config,
        "overrides": config_lib.overrides(arguments),
        "device": plan.device["platform"],
        "batch": setting.batch,
        "precision": setting.precision,
        "goal": setting.goal,
        **plan.stamp,
        "sides": {},
        "fastest": None,
        "ratio": None,
    }
    with tempfile.TemporaryDirectory(prefix="genjax-benchmarks-") as folder:
        if workload.kind == START:
            command = [f"--config={config}", *arguments]
            return row | {"sides": start.measure(command, Path(folder))}
        if any("PATH" in argument for argument in arguments):
            inputs.write_folder(Path(folder))
            arguments = [argument.replace("PATH", folder) for argument in arguments]
        sides = _sides(plan, workload, setting.precision, config, arguments)
        ratios = {}
        for names, error in _groups(plan, workload, list(sides)):
            if error:
                row["sides"] |= {name: {"error": error} for name in names}
            else:
                requests = {name: sides[name] for name in names}
                ratios |= _take_turns(plan, workload, requests, row)
    rates = {name: [r["rate"] for r in row["sides"][name].get("rounds", ())] for name in ratios}
    row["fastest"] = timing.fastest(rates)
    row["ratio"] = ratios.get(row["fastest"])
    _utilise(row, matmul)
    return row


def _sides(plan: Plan, workload: Workload, precision: str, config, arguments) -> dict[str, dict]:
    """{name: how a child opens it}, ours first."""
    kind, request = workload.kind, {"config": config, "arguments": arguments}
    sides = {OURS: request | {"side": _OURS[kind]}}
    if kind in _OTHERS and (kind == LOOP or plan.peer != "none"):
        name, side = _OTHERS[kind]
        sides[name] = request | {"side": side}
    elif plan.peer != "none":
        wanted = plan.care.variants
        for name in _peer_variants(plan.place, precision):
            if wanted is None or name in wanted:
                options = {"kind": kind, "variant": name, "device": plan.place}
                sides[name] = request | {"side": "benchmarks.peers:open_side"} | options
    return sides


@functools.cache
def _peer_variants(place: str, precision: str) -> list[str]:
    with Child() as child:
        return child.call("benchmarks.peers:names", device=place, precision=precision)


def _groups(plan: Plan, workload: Workload, names: list[str]) -> list[tuple[list[str], str]]:
    """Which sides take turns with each other, and what keeps them from it, or "".

    Where all at once would not fit into memory: ours with each other, one after the other.
    """
    free, need = (
        machine.memory_bytes("MemAvailable") / 1e9,
        workload.gigabytes if plan.place == "cpu" else 0,
    )
    pairs = [[OURS, name] for name in names if name != OURS] or [[OURS]]
    return [
        (group, f"needs {need * len(group):.0f} GB of memory, {free:.0f} GB are free")
        if free < need * len(group)
        else (group, "")
        for group in ([names] if free >= need * len(names) else pairs)
    ]


def _take_turns(plan: Plan, workload: Workload, requests: dict, row: dict) -> dict[str, dict]:
    """Times sides in turn, A B C A B C …, into `row["sides"]`; {name: ours' ratio to it}."""
    care, is_training = plan.care, workload.kind == TRAIN
    seconds = care.seconds * LONGER.get(workload.kind, 1)
    sides, errors = {}, {}

    @contextlib.contextmanager
    def attempt(name: str):
        """A side that fails is out, and the others go on."""
        try:
            yield
        except SideError as error:
            errors[name] = {"error": str(error)}
            sides.pop(name, None)

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="genjax-benchmarks-"))
        variables = environment(plan.place, folder)
        for name, request in requests.items():
            with attempt(name):
                side = Side(stack.enter_context(Child(variables)), **request)
                side.warm_up(seconds)
                sides[name] = side
        if OURS in sides and care.warm_starts and is_training:
            with contextlib.suppress(SideError), Child(variables) as child:
                again = Side(child, **requests[OURS]).about["first_step_seconds"]
                sides[OURS].about["warm_start_seconds"] = again
        steps = {name: timing.steps_for(seconds, x.step_seconds) for name, x in sides.items()}
        if workload.same_steps:
            steps = dict.fromkeys(steps, max(steps.values(), default=0))
            done = max((side.done for side in sides.values()), default=0)
            for name, side in list(sides.items()):
                if behind := done - side.done:
                    with attempt(name):
                        side.run(behind)
        longest = max((steps[name] * x.step_seconds for name, x in sides.items()), default=seconds)
        for _ in range(min(care.rounds, max(LEAST_ROUNDS, int(care.most_seconds / longest)))):
            for name, side in list(sides.items()):
                with attempt(name):
                    side.count(steps[name])
        found = {}
        for name, side in list(sides.items()):
            with attempt(name):
                found[name] = side.results()
        row["sides"] |= {name: (found | errors)[name] for name in requests}
        if OURS not in sides:
            return {}
        if is_training:
            with contextlib.suppress(SideError):
                row["model"] = sides[OURS].tell("model")
        ours = sides[OURS].rates()
        return {
            name: timing.pairwise(ours, side.rates())._asdict()
            for name, side in sides.items()
            if name != OURS
        }


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


def _parity(plan: Plan, workload: Workload) -> dict:
    """Of a workload, from `benchmarks.parity`: its errors are {quantity: largest relative}."""
    config, arguments = workloads.arguments(workload)
    overrides = config_lib.overrides(arguments)
    entry = {"workload": workload.name, "config": config, "overrides": overrides}
    with (
        tempfile.TemporaryDirectory(prefix="genjax-benchmarks-") as folder,
        Child(environment(plan.place, folder)) as child,
    ):
        try:
            request = {"config": config, "arguments": arguments}
            return entry | {"errors": child.call("benchmarks.parity:measure", **request)}
        except SideError as error:
            return entry | {"error": str(error)}
