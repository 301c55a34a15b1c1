"""Tiny variants of the configs: every part of the real ones, in a second or two on two cores."""

import importlib.util
import json
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict
from orbax.checkpoint import v1 as ocp

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))

# Name -> (config file, ARG, overrides). A config file without a variant fails test_configs.py.
VARIANTS = {
    "dcgan": ("dcgan", "size=8,width=4", {"model.latent": 8}),
    "vae": ("vae", "", {"model.hidden": (16,), "model.latent": 4}),
    "vae-conv": ("vae", "arch=conv,size=16,width=2", {"model.latent": 4}),
    "vae-gaussian": ("vae", "likelihood=gaussian", {"model.hidden": (16,), "model.latent": 4}),
    "cnn": ("cnn", "size=8", {"model.width": 4, "model.blocks": 2, "data.shift": 1}),
    "style-lbfgs": ("style", "size=24", {}),
    "style-adam": (
        "style",
        "size=24,preset=neural-style",
        {"optimizer.name": "adam", "init": "content"},
    ),
}

_COMMON = {
    "train.steps": 10,
    "train.steps_per_call": 4,
    "log.every": 4,
    "sample.every": 5,
    "sample.n": 8,
    "evaluate.every": 5,
    "checkpoint.every": 5,
}
_KIND = {
    # Shallow, so that compiling is quick; relu2_1 has a pooling layer below it.
    "style": {
        "content": "coffee",
        "style": "astronaut",
        "content_loss.layers": ("relu2_1",),
        "style_loss.layers": ("relu1_1", "relu2_1"),
        "style_loss.weights": (1.0, 1.0),
    },
}


def tiny(name: str, **overrides) -> ConfigDict:
    """The locked tiny config of a variant; overrides are dotted keys, passed as `**{…}`."""
    file, arg, values = VARIANTS[name]
    path = ROOT / "configs" / f"{file}.py"
    spec = importlib.util.spec_from_file_location(f"tiny_{file}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(arg)
    common = _COMMON | ({"train.batch_size": 8} if "data" in config else {})
    config.update_from_flattened_dict(common | _KIND.get(config.task, {}) | values | overrides)
    return config
