"""Configs: the values of one experiment, complete and locked; and what may change in a resume."""

import difflib
import importlib.util
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from etils import epath
from ml_collections import ConfigDict, config_flags

from genjax.errors import UserError
from genjax.files import write_atomically

# A run may be resumed with other values of these keys. They say how long to train, where it runs,
# and how often results are shown and kept, but not what a step computes. Of `parallel` only the
# rounding depends: it changes the order of sums over devices.
FREE_KEYS = (
    "parallel",
    "train.steps",
    "train.steps_per_call",
    "train.max_skipped",
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
    "profile.steps",
)

# Pixels a side. VGG's first layer makes 69 GB of a square of these.
LARGEST_SIDE = 2**14

# Which numbers are possible: (what the message says, the test, the keys it holds for). Keys are
# named by their last part, which means the same in every group. Where the answer depends on the
# family, the family's own code checks the value.
_RANGES = (
    (
        "at least 1",
        lambda x: x >= 1,
        "steps steps_per_call batch_size n keep width latent hidden blocks memory decay_steps n_dis"
        " generator_batch",
    ),
    (
        "at least 0",
        lambda x: x >= 0,
        "every max_skipped half_life ramp weight weights tv_weight init_noise linear_decay",
    ),
    ("from 0 to 2**32 - 1", lambda x: 0 <= x < 2**32, "seed"),
    (f"at most {LARGEST_SIDE} px", lambda x: x <= LARGEST_SIDE, "size"),
    ("more than 0", lambda x: x > 0, "learning_rate scale style_scale"),
    ("at least 0 and less than 1", lambda x: 0 <= x < 1, "b1 b2"),
)


# What messages call the types that JSON has.
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a tuple such as '(1.0, 2.0)', of values like those that it has",
}


