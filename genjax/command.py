"""What a command line asks for: a mode, and what the function of that mode takes."""

import argparse
import importlib
from typing import Any, NamedTuple

from etils import epath

from genjax import config as config_lib
from genjax.errors import OptionParser, UserError
from genjax.files import place

MODES = ("train", "evaluate", "sample", "stylize", "score", "compare")

_START = dict(coordinator=str, processes=int, process_id=int)
_RUN = dict(config=str, workdir=str, mode=str, step=str) | _START
_PICTURES = {
    "input": "a file, a folder, a glob in quotes, or run:WORKDIR",
    "output": "a file, for one picture, or a folder",
}
_STYLIZE = _RUN | dict.fromkeys(_PICTURES, str)
_SCORE = dict(real=str, fake=str, net=str, metrics=str, n=int, size=int, workdir=str, mode=str)
_SCORE_DEFAULTS = dict(
    net="lite0",
    metrics="frechet,kid,precision_recall,density_coverage",
    n=0,
    size=0,
    workdir="runs/score",
)


class Command(NamedTuple):
    """A mode, the arguments of its function, and where processes meet (`processes.start`)."""

    mode: str
    arguments: tuple
    start: tuple[str | None, int | None, int | None] = (None, None, None)


def parse(argv: list[str]) -> Command:
    """Reads a command line.

    Raises:
      UserError: an option or the mode is unknown, or something is missing or not possible.
    """
    parser = OptionParser()
    parser.add_argument("--mode", default="train")
    mode = parser.parse_known_args(argv[1:])[0].mode
    config_lib.choose("--mode", mode, dict.fromkeys(MODES))
    if mode == "score":
        return Command(mode, _of_score(argv))
    if mode == "compare":
        return Command(mode, (_of_compare(argv),))
    config, workdir, options = of_run(argv, _STYLIZE if mode == "stylize" else _RUN)
    more = []
    for name, what in _PICTURES.items() if mode == "stylize" else ():
        if not getattr(options, name):
            raise UserError(f"--{name} is missing: {what}")
        more.append(getattr(options, name))
    step = [options.step] if options.step else []
    start = (options.coordinator, options.processes, options.process_id)
    return Command(mode, (config, workdir, *more, *step), start)


def of_run(argv: list[str], kinds: dict = _RUN) -> tuple[Any, epath.Path, argparse.Namespace]:
    """(config, workdir, the other options) of a command line about a run."""
    options, others = _options(argv, kinds, {"mode": "train"})
    if options.step is not None and options.mode == "train":
        raise UserError(
            "--step is for evaluate, sample and stylize; to train, set init_from=WORKDIR@STEP"
        )
    if not options.config and not options.workdir:
        raise UserError("--config is missing: try --config=configs/dcgan.py, or --help")
    workdir = place(options.workdir or config_lib.default_workdir(options.config))
    if options.config:
        return config_lib.read(options.config, others), workdir, options
    config_file = importlib.import_module("genjax.workdir.config_file")  # heavy: once needed
    return config_lib.overridden(config_file.load(workdir), others), workdir, options


def _of_score(argv) -> tuple:
    options, others = _options(argv, _SCORE, _SCORE_DEFAULTS)
    if others:
        raise UserError(f"argument {others[0]!r} is not for --mode=score (see --help)")
    for name in ("real", "fake"):
        if not getattr(options, name):
            raise UserError(
                f"--{name} is missing: a folder, a .npz, a split such as mnist:test or run:WORKDIR"
            )
    for name in ("n", "size"):
        if getattr(options, name) < 0:
            raise UserError(f"--{name}={getattr(options, name)} has to be at least 0")
    workdir = place(options.workdir)
    names = ("real", "fake", "net", "metrics", "n", "size")
    return (*(getattr(options, name) for name in names), workdir)


def _of_compare(argv) -> list[str]:
    _, others = _options(argv, {"mode": str}, {})
    if wrong := [x for x in others if x.startswith("--")]:
        raise UserError(f"argument {wrong[0]!r} is not for --mode=compare (see --help)")
    if not others:
        raise UserError("--mode=compare lacks files: name scores.jsonl files, or workdirs")
    return others


def _options(argv, kinds: dict, defaults: dict):
    parser = OptionParser()
    for name, kind in kinds.items():
        parser.add_argument(f"--{name}", type=kind)
    return parser.parse_known_args(argv[1:], argparse.Namespace(**defaults))
