"""A ruler that compiles in no time: fixed random projections of pictures."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax import runs
from genjax.metrics import rulers


def ruler(side: int = 8, features: int = 6) -> rulers.Ruler:
    """A `Ruler` "lite0" of pictures brought to `side` px, with logits for three classes."""
    kernel = np.random.default_rng(0).standard_normal((side * side * 3, features))

    def apply(weights, x):
        y = jnp.tanh(4 * x.reshape(len(x), -1) @ weights["kernel"] / side)
        return {"features": y, "logits": 3 * y[:, :3]}

    weights = {"kernel": kernel.astype(np.float32)}
    return rulers.Ruler("lite0", weights, "clean", side, apply)


@pytest.fixture
def stub(monkeypatch):
    """From now on `lite0` is the stub; any other name is what it is."""
    load = rulers.load
    monkeypatch.setattr(
        rulers, "load", lambda name: ruler() if name.startswith("lite0") else load(name)
    )


def conditional(trained: runs.Trained, classes: int) -> runs.Trained:
    """A trained run that says of its pictures in turn that they are of so many classes."""
    task = trained.run.task._replace(classes=classes)
    return trained._replace(run=trained.run._replace(task=task))


def pictures(n: int, seed: int = 0, size: int = 12, channels: int = 3) -> np.ndarray:
    """u8[n, size, size, channels]: squares of random places and brightness on a dark ground."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 60, (n, size, size, channels), dtype=np.uint8)
    for picture in found:
        top, left = rng.integers(0, size // 2, 2)
        picture[top : top + 4, left : left + 4] = rng.integers(100, 256, channels)
    return found
