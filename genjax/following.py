"""Stylising clips: each frame goes on with what the network made of the one before.

Ruder, Dosovitskiy and Brox 2018, arXiv:1708.04538.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from genjax import images, runs
from genjax.devices import processes
from genjax.devices.program import check_memory
from genjax.errors import UserError
from genjax.files import check_not_over, place, write_atomically
from genjax.nn import backend
from genjax.style import frames
from genjax.style.sources import names
from genjax.task import RUN_PREFIX
from genjax.video import clips, reliability
from genjax.video.example import NAME

_ANIMATIONS = (".gif", ".mp4")


def is_clip(source: str) -> bool:
    """Whether an input is a clip, as `genjax.style.frames` reads it, and no single picture, or
    samples of a run.

    Raises:
      UserError: as `names` and `clips.moves`.
    """
    if source.startswith(RUN_PREFIX):
        return False
    found = names(source)
    if len(found) != 1 or found == [NAME]:
        return bool(found)
    return found[0] not in images.BUILTIN and os.path.isfile(found[0]) and clips.moves(found[0])


def paint(trained: runs.Trained, looks: Mapping[str, Any], source: str, output: str) -> int:
    """Paints a clip, and returns how many frames it has.

    Of several processes, one writes.

    Args:
      trained: a run with `Stylization.follow`.
      looks: {ending of names: style}, of `Stylization.choose`.
      source: the clip.
      output: a folder, for `frames/0001.png`, … and `result.mp4`, or `result.gif` without PyAV; or
        a file of one of these kinds, for that alone.

    Raises:
      UserError: as `frames.read`; or there are several looks for a file, PyAV is missing for it, or
        it would be written over one that is read.
    """
    clip = frames.read(source, runs.read_picture, trained.run.config.stylize.size)
    targets = {ending: _Target.of(output, ending) for ending in looks}
    if len(looks) > 1 and next(iter(targets.values())).frames is None:
        raise UserError(f"--output={output} is one file for {len(looks)} clips: name a folder")
    count = len(clip.frames)
    written = [path for target in targets.values() for path in target.paths(count)]
    read = [name for name in names(source) if name not in images.BUILTIN]
    check_not_over(written, read, output)
    check_memory(len(looks) * clip.frames.nbytes, "set a smaller stylize.size, or cut the clip")
    made = {ending: np.empty_like(clip.frames) for ending in looks}
    for i, pictures in enumerate(_painted(trained, list(looks.values()), clip.frames)):
        for ending, picture in zip(looks, pictures, strict=True):
            made[ending][i] = picture
            if targets[ending].frames is not None and processes.is_first():
                images.write(targets[ending].frame(i), picture)
    for ending, target in targets.items():
        if processes.is_first():
            kind = target.animation.suffix[1:].lower()
            target.animation.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target.animation, clips.encoded(made[ending], kind, clip.per_second))
    return count


class _Target(NamedTuple):
    """Where a painted clip is written.

    Attributes:
      frames: a folder for its frames; None for none.
      animation: a file for all of them.
    """

    frames: epath.Path | None
    animation: epath.Path

    @classmethod
    def of(cls, output: str, ending: str) -> "_Target":
        path = place(output)
        if path.suffix.lower() in _ANIMATIONS and not path.is_dir():
            if path.suffix.lower() == ".mp4" and clips.best_kind() != "mp4":
                raise UserError(
                    f"--output={output} needs PyAV: pip install av, or name a .gif or a folder"
                )
            return cls(None, path)
        if path.exists() and not path.is_dir():
            raise UserError(f"--output={output} is a file: name a folder, or a .gif")
        return cls(path / f"frames{ending}", path / f"result{ending}.{clips.best_kind()}")

    def frame(self, i: int) -> epath.Path:
        return self.frames / f"{i + 1:04d}.png"

    def paths(self, count: int) -> list[epath.Path]:
        every = range(count if self.frames is not None else 0)
        return [self.animation, *map(self.frame, every)]


def _painted(trained: runs.Trained, styles: list, clip: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yields the pictures u8[H, W, 3] of each frame of u8[T, H, W, 3], one in each style."""
    run = trained.run
    alpha = np.float32(run.config.stylize.alpha)

    def follow(state, style, frame, alpha, before, motion):
        image = images.to_float(frame[None], low=0)
        flow, trusted = (x[None] for x in motion)
        shown, before = run.task.stylization.follow(
            state, style, image, alpha, before, flow, trusted
        )
        return images.to_uint8(shown, low=0)[0], before

    compiled = run.devices.on_state(backend.forward(often=True)(follow))
    height, width = clip.shape[1:3]
    nothing = np.zeros((1, height, width, 3), np.float32)
    motion = reliability.Motion(
        np.zeros((height, width, 2), np.float32), np.zeros((height, width), np.float32)
    )
    before = [nothing] * len(styles)
    for i, frame in enumerate(clip):
        if i:
            motion = reliability.between(clip[i - 1], frame)
        pictures = []
        for number, style in enumerate(styles):
            picture, before[number] = compiled(
                trained.state, style, frame, alpha, before[number], motion
            )
            pictures.append(np.asarray(picture))
        yield pictures
