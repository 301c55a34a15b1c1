"""The measurements: every side in its own process, in turn, and a row of results for each."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks import input as inputs
from benchmarks import machine, scaling, timing, workloads
from benchmarks.children import Child, SideError, environment
from benchmarks.workloads import Setting, Workload

OURS = "genjax"


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
LONGER = {"input": 4, "loop": 4}


class Plan(NamedTuple):
    """What a whole run of the command needs to know.

    Attributes:
      suite, peer: of the command line.
      device: what the worker says JAX computes on.
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
        device = child.ask("device")
        precisions = ("float32",) if device["platform"] == "cpu" else ("float32", "bfloat16")
        asked = {name: child.ask("matmul_rate", precision=name) for name in precisions}
    return device, {name: answer["rate"] for name, answer in asked.items()}


def run(plan: Plan, chosen: list[Workload], results: dict) -> Iterator[None]:
    """Fills `results` (docs/benchmarks.md has the schema), and yields whenever there is more."""
    for workload in chosen:
        if plan.peer != "none" and workload.parity is not None:
            plan.say(f"{workload.name}: parity")
            results["parity"].append(_parity(workload))
            yield
        for setting in workload.cpu if plan.place == "cpu" else workload.gpu:
            plan.say(workloads.row_name(workload, setting))
            row = _row(plan, workload, setting, results["matmul"])
            results["rows"].append(row)
            plan.say(f"    {summary(row)}")
            yield
    for series in scaling.SERIES[plan.suite]:
        is_chosen = any(workload.name == series.workload for workload in chosen)
        if is_chosen and series.values(plan.place):
            plan.say(f"{series.workload} against {series.axis}")
            results["scaling"].append(scaling.measure(series, plan.place, plan.care.seconds))
            yield


def summary(row: dict) -> str:
    """A row in one line, for the terminal."""
    parts = []
    for name, side in row["sides"].items():
        if "error" in side:
            parts.append(f"{name}: {side['error'][:80]}")
        elif "rate" in side:
            parts.append(f"{name} {side['rate']['median']:,.4g}/s")
        else:
            parts.append(f"{name} {side['first_step_seconds']:.1f} s")
    if row["ratio"]:
        parts.append(f"ratio {row['ratio']['median']:.2f}")
    return "; ".join(parts)


@functools.cache
def _peer_variants(place: str, precision: str) -> list[str]:
    with Child() as child:
        return child.ask("variants", device=place, precision=precision)["names"]


def _variants(plan: Plan, precision: str) -> list[str]:
    """The peer's variants that this suite measures."""
    if plan.peer == "none":
        return []
    names = _peer_variants(plan.place, precision)
    wanted = plan.care.variants
    return [name for name in names if wanted is None or name in wanted]


def _row(plan: Plan, workload: Workload, setting: Setting, matmul: dict) -> dict:
    """A row, whatever happens: what goes wrong with a side is said in its place."""
    row = {
        "name": workloads.row_name(workload, setting),
        "workload": workload.name,
        "kind": workload.kind,
        "family": workload.family,
        "unit": workload.unit,
        "config": workload.config,
        "overrides": workloads.overrides(workload, setting),
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
        if workload.kind == workloads.START:
            row["sides"] = start_up(workload, row["overrides"], folder)
            return row
        if workload.name == "input-jpeg":
            inputs.write_folder(Path(folder))
            row["overrides"] |= {"data.name": f"folder:{folder}", "data.placement": "stream"}
        elif workload.kind == workloads.INPUT:
            row["overrides"] |= {"data.placement": "resident"}
        names = _sides(workload, _variants(plan, setting.precision))
        rivals = [name for name in names if name != OURS]
        # Where all at once would not fit: ours against each, one after the other.
        free, need = machine.free_bytes() / 1e9, workload.gigabytes if plan.place == "cpu" else 0
        pairs = [[OURS, rival] for rival in rivals] or [[OURS]]
        groups = [names] if free >= need * len(names) else pairs
        ratios = {}
        for group in groups:
            if free < need * len(group):
                needed = f"needs {need * len(group):.0f} GB of memory"
                error = {"error": f"{needed}, {free:.0f} GB are free"}
                row["sides"] |= {name: error for name in group}
                continue
            _measure(plan, workload, row, group, ratios)
        if workload.name == "input-jpeg":
            row["overrides"]["data.name"] = "folder:PATH"
    rates = {
        name: [r["rate"] for r in row["sides"][name]["rounds"]]
        for name in rivals
        if "rounds" in row["sides"].get(name, {})
    }
    row["fastest"] = timing.fastest({name: rates[name] for name in rates if name in ratios})
    if row["fastest"]:
        row["ratio"] = ratios[row["fastest"]]
    _utilise(row, matmul)
    return row


def _sides(workload: Workload, peers: list[str]) -> list[str]:
    """The sides of a row, ours first."""
    if workload.kind == workloads.LOOP:
        return [OURS, "bare step"]
    if workload.kind == workloads.INPUT:
        return [OURS, "DataLoader"] if peers else [OURS]
    return [OURS, *peers]


def _measure(plan: Plan, workload: Workload, row: dict, names: list[str], ratios: dict) -> None:
    """Times sides in turn, A B C A B C …, into `row["sides"]`; ratios of ours to each."""
    care = plan.care
    seconds = care.seconds * LONGER.get(workload.kind, 1)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="genjax-benchmarks-"))
        variables = environment(plan.place, folder)
        request = {
            "kind": workload.kind,
            "config": workload.config,
            "overrides": row["overrides"],
            "device": plan.place,
        }
        children, per_step, done = {}, {}, {}
        for name in names:
            child = stack.enter_context(Child(variables))
            try:
                side = row["sides"][name] = _open(child, name, request)
                per_step[name], done[name] = _calibrate(child, side["step_seconds"], seconds)
                children[name] = child
            except SideError as error:
                row["sides"][name] = {"error": str(error)}
        if OURS in children and care.warm_starts and workload.kind == workloads.TRAIN:
            with Child(variables) as child:
                started = _open(child, OURS, request)
                row["sides"][OURS]["warm_start_seconds"] = started["first_step_seconds"]
        steps = {name: timing.steps_for(seconds, per_step[name]) for name in children}
        if workload.same_steps and children:
            steps = dict.fromkeys(steps, max(steps.values()))
            for name, child in children.items():
                if behind := max(done.values()) - done[name]:
                    child.ask("run", steps=behind)
        longest = max((steps[name] * per_step[name] for name in children), default=seconds)
        count = min(care.rounds, max(LEAST_ROUNDS, int(care.most_seconds / longest)))
        rounds = {name: [] for name in children}
        for _ in range(count):
            for name in list(rounds):
                try:
                    answer = children[name].ask("run", steps=steps[name])
                except SideError as error:
                    row["sides"][name] = {"error": str(error)}
                    del rounds[name]
                    continue
                rounds[name].append(timing.Round(answer["steps"], answer["seconds"]))
        rates = {}
        for name, measured in rounds.items():
            side = row["sides"][name]
            rates[name] = timing.rates(measured, side["images_per_step"])
            side["rounds"] = [
                each._asdict() | {"rate": rate}
                for each, rate in zip(measured, rates[name], strict=True)
            ]
            side["rate"] = timing.spread(rates[name])._asdict()
            side["peak_memory_bytes"] = children[name].ask("peak_memory")["bytes"]
            if name != OURS and OURS in rates:
                ratios[name] = timing.pairwise(rates[OURS], rates[name])._asdict()
        if OURS in rounds and workload.kind == workloads.TRAIN:
            with contextlib.suppress(SideError):
                row["model"] = children[OURS].ask("model_flop")


