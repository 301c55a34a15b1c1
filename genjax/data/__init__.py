"""Data sets by name, and the batches of each step as a function of (seed, step)."""

import difflib

from genjax import windows
from genjax.data import classes
from genjax.data.arrays import mnist, npz
from genjax.data.dataset import Dataset, Factors, Split, validated
from genjax.data.feed import (
    Resident,
    Stream,
    evaluation_batches,
    examples,
    look_at,
    open_feed,
    select,
)
from genjax.data.folder import folder
from genjax.data.shapes import shapes
from genjax.data.tfds import tfds
from genjax.errors import UserError
from genjax.files import expanded

__all__ = [
    "PLAIN",
    "Dataset",
    "Factors",
    "Resident",
    "Split",
    "Stream",
    "evaluation_batches",
    "examples",
    "look_at",
    "open_dataset",
    "open_feed",
    "select",
]

PLAIN = {"mnist": mnist, "shapes": shapes}
_WITH_ARGUMENT = {"npz": npz, "folder": folder, "tfds": tfds}
_NAMES = [*PLAIN, "npz:PATH", "folder:PATH", "tfds:NAME"]


def open_dataset(config_data) -> Dataset:
    """Opens the data set that the config names.

    Args:
      config_data: `config.data`. Read here: `name` (`mnist`, `shapes`, `npz:PATH`, `folder:PATH` or
        `tfds:NAME`), `size` (pixels of a side, 0 as stored), `channels` (1 or 3, 0 as stored),
        `classes` (those that train, () for all: `classes.only`), `validation` (how many of the
        images to train on only watch the training), `labels` (of a folder's
        sub-folders: `folders` or `none`), `test_fraction` (the share held out where the source does
        not), `max_corrupt` (unreadable image files allowed in a split), `window` (of a folder's
        grey values: `windows.parse`).

    Raises:
      UserError: a value is not possible, or the data cannot be opened; the message says why.
    """
    if config_data.size < 0:
        raise UserError(f"data.size={config_data.size} must be 0 (as stored) or more")
    if config_data.channels not in (0, 1, 3):
        raise UserError(f"data.channels={config_data.channels} must be 0 (as stored), 1 or 3")
    if not 0 <= config_data.test_fraction < 1:
        raise UserError(f"data.test_fraction={config_data.test_fraction} must be in [0, 1)")
    if config_data.max_corrupt < 0:
        raise UserError(f"data.max_corrupt={config_data.max_corrupt} must be 0 or more")
    if config_data.labels not in ("folders", "none"):
        raise UserError(f"data.labels={config_data.labels} must be folders or none")
    kind = config_data.name.partition(":")[0]
    if config_data.labels == "none" and kind != "folder":
        raise UserError(f"data.labels=none is for folders, not for data.name={config_data.name}")
    if windows.parse(config_data.window) and kind != "folder":
        raise UserError(
            f"data.window={config_data.window} is for folders, not for data.name={config_data.name}"
        )
    dataset = _source(config_data)
    if config_data.classes:
        dataset = classes.only(dataset, config_data.classes)
    return validated(dataset, config_data.validation) if config_data.validation else dataset


def _source(config_data) -> Dataset:
    """The data set of that name, with all of its classes."""
    kind, colon, argument = config_data.name.partition(":")
    if not colon and kind in PLAIN:
        return PLAIN[kind](config_data)
    if argument and kind in _WITH_ARGUMENT:
        return _WITH_ARGUMENT[kind](expanded(argument), config_data)
    near = difflib.get_close_matches(kind, [*PLAIN, *_WITH_ARGUMENT], n=1)
    hint = f"; did you mean {next(n for n in _NAMES if n.startswith(near[0]))}?" if near else ""
    raise UserError(
        f"data.name={config_data.name} is no data set; they are {', '.join(_NAMES)}{hint}"
    )
