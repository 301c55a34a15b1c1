import numpy as np
import pytest
from PIL import Image

from genjax.errors import UserError
from genjax.runs import read_picture
from genjax.style.frames import read
from genjax.video import clips
from genjax.video.example import Example


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with `frames/`, three pictures of 6 x 4 px, in natural order 1, 2, 10."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    for i in (1, 2, 10):
        Image.new("RGB", (6, 4), (i, i, i)).save(tmp_path / "frames" / f"{i}.png")
    return tmp_path


def test_frames_of_a_folder_or_a_glob(here):
    for text in ("frames", "frames/*.png", "frames/1.png,frames/2.png,frames/10.png"):
        clip = read(text, read_picture)
        assert clip.frames.shape == (3, 4, 6, 3) and clip.per_second == clips.PER_SECOND
        assert clip.frames[:, 0, 0, 0].tolist() == [1, 2, 10]
    assert read("frames", read_picture, size=3).frames.shape == (3, 2, 3, 3)


def test_a_file(here):
    (here / "a.gif").write_bytes(clips.encoded(read("frames", read_picture).frames, "gif", 10))
    clip = read("a.gif", read_picture, size=3)
    assert clip.frames.shape == (3, 2, 3, 3) and clip.per_second == pytest.approx(10)


def test_the_built_in_clip(here):
    np.testing.assert_array_equal(
        read("example", read_picture, size=24).frames, Example(side=24).frames()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no clip is given: "),
        ("coffee", "coffee is one picture: give a clip or"),
        ("frames/1.png", "frames/1.png is one picture: give a clip or"),
        ("nothing.mp4", "no image nothing.mp4: no such file"),
        ("frames,wide.png", "frames,wide.png: frame 4 is 9 x 4 px, and the first one 6 x 4"),
    ],
)
def test_what_is_no_clip(text, message, here):
    Image.new("RGB", (9, 4)).save("wide.png")
    with pytest.raises(UserError) as error:
        read(text, read_picture)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
