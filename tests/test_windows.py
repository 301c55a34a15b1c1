"""Windows of grey values: ramps by hand, and what a folder makes of them."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from genjax import config as config_lib
from genjax import images, windows
from genjax.data import open_dataset
from genjax.errors import UserError
from genjax.scores import pictures


def save(path, values):
    Image.fromarray(np.asarray(values)).save(path)
    return path


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.int32, np.float32])
def test_a_level_and_a_width(kind):
    """From 40 - 200 to 40 + 200: 40 is the middle, 140 three quarters on the way."""
    window = windows.parse("40,400")
    values = np.array([0, 40, 140, 240, 9999], kind)
    assert window.shades(values).tolist() == [102, 128, 191, 255, 255]
    if np.dtype(kind).kind != "u":
        assert window.shades(np.array([-1000, -160, -159], kind)).tolist() == [0, 0, 1]


def test_percentiles():
    """Of 0, 100, …, 10000, ten in a hundred lie up to 1000, and 90 up to 9000."""
    ramp = np.arange(101) * 100
    shades = windows.parse("p10,p90").shades(ramp)
    assert (shades[:11] == 0).all() and (shades[90:] == 255).all()
    assert shades[[20, 50, 80]].tolist() == [32, 128, 223]  # 255 / 8, 4/8, 7/8
    assert windows.parse(" P0, P100 ").shades(ramp)[[0, 20, 100]].tolist() == [0, 51, 255]
    # Of the chosen values only, and of nothing else where none is chosen.
    chosen = ramp >= 5000
    assert windows.parse("p0,p100").shades(ramp, chosen)[[50, 75, 100]].tolist() == [0, 128, 255]
    assert windows.parse("p0,p100").shades(ramp, ramp < 0)[[0, 100]].tolist() == [0, 255]
    # One value is black, and so is what most values are.
    assert windows.parse("p1,p99").shades(np.full((2, 2), 7)).tolist() == [[0, 0], [0, 0]]
    assert windows.parse("p1,p99").shades(np.r_[np.zeros(999), 5])[-2:].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wide", "has to be LEVEL,WIDTH, such as 40,400, or percentiles, such as p1,p99"),
        ("40", "has to be LEVEL,WIDTH"),
        ("40,400,1", "has to be LEVEL,WIDTH"),
        ("p1,99", "has to be LEVEL,WIDTH"),
        ("40,0", "a width more than 0"),
        ("40,-1", "a width more than 0"),
        ("nan,1", "a level is finite"),
        ("1,inf", "a level is finite"),
        ("p99,p1", "percentiles rise, from p0 to p100"),
        ("p1,p101", "percentiles rise"),
        ("pnan,p9", "percentiles rise"),
    ],
)
def test_windows_that_are_none(text, message):
    with pytest.raises(UserError, match=message):
        windows.parse(text)
    assert windows.parse("") is windows.parse(" ") is None


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_files_of_sixteen_bits(tmp_path, suffix):
    """Of 65,536 values, 400 are seen: of all 65,536 they would be two of 256 shades."""
    ramp = np.arange(900, 1400, 100, dtype=np.uint16)[None]
    path = save(tmp_path / f"a.{suffix}", ramp)
    window = windows.parse("1100,400")
    assert images.read(path, 1).ravel().tolist() == [4, 4, 4, 5, 5]
    assert images.read(path, 1, window=window).ravel().tolist() == [0, 64, 128, 191, 255]
    assert (images.read(path, window=window)[..., 2] == [0, 64, 128, 191, 255]).all()


def test_signed_and_float_files(tmp_path):
    window = windows.parse("0,2")
    path = save(tmp_path / "a.tif", np.array([[-2, -1, 0, 1]], np.int32))
    assert images.read(path, 1, window=window).ravel().tolist() == [0, 0, 128, 255]
    path = save(tmp_path / "b.tif", np.array([[-0.5, 0.5, 7]], np.float32))
    assert images.read(path, 1, window=window).ravel().tolist() == [64, 191, 255]
    path = save(tmp_path / "c.tif", np.array([[np.nan, 0]], np.float32))
    with pytest.raises(images.ImageError, match="no finite numbers"):
        images.read(path, 1, window=window)
    for i, mode in enumerate(("L", "RGB", "P", "LA")):
        Image.new(mode, (2, 2)).save(tmp_path / f"{i}.png")
        with pytest.raises(images.ImageError, match=r"has colours or 8 bits, and data\.window"):
            images.read(tmp_path / f"{i}.png", window=window)


def opened(root, **changes):
    values = config_lib.dataset(f"folder:{root}", 1).to_dict()
    values |= {"channels": 1, "test_fraction": 0.0, "max_corrupt": 0}
    return open_dataset(ConfigDict({**values, **changes}))


def test_folders(tmp_path):
    """One window for all, whatever else lies there."""
    for i, value in enumerate((1000, 1100, 1200)):
        save(tmp_path / f"{i}.png", np.full((2, 2), value, np.uint16))

    def levels(**changes):
        data = opened(tmp_path, **changes)
        return [int(data.train[i]["image"][0, 0, 0]) for i in range(3)], data

    found, data = levels(window="1100,200")
    assert (found, data.notes) == ([0, 128, 255], ())
    plain = levels()[1]
    assert plain.notes and plain.digest != data.digest == levels(window="1100, 200")[1].digest
    assert levels(window="1100,201")[1].digest != data.digest
    # Scores know pictures by their files and by how these are seen.
    digests = [pictures.of_split(each, "train").digest for each in (plain, data, data)]
    assert digests[0] != digests[1] == digests[2]
    Image.new("L", (2, 2)).save(tmp_path / "8.png")
    with pytest.raises(UserError, match=r"1 of 4 images cannot be read .*8\.png has colours or 8"):
        data = opened(tmp_path, window="1100,200")
        data.train.report([3], [1])
    with pytest.raises(UserError, match=r"data\.window=1,2 is for folders, not for data"):
        opened(tmp_path, name="mnist", window="1,2")
    with pytest.raises(UserError, match=r"data\.window='x' has to be"):
        opened(tmp_path, window="x")
