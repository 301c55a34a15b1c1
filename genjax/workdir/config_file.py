"""`config.json` of a run: its whole config, what was changed on the way, and what may change.

Besides the config's own keys the file has `history`, a list of
`{"step": 300, "changed": {"optimizer.learning_rate": [0.001, 0.0003]}}`: at which step the run went
on with which other values, old and new.
"""

import json
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from genjax import gan_keys, sample_keys, score_keys, style_keys, stylize_keys, vae_keys
from genjax.config import dataset, flatten
from genjax.errors import UserError
from genjax.files import write_atomically

# A run goes on with other values of these keys without further notice. They say how long to train,
# where it runs, and how often results are shown and kept, but not what a step computes. `parallel`
# changes results by rounding only, through the order of sums over devices.
FREE_KEYS = (
    "parallel",
    "train.steps",
    "train.steps_per_call",
    "train.max_skipped",
    "log.every",
    *(f"sample.{key}" for task in ("gan", "vae", "codes") for key in sample_keys.defaults(task)),
    *(f"stylize.{key}" for task in stylize_keys.TASKS for key in stylize_keys.defaults(task)),
    "evaluate.every",
    "evaluate.augment",
    "checkpoint.every",
    "checkpoint.keep",
    "data.placement",
    "data.resident_limit_mb",
    "data.workers",
    "data.changed",
    "profile.steps",
    "stylize.transform",
    "stylize.clip",
    "score.metrics",
    "score.net",
    "score.n",
    "score.k",
    "score.split",
    "score.every",
    "score.metric",
    "score.few",
)

# A run goes on with other values of these keys too, but it is no longer the run of one config: the
# change is said and written into the history. They are what messages advise to change, what makes a
# finished run longer, and where the data lie (whether they are the same data is asked separately)
# or the run whose codes or decoder these are (its networks are in the state).
RECORDED_KEYS = (
    "data.name",
    "codes.run",
    "decoder.run",
    "data.max_corrupt",
    "train.on_nonfinite",
    "optimizer.learning_rate",
    "optimizer.linear_decay",
    "optimizer.decay_steps",
)

# What older runs did, whose config.json lacks these keys.
_BEFORE = {
    "init_from": "",
    "model.name": "small",
    "label_smoothing": 0.0,
}

_HISTORY = "history"


def save(config: ConfigDict, workdir: epath.Path, history: list[dict] | None = None) -> None:
    """Writes the whole config, defaults included, and the history to `config.json`."""
    values = json.loads(config.to_json()) | ({_HISTORY: history} if history else {})
    write_atomically(workdir / "config.json", json.dumps(values, indent=2) + "\n")


def load(workdir: epath.Path) -> ConfigDict:
    """The config of the run in `workdir`, locked.

    Raises:
      UserError: there is no config.json, or it does not hold a config.
    """
    return _read(workdir)[0]


def history(workdir: epath.Path) -> list[dict[str, Any]]:
    """What was changed in the run in `workdir`, oldest first (see this module's docstring).

    Raises:
      UserError: as `load`.
    """
    return _read(workdir)[1]


def changes(config: ConfigDict, workdir: epath.Path) -> dict[str, list]:
    """{key of RECORDED_KEYS: [value of the run in `workdir`, value in `config`]} where they differ.

    Raises:
      UserError: keys differ that may not; the message names them.
    """
    old, new = flatten(load(workdir)), flatten(config)
    old |= {key: value for key, value in _BEFORE.items() if key in new and key not in old}
    differing = sorted(
        key
        for key in old.keys() | new.keys()
        if key not in FREE_KEYS and old.get(key, ...) != new.get(key, ...)
        # Runs of one scale from before contents could have shapes of their own recorded a default.
        if key != "scales.steps" or style_keys.has_stages(old) or style_keys.has_stages(new)
    )
    refused = [key for key in differing if not _may_change(key, old, new)]
    if refused:
        listed = ", ".join(
            f"{key} ({old.get(key, 'absent')!r} there, {new.get(key, 'absent')!r} here)"
            for key in refused
        )
        raise UserError(
            f"{workdir} holds a run with another config: {listed}; "
            "choose another --workdir or the same config"
        )
    return {key: [old[key], new[key]] for key in differing}


def _may_change(key: str, old: dict, new: dict) -> bool:
    if key not in RECORDED_KEYS or key not in old or key not in new:
        return False
    # Optax counts the steps of a schedule in the optimiser's state; a constant rate has no count.
    return key != "optimizer.linear_decay" or 0 not in (old[key], new[key])


def _read(workdir: epath.Path) -> tuple[ConfigDict, list[dict]]:
    path = epath.Path(workdir) / "config.json"
    if not path.exists():
        raise UserError(f"{workdir} is not a run's workdir: it has no config.json")
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        changed = values.pop(_HISTORY, [])
        return of_values(values), changed
    except (ValueError, RecursionError, AttributeError) as error:
        # RecursionError: nested too deeply. AttributeError: a key that ConfigDict reserves.
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is not a config ({reason}): restore it or start afresh") from None


def of_values(values: dict[str, Any]) -> ConfigDict:
    """The locked config of JSON's values, with what an older run did where they lack a key."""
    if values.get("task") == "gan":
        values = gan_keys.completed(values)
    if values.get("task") in ("vae", "vq", "vqgan"):
        values = vae_keys.completed(values)
    if values.get("task") == "style":
        values = style_keys.completed(values)
    values = score_keys.completed(sample_keys.completed(values))
    if isinstance(values.get("data"), dict):
        values["data"] = dataset("", 0).to_dict() | values["data"]
    return ConfigDict(_with_tuples(values)).lock()


def _with_tuples(value):
    """JSON's lists as the tuples that configs have."""
    if isinstance(value, dict):
        return {key: _with_tuples(each) for key, each in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
