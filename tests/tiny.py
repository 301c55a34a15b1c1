"""Tiny variants of the configs: every part of the real ones, in a second or two on two cores."""

import json
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict
from orbax.checkpoint import v1 as ocp

from genjax import config as config_lib
from genjax.report import page
from genjax.report.report import find_pictures

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))

# Shallow and small, so that compiling is quick; relu2_1 has a pooling layer below it.
_STYLE = {
    "content": "coffee",
    "style": "astronaut",
    "content_loss.layers": ("relu2_1",),
    "style_loss.layers": ("relu1_1", "relu2_1"),
    "style_loss.weights": (1.0, 1.0),
}

# Adam divides a gradient by its size. A pixel whose gradient is nothing but rounding would take a
# whole step in one way of computing it and the opposite step in another; with gradients as small as
# the epsilon beside that size, it takes none.
_SMOOTH = {
    "optimizer.name": "adam",
    "content_loss.weight": 1e-12,
    "style_loss.weight": 1e-16,
    "tv_weight": 1e-7,
    "init": "noise",
    "init_noise": 0.2,
}

_FAST = {
    "style": "coffee,astronaut",
    "content_loss.layers": ("relu2_1",),
    "style_loss.layers": ("relu1_1", "relu2_1"),
    "style_loss.weights": (1.0, 1.0),
}