def base(task: str) -> ConfigDict:
    """The keys that every experiment has, with their defaults. No key may be None.

    Keys:
      task: the family whose task this is.
      seed: of everything random; a run is a function of its config.
      parallel: "jit", "fsdp" or "pmap" (see `genjax.devices.parallel`).
      precision: "float32" or "bfloat16", the type of the arithmetic; parameters, norms, losses and
        statistics are float32 in either.
      train.steps: the length of the run; a step is one update of each network, or more as the
        family's config says.
      train.steps_per_call: how many steps one compiled call runs.
      train.on_nonfinite: after a step with a loss or a gradient norm that is NaN or infinite, the
        run "stop"s, or "skip"s the update (which needs memory for a second copy of the state).
      train.max_skipped: how many updates in a row may be skipped; one more stops the run.
      log.every, sample.every, evaluate.every, checkpoint.every: in steps; 0 for never. The last
        step always does all four.
      sample.n, sample.seed: how many pictures, and of which latents.
      checkpoint.keep: how many of the newest checkpoints stay.
      checkpoint.best, checkpoint.best_mode: the metric whose best checkpoint stays besides, such as
        "eval/accuracy", and "max" or "min".
      profile.steps: (first, last) of the steps that are traced (`genjax.speed.profile`); () for
        none.
    """
    return ConfigDict(
        {
            "task": task,
            "seed": 0,
            "parallel": "jit",
            "precision": "float32",
            "train": {
                "steps": 1000,
                "steps_per_call": 10,
                "on_nonfinite": "stop",
                "max_skipped": 10,
            },
            "log": {"every": 50},
            "sample": {"every": 100, "n": 64, "seed": 0},
            "evaluate": {"every": 100},
            "checkpoint": {"every": 100, "keep": 3, "best": "", "best_mode": "max"},
            "profile": {"steps": ()},
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


def read(name: str, arguments: Sequence[str] = ()) -> ConfigDict:
    """The locked config that a command line describes.

    An exception of the file's own code is passed on: its traceback says more than a line could.

    Args:
      name: `FILE[:ARG]`, a Python file whose `get_config(ARG)` returns the config.
      arguments: `--config.KEY=VALUE` each, of dotted keys. A tuple is written with commas,
        `1.0,2.0` or `(1.0, 2.0)`.

    Raises:
      UserError: an argument is something else, there is no such file, it has no `get_config` that
        returns a ConfigDict, a key is unknown (the nearest known one is named), or a value is of
        another type.
    """
    texts = overrides(arguments)
    path, colon, arg = name.partition(":")
    file = epath.Path(path)
    if not file.is_file() or file.suffix != ".py":
        wrong = "is not a .py file" if file.exists() else "does not exist"
        raise UserError(f"config file {path} {wrong}{_nearest_file(file)}")
    spec = importlib.util.spec_from_file_location("experiment", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(f"config file {path} defines no get_config")
    config = module.get_config(*([arg] if colon else []))
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(f"config file {path}: get_config returns a {kind}, not a ConfigDict")
    return _override(config.copy_and_resolve_references().lock(), texts, "config key")


def overrides(arguments: Sequence[str]) -> dict[str, str]:
    """{dotted key: text} of arguments `--config.KEY=VALUE`; the last one of a key counts.

    Raises:
      UserError: an argument is something else.
    """
    for argument in arguments:
        if not (argument.startswith("--config.") and "=" in argument):
            raise UserError(f"argument {argument!r} is not understood: --KEY=VALUE is (see --help)")
    return dict(argument.removeprefix("--config.").split("=", 1) for argument in arguments)


def check(config: ConfigDict):
    """Refuses numbers that make no sense, before anything is read or compiled.

    Raises:
      UserError: naming the key and what it may be.
    """
    for key, value in flatten(config).items():
        for number in value if isinstance(value, list) else [value]:
            if not isinstance(number, int | float):
                continue
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"{key}={value} has to be finite")
            for what, possible, names in _RANGES:
                if key.rpartition(".")[2] in names.split() and not possible(number):
                    raise UserError(f"{key}={value} has to be {what}")
            if isinstance(number, int) and abs(number) >= 2**32:
                raise UserError(f"{key}={value} has to be less than 2**32")
    choose("checkpoint.best_mode", config.checkpoint.best_mode, dict.fromkeys(("max", "min")))
    choose("train.on_nonfinite", config.train.on_nonfinite, dict.fromkeys(("stop", "skip")))


def parse_arg(arg: str, **defaults: Any) -> ConfigDict:
    """Reads a config file's ARG, `key=value,key=value`; each value takes its default's type.

    Raises:
      UserError: an unknown key (the nearest known one is named) or a value of another type.
    """
    pairs = [part.partition("=") for part in (arg or "").split(",") if part]
    for key, equals, _ in pairs:
        if key in defaults and not equals:
            raise UserError(f"config argument {key!r} lacks a value: write {key}=VALUE")
    texts = {key: text for key, _, text in pairs}
    return _override(ConfigDict(defaults), texts, "config argument")


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
    text = json.dumps(json.loads(config.to_json()), indent=2) + "\n"
    write_atomically(workdir / "config.json", text)


def load(workdir: epath.Path) -> ConfigDict:
    """The config of the run in `workdir`.

    Raises:
      UserError: there is none, or it is not JSON.
    """
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(f"{workdir} is not a run's workdir: it has no config.json")
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        return ConfigDict(values).lock()
    except (ValueError, RecursionError, AttributeError) as error:  # the last two: hostile nesting
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is not a config ({reason}): restore it or start afresh") from None


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


def _override(config: ConfigDict, texts: Mapping[str, str], what: str) -> ConfigDict:
    """The config with each {dotted key: text of its value} set, as ml_collections reads texts.

    Raises:
      UserError: `what` (they are called) is unknown, or a value of another type.
    """
    known = flatten(config)
    for key, text in texts.items():
        if key not in known:
            inside = [k for k in known if k.startswith(f"{key}.")]
            if inside:
                raise UserError(f"{what} {key!r} is a group: set {', '.join(inside)}")
            raise UserError(f"{what} {key!r} is unknown{nearest(key, known)}")
        old = known[key]
        if isinstance(old, list) and old and isinstance(old[0], str) and "(" not in text:
            text = repr(tuple(part.strip() for part in text.split(",")))
        argv = ["", f"--config.{key}={text}"]
        values = flags.FlagValues()
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        try:
            values(argv)
            new = flatten(values.config)[key]
            if isinstance(new, list) and not all(isinstance(x, type(old[0])) for x in new if old):
                raise TypeError
        except (flags.Error, TypeError, ValueError):
            raise UserError(f"{what} {key}={text!r} is not {_KINDS[type(old)]}") from None
        config = values.config
    return config


def _nearest_file(file: epath.Path) -> str:
    """The config file that was meant, in the folder named or in `configs`."""
    folders = dict.fromkeys([file.parent, epath.Path("configs")])
    found = {f.stem: f for folder in folders if folder.is_dir() for f in folder.glob("*.py")}
    near = difflib.get_close_matches(file.stem, found, n=1, cutoff=0.5)
    return f"; did you mean {found[near[0]]}?" if near else ""
