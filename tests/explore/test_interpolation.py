import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

from genjax import runs
from genjax.errors import UserError
from genjax.explore import interpolation
from tests.tiny import tiny, with_values


def test_places_of_loops_by_hand():
    """Two loops through three latents, of three classes: places 0, 3, 6 and 1, 4, 7."""
    index, after, t = interpolation.places(shown=2, stops=3, frames=2, classes=3)
    np.testing.assert_array_equal(index, [0, 0, 3, 3, 6, 6, 1, 1, 4, 4, 7, 7])
    np.testing.assert_array_equal(after, [3, 3, 6, 6, 0, 0, 4, 4, 7, 7, 1, 1])
    np.testing.assert_array_equal(t, [0, 0.5] * 6)
    # As many classes as loops, or fewer: a loop keeps to its class.
    index, after, _ = interpolation.places(shown=5, stops=2, frames=1, classes=3)
    np.testing.assert_array_equal(index % 3, after % 3)
    assert len(set(index)) == 10


def test_the_animation_is_a_closed_loop(finished, tmp_path):
    """Its frames are 2 stops x 3; stops are samples, and one more frame would be the first."""
    workdir = epath.Path(shutil.copytree(finished("vae"), tmp_path / "run"))
    loop = {"sample.shown": 2, "sample.stops": 2, "sample.frames": 3}
    trained = runs.open_trained(tiny("vae", **loop), workdir)
    said = interpolation.write(trained, workdir)
    assert f"6 frames, a loop: {workdir}/interpolation.gif" in said
    sheet = np.asarray(Image.open(workdir / "interpolation.png"))
    assert sheet.shape == (2 * 30 + 2, 4 * 30 + 2)  # from a stop to the next, both included
    stops = runs.draw(trained, 4, seed=0)[..., 0].astype(int)  # 0 and 2 of the first loop
    first, last = sheet[2:30, 2:30], sheet[2:30, 92:120]
    assert np.abs(first - stops[0]).max() <= 1 and np.abs(last - stops[2]).max() <= 1
    with Image.open(workdir / "interpolation.gif") as animation:
        assert (animation.n_frames, animation.info["loop"]) == (6, 0)
        frames = [np.asarray(_at(animation, i).convert("L")).astype(int) for i in range(6)]
    assert frames[0].shape == (32, 62)  # both loops side by side
    np.testing.assert_array_equal(frames[0][2:30, 2:30], first)
    np.testing.assert_array_equal(frames[3][2:30, 2:30], last)
    moves = [np.abs(b - a).mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)]
    assert 0 < max(moves) < 3 * min(moves)  # from the last to the first, too


def _at(animation, i):
    animation.seek(i)
    return animation


def test_too_many_frames_are_one_line(finished):
    trained = runs.open_trained(tiny("vae"), finished("vae"))
    many = with_values(trained.run.config, **{"sample.frames": 2**30})
    trained = trained._replace(run=trained.run._replace(config=many))
    with pytest.raises(UserError, match=r"lower .*shown, .*stops or .*frames"):
        interpolation.write(trained, epath.Path("never"))
