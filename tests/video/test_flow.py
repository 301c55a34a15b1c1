import numpy as np

from genjax import images
from genjax.video.example import Example
from genjax.video.flow import flow


def test_the_direction_of_a_shift():
    """What is at x in the first picture is at x + 3 in the second, and one row higher."""
    whole = images.resize(images.load("coffee"), 80, 120)
    a, b = whole[8:72, 8:104], whole[9:73, 5:101]
    found = flow(a, b)
    assert found.shape == (64, 96, 2) and found.dtype == np.float32
    inner = found[8:-8, 8:-8]
    np.testing.assert_allclose(np.median(inner, axis=(0, 1)), (3, -1), atol=0.05)
    assert np.linalg.norm(inner - (3, -1), axis=-1).mean() < 0.3


def test_the_flow_of_the_example():
    """Endpoint errors against the known motion, where the first thing is seen in the second."""
    example = Example(length=24, side=144)
    frames = [example.frames()[i] for i in (11, 12)]
    true = example.flow(12, 11)
    error = np.linalg.norm(flow(frames[1], frames[0]) - true, axis=-1)
    still = np.linalg.norm(true, axis=-1)
    assert np.median(error) < 0.15 and error.mean() < 0.25 * still.mean(), error.mean()
