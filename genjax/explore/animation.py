"""Animations: GIF with Pillow, MP4 with PyAV, which is an extra."""

import importlib.util
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from genjax.errors import UserError

PER_SECOND = 20  # frames; GIF counts in hundredths of a second


def check(kind: str) -> None:
    """Raises UserError where what writes this kind, "gif", "mp4" or "none", is not installed."""
    if kind == "mp4" and not importlib.util.find_spec("av"):
        raise UserError(
            "sample.animation='mp4' needs PyAV: pip install av, or set sample.animation=gif"
        )


def encoded(frames: Sequence[np.ndarray], kind: str) -> bytes:
    """A file of frames u8[H, W, C], C in {1, 3}, that play for ever ("gif") or once ("mp4").

    A GIF has 256 colours a frame, and shows frames that are equal to the one before as one that
    lasts longer. MP4 is H.264, of even sides: a row or a column is repeated where one is missing.
    """
    return _gif(frames) if kind == "gif" else _mp4(frames)


def _gif(frames) -> bytes:
    first, *others = [Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x) for x in frames]
    file = io.BytesIO()
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=others,
        duration=1000 // PER_SECOND,
        loop=0,
    )
    return file.getvalue()


def _mp4(frames) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=PER_SECOND)
        height, width = (side + side % 2 for side in frames[0].shape[:2])
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.options = {"crf": "18"}  # hardly a loss that is seen
        for x in frames:
            even = ((0, height - x.shape[0]), (0, width - x.shape[1]), (0, 0))
            x = np.broadcast_to(np.pad(x, even, "edge"), (height, width, 3))
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(x), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()
