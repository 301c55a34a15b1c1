"""Whole commands: `python main.py`, from the start of its process to its end, beside PyTorch.

Ours starts with an empty compilation cache, and again with the one that this has filled; PyTorch's
is `benchmarks.torch_main` (of scores `benchmarks.torch_score`), with the faster of its eager
variants. A side's process has nothing of
ours beside it, and everything in its files: what it printed, and its workdir.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import timing
from benchmarks.children import Side, SideError, last_words, nursery
from genjax import config as config_lib
from genjax import images
from genjax.cnn import vgg
from genjax.errors import UserError

_CLOCK = Path(__file__).with_name("clock.py")
EMPTY, WARM, PEER = "empty cache", "warm cache", "PyTorch"
# Of the choice of PyTorch's variant, by its bare steps.
EAGER = ("eager", "eager channels_last")
_TRIALS, _TRIAL_SECONDS = 3, 1.0


class Contest(NamedTuple):
    """A command of ours, and a program in PyTorch that does the same.

    Attributes:
      ours: {state of the cache, EMPTY or WARM: arguments of `main.py`}.
      prepare: makes (arguments of Python for the program in PyTorch, its variant), or raises
        SideError or UserError; None where there is no such side.
      scores: of the workdir of either, when it is done.
    """

    ours: dict[str, list[str]]
    prepare: Callable[[], tuple[list, str]] | None
    scores: Callable[[Path], dict[str, float]]


def training(config: str, arguments: list[str], place: str, peer: str, folder: Path) -> Contest:
    """The sides of a whole run.

    Args:
      config, arguments: of `genjax.config.read`.
      place: "cpu" or "gpu".
      peer: "torch" or "none".
      folder: for the files that the program in PyTorch needs.
    """
    ours = [f"--config={config}", *arguments]

    def prepare() -> tuple[list, str]:
        settings = _settings(config, arguments, place, folder)
        command = ["-m", "benchmarks.torch_main", settings]
        return command, json.loads(settings.read_text())["variant"]

    both = {EMPTY: ours, WARM: ours}
    return Contest(both, prepare if peer == "torch" else None, last_scores)


def measure(contest: Contest, rounds: int, folder: Path):
    """Times rounds of each side, in turn; yields what is known after each round.

    Args:
      folder: for all that the processes write.

    Yields:
      Of a row as docs/benchmarks.md describes it: `sides` and `ratios`.
    """
    sides = {EMPTY: {"rounds": []}, WARM: {"rounds": []}}
    commands = {name: ["main.py", *arguments] for name, arguments in contest.ours.items()}
    if contest.prepare is not None:
        try:
            commands[PEER], variant = contest.prepare()
            sides[PEER] = {"variant": variant, "rounds": []}
        except (SideError, UserError) as error:
            sides[PEER] = {"error": str(error)}
    for i in range(rounds):
        cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / f"cache-{i}")}
        for name in [name for name, side in sides.items() if "error" not in side]:
            workdir = folder / f"{name.replace(' ', '-')}-{i}"
            place_of = workdir if name == PEER else f"--workdir={workdir}"
            command, log = [*commands[name], place_of], workdir.with_suffix(".txt")
            try:
                sides[name]["rounds"].append(timed(command, cache, log))
                sides[name]["scores"] = contest.scores(workdir)
            except SideError as error:
                sides[name] = {"error": str(error)}
        yield {"sides": {k: _summed(side) for k, side in sides.items()}, "ratios": _ratios(sides)}


def timed(command: list, variables: dict[str, str], log: Path) -> dict:
    """Runs Python with a command: `seconds` by the clock, and `peak_memory_bytes` of the process.

    Args:
      variables: of its environment, besides this process' own.
      log: the file for what it prints.

    Raises:
      SideError: it ended with another code than 0; the message has its last words.
    """
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-I", _CLOCK, sys.executable, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            env=os.environ | variables,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends it
        )
        try:
            answer, _ = process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    # The clock itself may have been killed, for memory.
    measured = json.loads(answer) if answer else {"code": process.returncode}
    if code := measured.pop("code"):
        raise SideError(last_words(log.read_bytes(), code))
    return measured


def last_scores(workdir: Path) -> dict[str, float]:
    """{`eval/…`: value} of the last line of metrics.jsonl, which is that of the last step."""
    last = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
    return {name: value for name, value in last.items() if name.startswith("eval/")}


def write_settings(config, place: str, variant: str, folder: Path) -> Path:
    """Writes what `benchmarks.torch_main` has to know of a config, and the files that it lacks.

    Not in the timing: whoever uses PyTorch has pictures as files, and weights as tensors.

    Raises:
      UserError: the package with the weights is not installed.
    """
    paths = {}
    if config.task == "style":
        for key in ("content", "style"):
            picture = images.load(config[key])
            paths[key] = str(folder / f"{key}.png")
            images.write(paths[key], picture)
        paths["weights"] = str(folder / "vgg16.npz")
        layers = vgg.load("vgg16").items()
        arrays = {f"{name}/{part}": x for name, parts in layers for part, x in parts.items()}
        np.savez(paths["weights"], **arrays)
    file, values = folder / "settings.json", json.loads(config.to_json())
    about = {"config": values, "device": place, "variant": variant, "paths": paths}
    file.write_text(json.dumps(about))
    return file


def _settings(config: str, arguments: list[str], place: str, folder: Path) -> Path:
    """The settings of the faster eager variant, by a few rounds of its steps on this machine."""
    complete = config_lib.read(config, arguments)
    request = {"side": "benchmarks.peers:open_side", "config": config, "arguments": arguments}
    request |= {"kind": "train", "device": place}
    with nursery() as start_child:
        found = {
            name: Side(start_child, request | {"variant": name}, _TRIAL_SECONDS) for name in EAGER
        }
        for side in found.values():
            side.open()
        done = max(side.done for side in found.values())
        steps = max(side.round_steps for side in found.values())
        for side in found.values():
            side.align(done, steps)  # of L-BFGS, an iteration may need a longer search than another
        for _ in range(_TRIALS):
            for side in found.values():
                side.count()
        rates = {name: _values(side.about, "rate") for name, side in found.items()}
    return write_settings(complete, place, timing.fastest(rates), folder)


def _values(side: dict, key: str) -> list[float]:
    return [each[key] for each in side["rounds"]]


def _summed(side: dict) -> dict:
    """A side with the spread of its seconds and of its memory."""
    if "error" in side:
        return side
    spreads = {
        "seconds": timing.spread(_values(side, "seconds")),
        "memory_bytes": timing.spread(_values(side, "peak_memory_bytes")),
    }
    return side | spreads | {"rounds": [*side["rounds"]]}


def _ratios(sides: dict[str, dict]) -> dict[str, dict]:
    """{side of ours: the spread of PyTorch's seconds over its own, round by round}."""
    able = {name: _values(side, "seconds") for name, side in sides.items() if "error" not in side}
    theirs = able.pop(PEER, None)
    return {name: timing.pairwise(theirs, ours) for name, ours in able.items() if theirs}