def _open(child: Child, name: str, request: dict) -> dict:
    answer = child.ask("open", side=name, **request)
    # From the start of the process: interpreter, imports, data, compilation, and one step more.
    seconds = time.monotonic() - child.started
    return answer | {"first_step_seconds": seconds}


def _calibrate(child: Child, step_seconds: float, seconds: float) -> tuple[float, int]:
    """Warms a side up until it has run for half of `seconds` at a stretch.

    Args:
      step_seconds: what its second step took.

    Returns:
      Seconds a step, and how many steps it has done since its first.
    """
    steps, taken, done = 1, step_seconds, 2
    while taken < seconds / 2:
        asked = max(2 * steps, timing.steps_for(seconds / 2, taken / steps))
        answer = child.ask("run", steps=asked)
        steps, taken, done = answer["steps"], answer["seconds"], done + asked
    return taken / steps, done


def _utilise(row: dict, matmul: dict) -> None:
    """Adds FLOP/s and MFU of each side that has a rate, where the model's FLOP are known."""
    if "model" not in row:
        return
    possible = matmul[row["precision"]] * row["model"]["devices"]
    for side in row["sides"].values():
        if "rate" in side:
            steps_per_second = side["rate"]["median"] / side["images_per_step"]
            side["flop_per_second"] = row["model"]["flop"] * steps_per_second
            side["mfu"] = side["flop_per_second"] / possible


def start_up(workload: Workload, overrides: dict, folder: str) -> dict:
    """Two starts of `main.py`, with an empty and with the then warm compilation cache."""
    sides = {}
    for name in ("empty cache", "warm cache"):
        workdir = Path(folder) / name.replace(" ", "-")
        try:
            seconds = _first_line(workload, overrides, workdir, f"{folder}/cache")
            sides[name] = {"first_step_seconds": seconds}
        except SideError as error:
            sides[name] = {"error": str(error)}
    return sides


def _first_line(workload: Workload, overrides: dict, workdir: Path, cache: str) -> float:
    """Seconds from the start of a process to its first line of metrics, which is step 1's."""
    due = {"log.every": "1", "sample.every": "0", "evaluate.every": "0", "checkpoint.every": "0"}
    options = [f"--config.{key}={value}" for key, value in (overrides | due).items()]
    command = [sys.executable, "main.py", f"--config={workload.config}", f"--workdir={workdir}"]
    log = workdir.parent / "log.txt"
    with open(log, "wb") as file:
        started = time.monotonic()
        process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | {"JAX_COMPILATION_CACHE_DIR": cache},
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                metrics = workdir / "metrics.jsonl"
                if metrics.exists() and b"\n" in metrics.read_bytes():
                    return time.monotonic() - started
                time.sleep(0.01)
        finally:
            process.kill()
            process.wait()
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    raise SideError(lines[-1].strip()[:300] if lines else f"ended with {process.returncode}")


def _parity(workload: Workload) -> dict:
    """Runs `benchmarks.parity` in its process; its errors are {quantity: largest relative}."""
    overrides = workload.overrides | workload.parity
    command = [sys.executable, "-m", "benchmarks.parity", f"--config={workload.config}"]
    command += [f"--config.{key}={value}" for key, value in overrides.items()]
    entry = {"workload": workload.name, "config": workload.config, "overrides": overrides}
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    lines = [line for line in (done.stdout, done.stderr)[done.returncode != 0].splitlines() if line]
    last = lines[-1] if lines else f"ended with {done.returncode} and said nothing"
    if done.returncode:
        return entry | {"error": last[:300]}
    return entry | {"errors": json.loads(last)}
