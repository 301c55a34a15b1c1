"""Configs of experiments: defaults, overrides and checks."""

import ast
import difflib
import hashlib
import importlib.util
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from etils import epath
from ml_collections import ConfigDict, config_flags

from genjax import gan_keys, ranges, sample_keys, style_keys, stylize_keys, vae_keys
from genjax.errors import UserError
from genjax.files import expanded

_HEIGHT_BY_WIDTH = re.compile(r"\(?\s*\d+\s*[x*,:]\s*\d+\s*\)?", re.IGNORECASE)

# What messages call the types of values; a config's tuples are lists in JSON.
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a tuple such as '(1.0, 2.0)', of values like those that it has",
}


# Where configs put an argument whose name is not the key's.
_KEY_OF_ARGUMENT = {"data": "data.name", "features": "features.name"}


def base(task: str) -> ConfigDict:
    """The keys that every experiment has, with their defaults.

    No default may be None: an override has to have the type of the default.

    Keys:
      task: the family of networks: "gan", "vae", "vq" and "vqgan" (VAEs whose latents are codes),
        "codes" (priors over those), "vdvae" (very deep VAEs), "cnn", "style",
        "nnst" (styles by nearest features), "stain" (colours of tissue by closed forms),
        "style_fast", "style_adain", "style_linear" and "style_vae" (networks that stylise), or
        "style_video" (style transfer of clips).
      seed: of initial parameters, data order, augmentation and noise; samples have their own.
      init_from: `WORKDIR` or `WORKDIR@STEP`, a run of the same networks whose parameters this one
        starts with (the newest checkpoint's or that step's); "" for new ones. Optimisers and the
        count of steps start afresh.
      parallel: "jit", "fsdp" or "pmap" (see `genjax.devices.parallel`).
      precision: "float32" or "bfloat16", the type of the networks' arithmetic; parameters,
        normalisations, losses and statistics are float32 in either.
      train.steps: the length of the run; a step is one update of each network, or more as the
        family's config says.
      train.steps_per_call: how many steps one compiled call runs, at most; fewer where something
        is due.
      train.on_nonfinite: after a step with a metric that is NaN or infinite, such as a loss or a
        gradient norm, "stop" ends the run and "skip" drops the update (which needs memory for a
        second copy of the state).
      train.max_skipped: how many updates in a row may be skipped; one more stops the run.
      log.every, sample.every, evaluate.every, checkpoint.every: in steps; 0 for never. The last
        step always does all four, and the last one of a stage (`genjax.task.Stage`) the first
        three.
      sample: the keys of `genjax.sample_keys`.
      checkpoint.keep: how many of the newest checkpoints are kept.
      checkpoint.best, checkpoint.best_mode: the metric of evaluations whose best checkpoint is kept
        as well, such as "eval/accuracy", and "max" or "min"; "" for none.
      profile.steps: (first, last) of the steps to trace, from 1 on and both included
        (`genjax.speed.profile`); () for none.
      Those of a GAN have the options of `genjax.gan_keys`, all off, too, those of a VAE have
      `genjax.vae_keys`, and those of style transfer `genjax.style_keys`; those of networks that
      stylise have `stylize` (`genjax.stylize_keys`).
    """
    families = {"gan": gan_keys, "vae": vae_keys, "style": style_keys}
    options = families[task].defaults() if task in families else {}
    if task in stylize_keys.TASKS:
        options["stylize"] = stylize_keys.defaults(task)
    return ConfigDict(
        options
        | {
            "task": task,
            "seed": 0,
            "init_from": "",
            "parallel": "jit",
            "precision": "float32",
            "train": {
                "steps": 1000,
                "steps_per_call": 10,
                "on_nonfinite": "stop",
                "max_skipped": 10,
            },
            "log": {"every": 50},
            "sample": sample_keys.defaults(task),
            "evaluate": {"every": 100},
            "checkpoint": {"every": 100, "keep": 3, "best": "", "best_mode": "max"},
            "profile": {"steps": ()},
        }
    )


