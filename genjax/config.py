"""Configs: the values of one experiment, complete and locked; and what may change in a resume."""

import difflib
import json
import re
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from genjax.errors import UserError

# Keys that cannot change what is computed, only how often it is shown, kept, or cut into pieces.
# A run may be resumed with other values of these.
FREE_KEYS = (
    "parallel",
    "train.steps",
    "train.steps_per_call",
    "log.every",
    "sample.every",
    "sample.n",
    "sample.seed",
    "evaluate.every",
    "checkpoint.every",
    "checkpoint.keep",
    "data.placement",
    "data.resident_limit_mb",
    "data.workers",
)


def base(task: str) -> ConfigDict:
    """The keys that every experiment has. `None` is not a value: a config sets each of these.

    Keys:
      task: the family whose task this is.
      seed: of everything random; a run is a function of its config.
      parallel: "jit" or "pmap" (see `genjax.parallel`).
      precision: "float32" or "bfloat16", the type of the arithmetic; parameters, norms, losses and
        statistics are float32 in either.
      train.steps: optimiser rounds in all.
      train.steps_per_call: how many rounds run on the device before the host looks.
      log.every, sample.every, evaluate.every, checkpoint.every: in steps; 0 for never. The last
        step always does all four.
      sample.n, sample.seed: how many pictures, and of which latents.
      checkpoint.keep: how many of the newest checkpoints stay.
      checkpoint.best, checkpoint.best_mode: the metric whose best checkpoint stays besides, such as
        "eval/accuracy", and "max" or "min".
    """
    return ConfigDict(
        {
            "task": task,
            "seed": 0,
            "parallel": "jit",
            "precision": "float32",
            "train": {"steps": 1000, "steps_per_call": 10},
            "log": {"every": 50},
            "sample": {"every": 100, "n": 64, "seed": 0},
            "evaluate": {"every": 100},
            "checkpoint": {"every": 100, "keep": 3, "best": "", "best_mode": "max"},
        }
    )


def dataset(name: str, size: int) -> ConfigDict:
    """The `data` keys of an experiment that trains on a set of images (see `genjax.data`).

    Keys:
      name: `mnist`, `npz:PATH`, `folder:PATH` or `tfds:NAME`.
      size: pixels a side; 0 for as stored.
      channels: 1 or 3; 0 for as stored.
      test_fraction: held out where the source has no test split of its own.
      max_corrupt: how many unreadable files are skipped before they are an error.
      placement: "resident" (on the device), "stream" (through Grain) or "auto".
      resident_limit_mb: the largest training split that "auto" puts on the device.
      workers: Grain's worker processes when streaming; 0 for threads.
      flip: mirror every other image; shift: move by up to so many pixels.
    """
    return ConfigDict(
        {
            "name": name,
            "size": size,
            "channels": 0,
            "test_fraction": 0.1,
            "max_corrupt": 10,
            "placement": "auto",
            "resident_limit_mb": 2048,
            "workers": 0,
            "flip": False,
            "shift": 0,
        }
    )


def parse_arg(arg: str, **defaults: Any) -> ConfigDict:
    """Reads a config file's ARG, `key=value,key=value`; each value takes its default's type.

    Raises:
      UserError: an unknown key (the nearest known one is named) or a value of another type.
    """
    values = ConfigDict(defaults)
    for part in filter(None, (arg or "").split(",")):
        key, equals, text = part.partition("=")
        if key not in defaults:
            raise UserError(f"config argument {key!r} is unknown{nearest(key, defaults)}")
        if not equals:
            raise UserError(f"config argument {key!r} lacks a value: write {key}=VALUE")
        try:
            values[key] = _convert(text, type(defaults[key]))
        except ValueError:
            kind = type(defaults[key]).__name__
            raise UserError(f"config argument {key}={text!r} is not of type {kind}") from None
    return values


def choose(key: str, value: str, choices) -> Any:
    """`choices[value]`, for a config key that names one of a few things.

    Raises:
      UserError: naming the key, the choices and the nearest.
    """
    if value not in choices:
        names = ", ".join(choices)
        raise UserError(f"{key}={value!r} is unknown{nearest(value, choices)} (known: {names})")
    return choices[value]


def nearest(name: str, names) -> str:
    """ "; did you mean 'x'?" for the known name nearest to an unknown one, or nothing."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.4)
    return f"; did you mean {found[0]!r}?" if found else ""


def default_workdir(config_file: str) -> str:
    """`runs/NAME` of `configs/NAME.py:ARG`, with a slug of ARG where there is one."""
    path, _, arg = config_file.partition(":")
    slug = re.sub(r"[^A-Za-z0-9]+", "-", arg).strip("-")
    return "-".join(filter(None, (f"runs/{epath.Path(path).stem}", slug)))


def flatten(config: ConfigDict) -> dict[str, Any]:
    """{dotted key: value} of every leaf, as JSON types."""
    flat = {}

    def visit(prefix: str, values: dict):
        for key, value in values.items():
            if isinstance(value, dict):
                visit(f"{prefix}{key}.", value)
            else:
                flat[prefix + key] = value

    visit("", json.loads(config.to_json()))
    return flat


def save(config: ConfigDict, workdir: epath.Path):
    """Writes the whole config, every default included, to `config.json`."""
    path = workdir / "config.json"
    partial = workdir / "config.json.partial"
    partial.write_text(json.dumps(json.loads(config.to_json()), indent=2) + "\n")
    partial.replace(path)


def load(workdir: epath.Path) -> ConfigDict:
    """The config of the run in `workdir`.

    Raises:
      UserError: there is none, or it is not JSON.
    """
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(f"{workdir} is not a run's workdir: it has no config.json")
    try:
        config = ConfigDict(json.loads(path.read_text()))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): restore it or start afresh") from None
    config.lock()
    return config


def check_same(config: ConfigDict, workdir: epath.Path):
    """Refuses to go on in `workdir` with a config that would compute something else.

    Raises:
      UserError: naming the keys that differ, except those in FREE_KEYS.
    """
    old, new = flatten(load(workdir)), flatten(config)
    differing = sorted(
        key
        for key in old.keys() | new.keys()
        if key not in FREE_KEYS and old.get(key, ...) != new.get(key, ...)
    )
    if differing:
        listed = ", ".join(
            f"{key} ({old.get(key, 'absent')!r} there, {new.get(key, 'absent')!r} here)"
            for key in differing
        )
        raise UserError(
            f"{workdir} holds a run with another config: {listed}; "
            "choose another --workdir or the same config"
        )


def _convert(text: str, kind: type):
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    return kind(text)