# {name: (config file, ARG, overrides)}.
VARIANTS = {
    "dcgan": ("dcgan", "size=8,width=4", {"model.latent": 8}),
    "sngan": ("sngan", "size=8,width=4", {"model.latent": 8}),
    # Where an activation is 0 to rounding, its penalty's gradient jumps: with seed 0 in step 4, on
    # one version of JAX and not on another.
    "wgan-gp": ("wgan_gp", "size=8,width=4", {"seed": 1, "model.latent": 8, "n_dis": 2}),
    "r1": ("r1", "size=8,width=4", {"model.latent": 8}),
    # What it remembers: ADA's strength, and LeCam's averages from the third step on.
    "dcgan-memory": (
        "dcgan",
        "size=8,width=4",
        {
            "model.latent": 8,
            "augment.name": "ada",
            "augment.interval": 2,
            "augment.p": 0.5,
            "augment.images": 200,
            "lecam.weight": 100.0,
            "lecam.start": 3,
        },
    ),
    "lsgan": ("lsgan", "size=8,width=4", {"model.latent": 8}),
    "wgan": ("wgan", "size=8,width=4", {"model.latent": 8, "n_dis": 2}),
    "ssgan": ("ssgan", "size=8,width=4", {"model.latent": 8, "augment.name": "diffaugment"}),
    "cgan": ("cgan", "size=8,width=2,steps=1500,rate=2e-4,n_dis=1", {"model.latent": 8}),
    "sagan": ("sagan", "size=8,width=2,rate=2e-4", {"model.latent": 8}),
    # Its generator has spectral norms, attention and latents for each block.
    "biggan": (
        "biggan",
        "arch=studiogan_biggan,size=8,width=2,rate=2e-4,n_dis=1",
        {"model.latent": 8, "model.shared": 4},
    ),
    "stylegan2": (
        "stylegan2",
        "size=8,width=4,base=32,style=6,mapping=1,mixing=0.5,rate=2e-4,gamma=1.0,paths=2.0",
        {"regularizer.interval": 3, "path_length.interval": 2},
    ),
    "r3gan": (
        "r3gan",
        "size=8,width=4,parts=4,rate=2e-4,decay=64,p=0.5",
        {"model.latent": 8, "model.embedding": 2},
    ),
    "vae": ("vae", "", {"model.hidden": (16,), "model.latent": 4}),
    "iwae": (
        "iwae",
        "k=3,gradient=dreg",
        {
            "model.hidden": (16,),
            "model.latent": 4,
            "optimizer.name": "iwae",
            "optimizer.drops.steps": (2,),
            "optimizer.drops.factors": (0.5,),
        },
    ),
    "vamp": (
        "vamp",
        "pseudo=3",
        {"model.hidden": (16,), "model.latent": 4, "bound.warmup": 4},
    ),
    "iwae-iaf": (
        "iwae",
        "k=1,layers=2",
        {
            "model.hidden": (16,),
            "model.latent": 4,
            "model.posterior": "iaf",
            "model.flows.width": 8,
            "model.upper.hidden": (8,),
            "model.upper.latent": 3,
        },
    ),
    "beta-vae": ("beta_vae", "data=mnist,batch=2", {"model.latent": 3}),
    "tcvae": ("tcvae", "data=mnist,batch=4", {"model.latent": 3}),
    "factor-vae": (
        "factor_vae",
        "data=mnist,batch=4",
        {"model.latent": 3, "discriminator.width": 8, "discriminator.layers": 2},
    ),
    "cvae": ("cvae", "", {"model.hidden": (16,), "model.latent": 4}),
    "vqvae": ("vqvae", "size=8,width=4,inner=2,codes=8,features=3", {"quantizer.revive": 0.3}),
    "fsq": ("fsq", "size=8,width=4,inner=2,levels=4:3", {}),
    # Its discriminator has its say from the fifth step on.
    "vqgan": (
        "vqgan",
        "size=8,width=4,codes=8,features=3,start=4,rate=2e-4",
        {
            "model.multipliers": (1, 2),
            "model.groups": 2,
            "model.attention": (4,),
            "discriminator.width": 4,
            "discriminator.layers": 1,
        },
    ),
    "vdvae": (
        "vdvae",
        "size=8,width=8,rate=2e-4",
        {
            "model.latent": 2,
            "model.mixtures": 2,
            "model.encoder": "8x1,8d4,2x1",
            "model.decoder": "2x1,8m2",
            "optimizer.warmup": 2,
        },
    ),
    "vae-conv": ("vae", "arch=conv,size=16,width=2", {"model.latent": 4}),
    "vae-gaussian": ("vae", "likelihood=gaussian", {"model.hidden": (16,), "model.latent": 4}),
    "cnn": ("cnn", "size=8", {"model.width": 4, "model.blocks": 2, "data.shift": 1}),
    "cnn-airbench": (
        "cnn",
        "arch=airbench,size=8",
        {
            "model.widths": (4, 4),
            "optimizer.learning_rate": 0.02,
            "optimizer.bias_rate": 1e-3,
            "data.shift": 1,
        },
    ),
    "style-lbfgs": ("style", "size=16", _STYLE),
    "style-adam": ("style", "size=16", _STYLE | _SMOOTH),
    # At two scales. One layer, of more pixels than channels: where they are fewer, a covariance has
    # no inverse but for what is added to its diagonal, and its root makes more of rounding than the
    # bound expects.
    "style-wasserstein": (
        "style",
        "preset=wasserstein,size=16,smallest=11",
        _STYLE
        | _SMOOTH
        | {
            "style_loss.layers": ("relu1_1",),
            "style_loss.weights": (1.0,),
            "content_loss.weight": 1e-8,
            "style_loss.weight": 1e-7,
            "tv_weight": 1e-6,
            "scales.steps": (6, 6),
        },
    ),
    # Two scales and the final pass. Adam's epsilon as above.
    "style-nnst": (
        "style",
        "preset=nnst,size=16,smallest=8",
        {
            "content": "coffee",
            "style": "astronaut",
            "features.layers": ("relu1_1", "relu2_1"),
            "scales.steps": (4, 4, 4),
            "optimizer.learning_rate": 0.05,
            "optimizer.epsilon": 1.0,
        },
    ),
    "fast-style": (
        "style_fast",
        "data=mnist,size=16,width=2,blocks=1",
        _FAST,
    ),
    "fast-video": (
        "style_fast_video",
        "data=mnist,size=16,width=2,blocks=1",
        _FAST | {"video.reach": 3},
    ),
    "adain": (
        "style_adain",
        "data=mnist,size=16,crop=12,layer=relu2_1,rate=2e-4",
        {"style": "astronaut,coffee", "optimizer.decay": 5e-5},
    ),
    # Four frames of three steps each.
    "video": (
        "style_video",
        "size=24,frames=4,first=3,further=3",
        {key: value for key, value in (_STYLE | _SMOOTH).items() if key != "content"}
        | {"video.back": (1, 2), "video.weight": 1e-10},
    ),
    "style-macenko": (
        "style",
        "preset=macenko,size=16",
        {"content": "coffee", "style": "astronaut"},
    ),
}