def dataset(name: str, size: int) -> ConfigDict:
    """The `data` keys of an experiment that trains on a set of images (see `genjax.data`).

    Keys:
      name: `mnist`, `shapes`, `npz:PATH`, `folder:PATH` or `tfds:NAME`.
      size: pixels a side; 0 for as stored.
      channels: 1 or 3; 0 for as stored.
      classes: which classes train, by name or number; () for all. Networks know these only,
        numbered anew; of the others, what is held out is anomalous (`genjax.data.classes`).
      window: of folders: which values of grey pictures of 16 bits and more, and of DICOM files,
        become black and white: "LEVEL,WIDTH" in their units, or percentiles of each picture,
        "p1,p99"; "" for all that 16 bits have, or a DICOM file's own window (`genjax.windows`).
      labels: "folders" where the sub-folders of a folder are classes, "none" where they are not.
      validation: how many of the images to train on are held out, evenly spaced, for what is looked
        at while training, which the test split then is not: scores, the best checkpoint, pictures.
      test_fraction: share of the images to hold out, if the source has no test split of its own.
      max_corrupt: how many unreadable files of a split are skipped; one more is an error.
      changed: what to do where a run goes on and the data are not those that it began with:
        "refuse", or "accept" and note it in the run's history.
      placement: "resident" (all of it on each device), "stream" (through Grain) or "auto".
      resident_limit_mb: the largest training split that "auto" makes resident, in 10^6 bytes of
        decoded pixels.
      workers: Grain's worker processes when streaming; 0 for threads.
      flip: mirror each image left to right with probability 1/2.
      flip_in_turn: with `flip`, mirror each image in every other epoch instead
        (`genjax.data.augment.mirrored_in_turn`).
      shift: move each image at random, by up to so many pixels in each direction.
      border: what comes in at the edges of a moved image: "black", or "reflect" for the image
        itself, reflected.
    """
    return ConfigDict(
        {
            "name": name,
            "size": size,
            "channels": 0,
            "classes": (),
            "validation": 0,
            "window": "",
            "labels": "folders",
            "test_fraction": 0.1,
            "max_corrupt": 10,
            "changed": "refuse",
            "placement": "auto",
            "resident_limit_mb": 2048,
            "workers": 0,
            "flip": False,
            "flip_in_turn": False,
            "shift": 0,
            "border": "black",
        }
    )


def digest(config: ConfigDict) -> str:
    """Hexadecimal; equal for equal values of all keys."""
    values = json.dumps(flatten(config), sort_keys=True)
    return hashlib.sha256(values.encode()).hexdigest()[:16]


