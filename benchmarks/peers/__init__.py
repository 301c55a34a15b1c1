"""PyTorch programs for the same training steps, as fast as PyTorch lets them be.

Each has the layers, batch, optimiser, averages and precision of genjax's task; `benchmarks.parity`
proves that both compute the same. The variants differ in how PyTorch runs them, and the fastest
counts.
"""

from benchmarks.peers.base import EAGER, Peer, Variant
from benchmarks.peers.cnn import CnnPeer
from benchmarks.peers.gan import GanPeer
from benchmarks.peers.style import StylePeer
from benchmarks.peers.vae import VaePeer

__all__ = ["EAGER", "Peer", "Variant", "make", "variants"]

FAMILIES = {"gan": GanPeer, "vae": VaePeer, "cnn": CnnPeer, "style": StylePeer}


def variants(device: str, precision: str) -> dict[str, Variant]:
    """{name: variant}: what is worth timing on "cpu" or "gpu" in a config's `precision`.

    On a GPU, float32 products may be rounded to TF32, because JAX's default precision does so.
    """
    gpu, half = device == "gpu", precision == "bfloat16"
    modes = {"": "eager", "default": "compile"} | (
        {"reduce-overhead": "CUDA graphs"} if gpu else {}
    )
    shared = {"autocast": half, "tf32": gpu and not half}
    made = [
        Variant(name + " channels_last" * layout, layout, mode, **shared)
        for mode, name in modes.items()
        for layout in (False, True)
    ]
    return {variant.name: variant for variant in made}


def make(config, dataset, variant: Variant, device: str) -> Peer:
    """The peer of a config.

    Args:
      config: a complete genjax config.
      dataset: a `genjax.data.Dataset`, or None for style, whose pictures are in the config.
      variant: of `variants`.
      device: "cpu" or "gpu".
    """
    return FAMILIES[config.task](config, dataset, variant, device)
