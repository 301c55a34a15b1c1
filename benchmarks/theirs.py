"""The peer's sides of a measurement, with the interface of `benchmarks.ours`."""

from collections.abc import Mapping

from benchmarks import peers, workloads
from genjax import data


class Training:
    """Training steps of one variant of the peer."""

    def __init__(self, config: str, overrides: Mapping[str, str], variant: str, device: str):
        self._peer = _make(config, overrides, variant, device)
        self.images_per_step = self._peer.images_per_step
        self.run = self._peer.run
        self.peak_memory_bytes = self._peer.peak_memory_bytes


class Samples:
    """Drawing from one variant of the peer."""

    def __init__(self, config: str, overrides: Mapping[str, str], variant: str, device: str):
        self._peer = _make(config, overrides, variant, device)
        self.images_per_step = self._peer.images_per_step
        self.peak_memory_bytes = self._peer.peak_memory_bytes

    def run(self, steps: int):
        for _ in range(steps):
            self._peer.sample(self.images_per_step)


def _make(config: str, overrides: Mapping[str, str], variant: str, device: str):
    options = workloads.read(config, overrides)
    dataset = data.open_dataset(options.data) if "data" in options else None
    found = peers.variants(device, options.precision)[variant]
    return peers.make(options, dataset, found, device)