# One variant for each kind of state, for what is proven of the loop with any state: networks with
# statistics, averages and an optimiser each; networks alone; pictures, each with its optimiser.
KINDS = ("dcgan", "vae", "style-adam")

# Those whose runs are stopped, resumed and shared by devices. The others have the same state and
# step, and their layers are among those of these: golden numbers and samples show them.
_OF_OTHERS = ("r1", "lsgan", "wgan", "ssgan", "cgan", "sagan")
STATES = [name for name in VARIANTS if name not in _OF_OTHERS]

# What is due falls on different steps: chunks of at most 5 are 4, 2, 2 and 4 steps long.
STEPS = 12
_EVENTS = {
    "train.steps": STEPS,
    "train.steps_per_call": 5,
    "log.every": 6,
    "sample.every": 6,
    "sample.n": 8,
    "evaluate.every": 6,
    "checkpoint.every": 4,
}


# Files of configs without `score`.
_UNSCORED = ("style", "style_fast", "style_fast_video", "style_adain", "style_video", "cnn")


def kinds_first(names: Iterable[str], kinds: Iterable[str] = KINDS) -> list:
    """Parameters of a test: `kinds` by default, and the other names where slow tests run."""
    return [name if name in kinds else pytest.param(name, marks=pytest.mark.slow) for name in names]


def arguments(name: str, overrides: dict) -> tuple[str, dict]:
    """(`configs/FILE.py:ARG`, {dotted key: value}) of a variant with overrides."""
    file, arg, values = VARIANTS[name]
    batch = {} if file in ("style", "style_video") else {"train.batch_size": 8}
    # Feature networks take seconds to compile: `tests/scores` has its own.
    scores = {} if file in _UNSCORED else {"score.metrics": ()}
    events = _EVENTS | batch | scores
    return f"configs/{file}.py" + (f":{arg}" if arg else ""), events | values | overrides


def tiny(name: str, **overrides) -> ConfigDict:
    """The locked config of a variant; overrides are dotted keys, `**{"train.steps": 2}`."""
    config_file, values = arguments(name, overrides)
    config = config_lib.read(f"{ROOT / config_file}")
    config.update_from_flattened_dict(values)
    return config


def with_values(config: ConfigDict, **values) -> ConfigDict:
    """A copy of a config with other values of its dotted keys."""
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(values)
    return config


def command_line(name: str, workdir, **overrides) -> list[str]:
    """The arguments of `main.py` for the same run."""
    config_file, values = arguments(name, overrides)
    options = [f"--config.{key}={value}" for key, value in values.items()]
    return ["main.py", f"--config={ROOT / config_file}", f"--workdir={workdir}", *options]


def without_curves():
    """From now on this process draws no curves into pages, which are a fifth of a tiny run."""
    page._svg = lambda group, last_step: "<svg></svg>"


def metrics_of(workdir) -> list[dict]:
    """The lines of metrics.jsonl, without what depends on the time that they took."""
    lines = (epath.Path(workdir) / "metrics.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k != "seconds" and not k.startswith("perf/")}
        for line in lines
    ]


def state_of(workdir) -> dict[str, np.ndarray]:
    """{path in the state: array} of the newest checkpoint; read without the project's code."""
    with ocp.training.Checkpointer(epath.Path(workdir) / "checkpoints") as checkpointer:
        saved = checkpointer.checkpointables_metadata().metadata["state"]
        abstract = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), saved)
        state = checkpointer.load_checkpointables(None, {"state": abstract})["state"]
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}


def assert_same_state(workdir, reference):
    """Every leaf of the two newest checkpoints has the same bits."""
    states = state_of(workdir), state_of(reference)
    assert states[0].keys() == states[1].keys()
    different = [key for key in states[0] if states[0][key].tobytes() != states[1][key].tobytes()]
    assert not different


def assert_same_run(workdir, reference):
    """The newest states have the same bits, and so have all metrics and pictures."""
    assert_same_state(workdir, reference)
    assert metrics_of(workdir) == metrics_of(reference)
    pictures, expected = find_pictures(workdir), find_pictures(reference)
    assert [p[:2] for p in pictures] == [p[:2] for p in expected]
    for (_, _, ours), (_, _, theirs) in zip(pictures, expected, strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