def read(name: str, arguments: Sequence[str] = ()) -> ConfigDict:
    """The locked config that a command line describes.

    Exceptions from the file's own code are passed on, because their traceback is needed.

    Args:
      name: `FILE[:ARG]`, a Python file whose `get_config(ARG)` returns the config.
      arguments: `--config.KEY=VALUE` each, with dotted keys. A tuple is written with commas,
        `1.0,2.0` or `(1.0, 2.0)`.

    Raises:
      UserError: an argument has another form, there is no such .py file, it has no `get_config`
        that returns a ConfigDict, a key is unknown (the nearest known one is named), or a value has
        another type than the default.
    """
    texts = overrides(arguments)
    path, colon, arg = name.partition(":")
    file = epath.Path(expanded(path))
    if not file.is_file() or file.suffix != ".py":
        wrong = "is not a .py file" if file.exists() else "does not exist"
        raise UserError(f"config file {path} {wrong}{_nearest_file(file)}")
    spec = importlib.util.spec_from_file_location("experiment", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise UserError(f"config file {path} defines no get_config")
    try:
        config = module.get_config(*([arg] if colon else []))
    except UserError as error:
        for key in flatten(module.get_config()):
            if f"config argument {key!r} is unknown" in str(error):
                raise UserError(
                    f"config argument {key!r} is a key: set it with --config.{key}=VALUE"
                ) from None
        raise
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(f"config file {path}: get_config returns a {kind}, not a ConfigDict")
    return _override(config.copy_and_resolve_references().lock(), texts, "config key")


def overridden(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
    """`config` with the values of arguments `--config.KEY=VALUE`.

    Raises:
      UserError: as `read`.
    """
    return _override(config, overrides(arguments), "config key")


def overrides(arguments: Sequence[str]) -> dict[str, str]:
    """{dotted key: text} of arguments `--config.KEY=VALUE`; the last one of a key counts.

    Raises:
      UserError: an argument has another form.
    """
    for argument in arguments:
        if not (argument.startswith("--config.") and "=" in argument):
            raise UserError(f"argument {argument!r} is not understood: --KEY=VALUE is (see --help)")
    return dict(argument.removeprefix("--config.").split("=", 1) for argument in arguments)


def check(config: ConfigDict):
    """Checks numbers (`genjax.ranges`) and names that every family reads, before it compiles.

    Raises:
      UserError: a value is not possible; the message names the key and what it may be.
    """
    for key, value in flatten(config).items():
        for number in value if isinstance(value, list) else [value]:
            if not isinstance(number, int | float):
                continue
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"{key}={value} has to be finite")
            allowed = ranges.of(key)
            if allowed and not allowed.holds(number):
                raise UserError(f"{key}={value} has to be {allowed.what}")
            # Devices count in 32 bits with a sign; seeds, whose range is above, have none.
            if isinstance(number, int) and abs(number) >= 2**31 and not key.endswith("seed"):
                raise UserError(f"{key}={value} has to be less than 2**31")
    choose("checkpoint.best_mode", config.checkpoint.best_mode, dict.fromkeys(("max", "min")))
    choose("train.on_nonfinite", config.train.on_nonfinite, dict.fromkeys(("stop", "skip")))
    if "data" in config:
        choose("data.changed", config.data.changed, dict.fromkeys(("refuse", "accept")))
    for key, choices in sample_keys.CHOICES.items():
        if key in config.sample:
            choose(f"sample.{key}", config.sample[key], dict.fromkeys(choices))


def parse_arg(arg: str, **defaults: Any) -> ConfigDict:
    """Reads a config file's ARG, `key=value,key=value`; each value takes its default's type.

    Raises:
      UserError: a key is unknown (the nearest known one is named) or has no value, or a value has
        another type.
    """
    pairs = [part.partition("=") for part in (arg or "").split(",") if part]
    for (before, _, _), (key, equals, _) in itertools.pairwise(pairs):
        if not equals and key not in defaults and isinstance(defaults.get(before), str):
            raise UserError(
                f"config argument {before!r} ends at the comma before {key!r}: give a value with"
                f" a comma as --config.{_KEY_OF_ARGUMENT.get(before, before)}=VALUE"
            )
    for key, equals, _ in pairs:
        if key in defaults and not equals:
            raise UserError(f"config argument {key!r} lacks a value: write {key}=VALUE")
    texts = {key: text for key, _, text in pairs}
    return _override(ConfigDict(defaults), texts, "config argument")


def parse_preset(arg: str, presets: Mapping[str, Mapping], **defaults: Any) -> ConfigDict:
    """`parse_arg` with further defaults: those of the preset that ARG's `preset=NAME` names.

    Args:
      presets: {name: {key: default}}; the first one is that of an ARG which names none.

    Raises:
      UserError: as `parse_arg`, or there is no such preset.
    """
    named = re.findall(r"(?:^|,)preset=([^,]*)", arg or "")
    name = named[-1] if named else next(iter(presets))
    return parse_arg(arg, preset=name, **defaults, **choose("preset", name, presets))


def choose(key: str, value: str, choices) -> Any:
    """`choices[value]`, where `value` is that of the config key `key`.

    Raises:
      UserError: there is no such choice; the message names the key, all choices and the nearest.
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
    """`runs/NAME` for `configs/NAME.py`; `runs/NAME-SLUG`, with ARG's slug, for `NAME.py:ARG`."""
    path, _, arg = config_file.partition(":")
    slug = re.sub(r"[^A-Za-z0-9]+", "-", arg).strip("-")
    return "-".join(filter(None, (f"runs/{epath.Path(path).stem}", slug)))


def flatten(config: ConfigDict) -> dict[str, Any]:
    """{dotted key: value} of every leaf, as JSON types: tuples become lists."""
    flat = {}

    def visit(prefix: str, values: dict):
        for key, value in values.items():
            if isinstance(value, dict):
                visit(f"{prefix}{key}.", value)
            else:
                flat[prefix + key] = value

    visit("", json.loads(config.to_json()))
    return flat


def _override(config: ConfigDict, texts: Mapping[str, str], what: str) -> ConfigDict:
    """`config` with the values in `texts`, {dotted key: text}, which ml_collections parses.

    Args:
      what: what messages call a key.

    Raises:
      UserError: a key is unknown or a group of keys, or a value has another type.
    """
    known = flatten(config)
    for key, text in texts.items():
        if key not in known:
            inside = [k for k in known if k.startswith(f"{key}.")]
            if inside:
                raise UserError(f"{what} {key!r} is a group: set {', '.join(inside)}")
            if "task" in known and (tasks := _tasks_with(key)):
                raise UserError(
                    f"{what} {key!r} is of task={' and '.join(tasks)}, not of"
                    f" task={known['task']}: leave it out"
                )
            raise UserError(f"{what} {key!r} is unknown{nearest(key, known)}")
        old = known[key]
        if isinstance(old, list) and "(" not in text and _of_words(old, text):
            text = repr(tuple(part.strip() for part in text.split(",")))
        argv = ["", f"--config.{key}={text}"]
        values = flags.FlagValues()
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        try:
            values(argv)
            new = flatten(values.config)[key]
            if isinstance(new, list) and old and isinstance(old[0], float):
                new = [float(x) if type(x) is int else x for x in new]  # 1 is a number, as in 1,0.5
                values.config.update_from_flattened_dict({key: tuple(new)})
            if isinstance(new, list) and not all(isinstance(x, type(old[0])) for x in new if old):
                raise TypeError
        except (flags.Error, TypeError, ValueError, OverflowError):
            why = f"is not {_KINDS[type(old)]}"
            if key.rpartition(".")[2] == "size" and _HEIGHT_BY_WIDTH.fullmatch(text):
                why = (
                    "is two numbers, where one is needed: no network takes other pictures than"
                    " squares, which are cut out of their middle; of a style run, size is the"
                    " longer side, and the picture keeps its shape"
                )
            raise UserError(f"{what} {key}={text!r} {why}") from None
        config = values.config
    return config


def _tasks_with(key: str) -> list[str]:
    """The tasks whose base has a key that not every one has."""
    return [task for task in ("gan", "vae", "codes", "vdvae") if key in flatten(base(task))]


def _of_words(old: list, text: str) -> bool:
    """Whether the values of a tuple are texts: by those that it has, or else by what is given."""
    if old:
        return isinstance(old[0], str)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # no number, or nested deeply
        return True
    return False


def _nearest_file(file: epath.Path) -> str:
    """ "; did you mean PATH?" for the nearest file in the folder named or `configs`, or nothing."""
    folders = dict.fromkeys([file.parent, epath.Path("configs")])
    found = {f.stem: f for folder in folders if folder.is_dir() for f in folder.glob("*.py")}
    near = difflib.get_close_matches(file.stem, found, n=1, cutoff=0.5)
    return f"; did you mean {found[near[0]]}?" if near else ""
