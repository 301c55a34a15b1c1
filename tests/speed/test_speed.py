"""What a run says of its speed, on made-up machines."""

import os
import types
from pathlib import Path

import jax
import pytest

from genjax import runs
from genjax.report import read_metrics
from genjax.speed import flops, speed
from tests.tiny import tiny


def _device(platform="cpu", **stats):
    return types.SimpleNamespace(platform=platform, memory_stats=lambda: stats or None)


@pytest.fixture
def run(monkeypatch):
    """`run(devices)`: a run of 8 images and 1000 FLOP a step, on devices of 50 FLOP/s."""
    monkeypatch.setattr(flops, "model_flop", lambda run: 1000.0)
    monkeypatch.setattr(speed, "_rate", lambda dtype, device: 50.0)
    built = runs.build(tiny("vae"))

    def arrange(devices):
        mesh = types.SimpleNamespace(local_devices=devices)
        return built._replace(devices=types.SimpleNamespace(mesh=mesh, device_count=len(devices)))

    return arrange


def test_utilisation(run):
    """4 images a second are half a step: 500 of 2 x 50 FLOP."""
    both = [
        _device("gpu", peak_bytes_in_use=3_000_000),
        _device("gpu", peak_bytes_in_use=5_000_000),
    ]
    measured = speed.Speed(run(both))
    assert measured.metrics(4) == {"perf/mfu": 5.0, "perf/peak_memory_mb": 5.0}
    assert str(measured) == "1e-06 model GFLOP a step; matrix products reach 1e-07 GFLOP/s"


def test_what_cannot_be_known_is_left_out(run):
    assert speed.Speed(run([_device("gpu")])).metrics(4).keys() == {"perf/mfu"}
    shared = speed.Speed(run([_device(), _device()]))  # of the same cores
    assert "perf/mfu" not in shared.metrics(4)
    assert str(shared) == "1e-06 model GFLOP a step"


def test_memory_of_this_process():
    page = os.sysconf("SC_PAGE_SIZE")
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
    assert resident <= speed.peak_memory(jax.devices()) < os.sysconf("SC_PHYS_PAGES") * page


def test_every_line_of_a_run_has_them(finished):
    for line in read_metrics(finished("vae")):
        for name in ("images_per_sec", "step_ms", "mfu", "input_wait_ms", "peak_memory_mb"):
            assert line[f"perf/{name}"] >= 0
        assert line["perf/step_ms"] == pytest.approx(8e3 / line["perf/images_per_sec"])
        assert line["perf/input_wait_ms"] <= line["perf/step_ms"]
