"""The memory that a style run is said to take, and the tile that follows."""

import pytest

from genjax import runs
from genjax.cnn import features
from genjax.errors import UserError
from genjax.style import memory
from tests.tiny import tiny

LAYERS = ("relu1_1", "relu5_1", "relu4_2")


@pytest.fixture(scope="module")
def net():
    return features.load("vgg16", LAYERS)


def _needs(net, *shapes, count=1):
    return memory.Needs(net, LAYERS, shapes, count, 2, 4)


def test_bytes_by_hand(net):
    """To relu5_1: 2 layers of 64, 2 of 128 / 4, 3 of 256 / 16, 3 of 512 / 64, and 512 / 256."""
    needs = _needs(net, (100, 200), (50, 50))
    numbers = 128 + 64 + 48 + 24 + 2
    process, step = memory._PROCESS, memory._STEP
    arrays = memory._PICTURE + 2 * memory._KEPT
    expected = process + 20_000 * (12 * arrays + step * 4 * numbers)
    assert needs.bytes(0) == pytest.approx(expected)
    # tiles of 16 px with a halo of 64 (58 px seen): 144 + 100 % 16, more than the height
    assert needs.bytes(16) == pytest.approx(expected - step * 4 * numbers * 100 * (200 - 152))


def test_more_pixels_take_more_memory(net):
    sides = [_needs(net, (side, side)).bytes(0) for side in (64, 512, 2048)]
    of_tiles = [_needs(net, (2048, 2048)).bytes(tile) for tile in (16, 64, 256, 1024)]
    assert sides == sorted(sides) and of_tiles == sorted(of_tiles)
    assert _needs(net, (64, 64), (512, 512)).bytes(0) > sides[0]  # a large style
    assert _needs(net, (64, 64), count=9).bytes(0) > sides[0]


def test_devices_of_one_memory_each_hold_pictures_and_a_window(net):
    """Three share out tiles; a whole picture is on one of them, or in a run that shares on all."""
    one, process = _needs(net, (400, 400)), memory._PROCESS
    three = one._replace(tiled=3)
    assert three.bytes(16) - process == pytest.approx(3 * (one.bytes(16) - process))
    assert three.fixed - process == pytest.approx(3 * (one.fixed - process))
    assert three.bytes(0) == one.bytes(0)
    shared = three._replace(whole=3)
    assert shared.bytes(0) - process == pytest.approx(3 * (one.bytes(0) - process))


def test_auto_is_whole_where_that_fits_and_else_keeps_to_its_memory(net, monkeypatch):
    monkeypatch.setattr(memory, "_free", lambda: 64e9)
    small, large = _needs(net, (256, 256)), _needs(net, (2048, 2048))
    assert memory.tile_of("auto", "gram", small) == 0
    tile = memory.tile_of("auto", "gram", large)
    assert tile % 16 == 0 and tile >= 64
    fewer = -(-2048 // tile) - 1  # tiles along a side
    assert large.bytes(tile) <= memory._CPU < large.bytes(-(-2048 // (16 * fewer)) * 16)
    monkeypatch.setattr(memory, "_free", lambda: 3.4e9)
    assert 0 < memory.tile_of("auto", "gram", large) < tile


def test_too_large_a_picture_is_one_line_whose_advice_works(net, monkeypatch):
    monkeypatch.setattr(memory, "_free", lambda: 8e9)
    needs = _needs(net, (4096, 3072))
    with pytest.raises(UserError, match=r"3072 x 4096 px would .*8\.0 GB .*=auto"):
        memory.tile_of("0", "gram", needs)
    assert memory.tile_of("auto", "gram", needs)
    with pytest.raises(UserError, match="use a smaller size"):
        memory.tile_of("0", "nearest", needs)
    monkeypatch.setattr(memory, "_free", lambda: 1e9)
    with pytest.raises(UserError, match=r"9 pictures of .* with tile=.* fewer pictures"):
        memory.tile_of("auto", "gram", _needs(net, (4096, 4096), count=9))


@pytest.mark.parametrize(
    "tile, changes, message",
    [
        ("5x", {}, "tile='5x' has to be 0, auto or a number"),
        ("-16", {}, "tile='-16' has to be"),
        ("15", {}, "tile=15 has to be a multiple of 2 px.*tile=14"),
        ("1", {}, "multiple of 2 px.*tile=2"),
        ("auto", {"style_loss.kind": "nearest"}, "not possible with style_loss.kind='nearest'"),
    ],
)
def test_a_tile_that_cannot_be(tile, changes, message):
    with pytest.raises(UserError, match=message):
        runs.build(tiny("style-adam", tile=tile, **changes))


def test_before_anything_computes(monkeypatch):
    monkeypatch.setattr(memory, "_free", lambda: 1e6)
    monkeypatch.setattr("genjax.style.task.jit", lambda *_: pytest.fail("it computed"))
    with pytest.raises(UserError, match=r"about 1\.2 GB, and 0\.0 GB are free"):
        runs.build(tiny("style-adam"))
