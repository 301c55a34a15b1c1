import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from genjax.errors import UserError
from genjax.explore import animation


def _frames(channels: int, side: int = 9) -> list[np.ndarray]:
    """A bright square that moves along a dark picture."""
    frames = []
    for i in range(4):
        frame = np.full((side, side, channels), 40, np.uint8)
        frame[2:5, i : i + 3] = 200
        frames.append(frame)
    return frames


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_has_the_frames_and_plays_for_ever(channels):
    frames = _frames(channels)
    with Image.open(io.BytesIO(animation.encoded(frames, "gif"))) as found:
        assert (found.n_frames, found.info["loop"], found.info["duration"]) == (4, 0, 50)
        for i, frame in enumerate(frames):
            found.seek(i)
            np.testing.assert_array_equal(np.asarray(found.convert("L")), frame[..., 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_an_mp4_has_the_frames(channels):
    """Of even sides; to what the coding loses."""
    av = pytest.importorskip("av")
    frames = _frames(channels, side=33)
    with av.open(io.BytesIO(animation.encoded(frames, "mp4"))) as container:
        found = [x.to_ndarray(format="rgb24") for x in container.decode(video=0)]
    assert len(found) == 4 and found[0].shape == (34, 34, 3)
    for ours, frame in zip(found, frames, strict=True):
        assert np.abs(ours[:33, :33].astype(int) - frame).mean() < 5


def test_a_missing_extra_is_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    animation.check("gif")
    with pytest.raises(UserError, match=r"needs PyAV: pip install av, or set .*animation=gif$"):
        animation.check("mp4")
