"""The clip that a style config's text names: a file, a folder or a glob of frames, or `example`."""

import os
from collections.abc import Callable
from functools import partial

import numpy as np

from genjax import images
from genjax.errors import UserError
from genjax.files import shown
from genjax.style.sources import names
from genjax.video import clips
from genjax.video.example import NAME, SIDE, Example


def read(text: str, read_picture: Callable[[str], list], size: int = 0) -> clips.Clip:
    """The clip, its frames `size` px on their longer side, or of their own size with 0.

    Args:
      text: a GIF, MP4 or other file of a clip (`video.clips`); frames, as `sources.names` has them,
        in natural order; or "example", the built-in clip. Frames have no rate of their own, and are
        shown at `clips.PER_SECOND`.

    Raises:
      UserError: as `sources.names` and `clips.read`, or there are fewer than two frames, or frames
        are of different shapes.
    """
    found = names(text)
    if not found:
        raise UserError("no clip is given: give a file, a folder of frames, or example")
    resized = partial(images.fit, size=size) if size else np.asarray
    if found == [NAME]:
        clip = clips.Clip(Example(side=size or SIDE).frames(), clips.PER_SECOND)
    elif len(found) == 1 and found[0] not in images.BUILTIN and os.path.isfile(found[0]):
        clip = clips.read(found[0], resized)
    else:
        frames = (resized(picture) for name in found for picture in read_picture(name))
        clip = clips.Clip(clips.stacked(shown(text), frames, len(found)), clips.PER_SECOND)
    if len(clip.frames) < 2:
        raise UserError(
            f"{shown(text)} is one picture: give a clip or a folder of frames, or use"
            " --config=configs/style.py for pictures"
        )
    return clip
