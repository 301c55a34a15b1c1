"""Files of clips: GIF, WebP and PNG by Pillow; MP4 and other video by PyAV, which is an extra."""

import importlib.util
import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genjax import decoding
from genjax.decoding import ImageError
from genjax.devices.program import check_memory
from genjax.errors import UserError
from genjax.files import shown

PER_SECOND = 20  # frames, where nothing else is said

# FFmpeg's names of the kinds of files that people keep clips in. It knows 300 more, among them
# lists of other files, and text.
_CONTAINERS = "mov,matroska,avi,mpegts,mpeg,ogg,flv,asf"

# Of the frames that a video's header counts, how many are there at least. Editors leave some in the
# file that are not shown.
_SHARE_THERE = 0.9


class Clip(NamedTuple):
    """A clip in memory.

    Attributes:
      frames: u8[T, H, W, 3].
      per_second: how many of them are shown in a second, on average.
    """

    frames: np.ndarray
    per_second: float


def read(path: str | os.PathLike, change: Callable[[np.ndarray], np.ndarray] = np.asarray) -> Clip:
    """Reads the clip in a file, whatever its suffix; a picture that does not move is one frame.

    Frames are upright, without transparency and in sRGB, as `images.read` has them, and without
    sound. Each is kept only as `change` returns it, so that a long clip that is made smaller takes
    no more memory than the small one.

    Args:
      change: what is done with each frame u8[H, W, 3], such as resizing.

    Raises:
      ImageError: the file holds no clip, or is damaged or cut off.
      UserError: there is no such file, it may not be read, what reads it is not installed, or its
        frames need more memory than there is, or are of different shapes.
    """
    path = Path(path)
    try:
        with open(path, "rb"):  # so that what the system refuses is told apart from damage
            pass
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {error.strerror or error}") from None
    moments = decoding.moments(path) if decoding.is_picture(path) else _video(path)
    durations = []

    def frames(first):
        for picture, duration, _ in itertools.chain([first], moments):
            durations.append(duration)
            yield change(picture)

    first = next(moments, None)
    if first is None:
        raise ImageError(f"{shown(path)} has no frames")
    found = stacked(shown(path), frames(first), first[2])
    total = sum(durations)
    return Clip(found, len(found) / total if total else PER_SECOND)


def moves(path: str | os.PathLike) -> bool:
    """Whether a file is no single picture: of several moments, or of no kind of picture.

    Raises:
      ImageError: it is a damaged picture.
    """
    path = Path(path)
    return not decoding.is_picture(path) or next(decoding.moments(path))[2] > 1


def stacked(name: str, frames: Iterator[np.ndarray], count: int) -> np.ndarray:
    """u8[T, H, W, 3]: frames u8[H, W, 3] in one array, into which each goes as it comes.

    Args:
      name: what messages call the clip.
      count: how many frames are expected.

    Raises:
      UserError: they need more memory than there is, or are of different shapes.
    """
    first = next(frames)
    check_memory(count * first.nbytes, "choose a smaller size, or cut the clip")

    def of_one_shape():
        for i, frame in enumerate(itertools.chain([first], frames), 1):
            if frame.shape != first.shape:
                (h, w), (height, width) = frame.shape[:2], first.shape[:2]
                raise UserError(
                    f"{name}: frame {i} is {w} x {h} px, and the first one {width} x {height}: give"
                    " frames of one shape"
                )
            yield frame

    return np.fromiter(of_one_shape(), np.dtype((np.uint8, first.shape)))


def _video(path: Path) -> Iterator[tuple[np.ndarray, float, int]]:
    """As `decoding.moments`, by PyAV."""
    if not _has_pyav():
        raise UserError(
            f"{shown(path)} is no picture; to read it as a video, pip install av, or give a GIF or"
            " a folder of frames"
        )
    import av

    at = 0
    try:
        with (
            open(path, "rb") as file,  # a name would do, but FFmpeg takes some for addresses
            av.open(file, options={"format_whitelist": _CONTAINERS}) as container,
        ):
            if not container.streams.video:
                raise ImageError(f"{shown(path)} has sound alone, and no pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = stream.average_rate or PER_SECOND
            for frame in container.decode(stream):
                upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                yield upright, float(1 / rate), stream.frames
                at += 1
            if at < stream.frames * _SHARE_THERE:
                raise ImageError(
                    f"{shown(path)} is cut off: it has {at} of its {stream.frames} frames"
                )
    except (av.FFmpegError, EOFError) as error:
        reason = f"cannot be decoded after frame {at}, it may be cut off" if at else "is no clip"
        raise ImageError(f"{shown(path)} {reason}: {error.strerror}") from None


def _has_pyav() -> bool:
    return importlib.util.find_spec("av") is not None


def best_kind() -> str:
    """The kind of file for a clip: "mp4", or "gif" where PyAV is not installed."""
    return "mp4" if _has_pyav() else "gif"


def check(kind: str, key: str) -> None:
    """Raises UserError where what writes this kind, "gif", "mp4" or "none", is not installed.

    Args:
      key: of the config, that chose it.
    """
    if kind == "mp4" and not _has_pyav():
        raise UserError(f"{key}='mp4' needs PyAV: pip install av, or set {key}=gif")


def encoded(frames: Sequence[np.ndarray], kind: str, per_second: float = PER_SECOND) -> bytes:
    """A file of frames u8[H, W, C], C in {1, 3}, that play for ever ("gif") or once ("mp4").

    A GIF has 256 colours a frame, shows each for a whole number of hundredths of a second, at least
    two, and frames that are equal to the one before as one that lasts longer. MP4 is H.264, of even
    sides: a row or a column is repeated where one is missing.
    """
    return _gif(frames, per_second) if kind == "gif" else _mp4(frames, per_second)


def _gif(frames, per_second) -> bytes:
    first, *others = [Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x) for x in frames]
    file = io.BytesIO()
    first.save(
        file,
        "GIF",
        save_all=True,
        append_images=others,
        duration=10 * max(2, round(100 / per_second)),
        loop=0,
    )
    return file.getvalue()


def _mp4(frames, per_second) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        rate = Fraction(per_second).limit_denominator(1001)  # such as 30000/1001
        stream = container.add_stream("libx264", rate=rate)
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
