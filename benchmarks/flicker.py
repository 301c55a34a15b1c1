"""How much stylised clips flicker, beside the clip that they were made of.

    python -m benchmarks.flicker --original=CLIP STYLISED...

CLIP and STYLISED are files, folders or globs of frames, or `example`, as configs/style_video.py
takes them; a stylised clip may end earlier. It prints the root of each one's flicker
(`genjax.metrics.flicker`) and that of the original, along the motion that is found in the original
at the stylised size: a second or so a frame at 256 px. Only stylisations that are alike compare.
"""

import sys

import numpy as np

from genjax.errors import OptionParser, UserError, run_program
from genjax.metrics.flicker import flicker
from genjax.runs import read_picture
from genjax.style import frames
from genjax.video.reliability import motion


def report(argv: list[str]) -> None:
    """Prints a line for each clip, the original's last: its root, and its name.

    Raises:
      UserError: an option is wrong, or a clip is missing, longer or of another shape.
    """
    parser = OptionParser()
    parser.add_argument("--original", required=True)
    parser.add_argument("stylised", nargs="+")
    options = parser.parse_args(argv[1:])
    clips = {name: frames.read(name, read_picture).frames for name in options.stylised}
    first, *_ = clips.values()
    original = frames.read(options.original, read_picture, max(first.shape[1:3])).frames
    cut = {name: _cut(name, clip, original) for name, clip in clips.items()}
    longest = max(len(clip) for clip in cut.values())
    flows, weights = motion(original[:longest])
    for name, clip in (cut | {options.original: original[:longest]}).items():
        count = len(clip) - 1
        print(f"{flicker(clip, flows[:count], weights[:count]).root:.4f}  {name}")


def _cut(name: str, clip: np.ndarray, original: np.ndarray) -> np.ndarray:
    """The clip without the row or the column that an MP4 repeats, as its sides are even."""
    count, height, width = original.shape[:3]
    more = clip.shape[1] - height, clip.shape[2] - width
    if not set(more) <= {0, 1} or len(clip) > count:
        shapes = (f"{len(x)} frames of {x.shape[2]} x {x.shape[1]} px" for x in (clip, original))
        raise UserError("{} has {}, and the original at that size {}".format(name, *shapes))
    return clip[:, :height, :width]


def main(argv: list[str]) -> int:
    """Runs a command line and returns its exit code."""
    return run_program(argv, __doc__, report)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
