"""PyTorch programs for the same training steps, as fast as PyTorch lets them be.

Each has the layers, batch, optimiser, averages and precision of genjax's task; `benchmarks.parity`
proves that both compute the same. The peer of a family is the class `Peer` in the file of its name:
whoever adds `peers/FAMILY.py` has told everyone. The variants differ in how PyTorch runs a peer,
and the fastest counts.
"""

import importlib

from benchmarks.peers.base import EAGER, Peer, Variant

__all__ = ["EAGER", "Peer", "Variant", "build", "make", "variants"]


def variants(device: str, precision: str) -> dict[str, Variant]:
    """{name: variant}: what is worth timing on "cpu" or "gpu" in a config's `precision`.

    On a GPU, float32 products may be rounded to TF32, because JAX's default precision does so.
    """
    gpu, half = device == "gpu", precision == "bfloat16"
    modes = {"eager": "", "compile": "default", "CUDA graphs": "reduce-overhead"}
    shared = {"autocast": half, "tf32": gpu and not half}
    made = [
        Variant(name + " channels_last" * layout, layout, mode, **shared)
        for name, mode in modes.items()
        for layout in (False, True)
        if gpu or name != "CUDA graphs"
    ]
    return {variant.name: variant for variant in made}


def make(config, variant: Variant, device: str) -> Peer:
    """The peer of a complete genjax config, on "cpu" or "gpu", with what genjax reads for it."""
    opened = importlib.import_module("benchmarks.peers.opened")  # it imports JAX
    return build(config, variant, device, opened.given(config))


def build(config, variant: Variant, device: str, given) -> Peer:
    """The peer of a config, of which values are asked by attribute, on "cpu" or "gpu".

    Args:
      given: what is read from files, `base.Examples` to train on or `style.Pictures`.
    """
    peer = importlib.import_module(f"benchmarks.peers.{config.task}").Peer
    return peer(config, variant, device, given)


def names(device: str, precision: str) -> list[str]:
    """Of the variants."""
    return list(variants(device, precision))


def open_side(config, kind: str, variant: str, device: str):
    """A side for `benchmarks.worker`: a variant's training steps, its samples ("sample"), its
    likelihoods of pictures ("score"), or pictures that it paints ("stylize")."""
    peer = make(config, variants(device, config.precision)[variant], device)
    others = {"sample": "draw", "score": "weigh", "stylize": "stylize"}
    peer.run = getattr(peer, others.get(kind, "run"))
    return peer
