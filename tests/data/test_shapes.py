"""Sprites: what each index draws, that nothing but symmetry makes two pictures equal, the feed."""

import pickle

import numpy as np
import pytest

from genjax import config as config_lib
from genjax.data import open_dataset, open_feed, order
from genjax.data.shapes import COUNT, FACTORS, SHAPES, draw, edges, factors, sprites

SIZES = tuple(FACTORS.values())


@pytest.fixture(scope="module")
def sprite_set():
    return open_dataset(config_lib.dataset("shapes", 64))


def test_factors_count_like_digits_with_y_last():
    assert np.prod(SIZES) == COUNT == 737_280
    assert tuple(FACTORS) == ("shape", "scale", "orientation", "x", "y")
    index = [0, 1, 32, 1024, 40 * 1024, 6 * 40 * 1024, COUNT - 1]
    expected = [*np.eye(6, 5, -1, dtype=int)[:, ::-1], np.array(SIZES) - 1]
    assert factors(index).tolist() == np.array(expected).tolist()
    assert factors(index).dtype == np.int32


def test_pictures_are_the_shapes_that_their_factors_say():
    """Each pixel for itself, in complex numbers: where it lies in a shape that has not been turned,
    made smaller or moved."""

    def inside(values, row, column):
        shape, scale, orientation, x, y = values
        offset = complex(column - (16 + x), (16 + y) - row)  # up is positive
        offset *= np.exp(-2j * np.pi * orientation / 40) / (0.5 + 0.1 * scale)
        u, v = offset.real, offset.imag
        if SHAPES[shape] == "square":
            return abs(u) < 11.2 and abs(v) < 11.2
        if SHAPES[shape] == "ellipse":
            return np.hypot(u / 15.8, v / 10.1) < 1
        u, v = u / 11.7, v / 11.7 + 0.25
        return u * u + v * v < 1 + np.cbrt(u * u * v**3)  # the heart's curve, the roots taken

    for values in [(0, 5, 0, 31, 0), (1, 2, 7, 3, 20), (2, 5, 0, 0, 31), (2, 0, 33, 9, 9)]:
        expected = [
            [255 * inside(values, row, column) for column in range(64)] for row in range(64)
        ]
        assert draw([np.ravel_multi_index(values, SIZES)])[0, :, :, 0].tolist() == expected


def test_no_edge_is_so_near_a_pixel_that_rounding_decides():
    assert abs(edges()).min() > 1e-9


def test_every_sprite_is_whole_at_every_border():
    """As many white pixels in the corners as anywhere, and as many in each colour as drawn."""
    white = np.count_nonzero(sprites(), axis=(1, 2, 3))
    assert white.min() > 100
    for corner in (0, 31, 31 * 32, 1023):
        pictures = draw(np.arange(720) * 1024 + corner)
        assert np.count_nonzero(pictures, axis=(1, 2, 3)).tolist() == white.tolist()
        assert np.unique(pictures).tolist() == [0, 255]


def test_two_pictures_are_equal_only_by_the_symmetry_of_their_shape():
    """Sprites cut out to their last pixels differ, so that places cannot make them equal either."""
    same = {}
    for pose, sprite in enumerate(sprites()[..., 0]):
        rows, columns = (np.flatnonzero(sprite.any(axis)) for axis in (1, 0))
        cut = sprite[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        same.setdefault((cut.shape, cut.tobytes()), []).append(pose)
    expected = []
    for shape, turns in enumerate((4, 2, 1)):  # in how many ways a shape lies on itself
        step = 40 // turns
        for scale in range(6):
            first = (shape * 6 + scale) * 40
            expected += [list(range(first + k, first + 40, step)) for k in range(step)]
    assert sorted(same.values()) == expected
    for poses in same.values():
        assert (sprites()[poses] == sprites()[poses[0]]).all()


def test_the_split_has_every_value_and_is_always_the_same(sprite_set):
    train, test = sprite_set.train, sprite_set.test
    assert (len(train), len(test), sprite_set.classes) == (729_980, 7_300, 3)
    assert sprite_set.class_names == ("square", "ellipse", "heart")
    held = factors(np.arange(50, COUNT, 101))
    assert test[7]["image"].tolist() == draw([50 + 7 * 101])[0].tolist()
    for values, size in zip(held.T, SIZES, strict=True):
        assert abs(np.bincount(values, minlength=size) - 7300 / size).max() < 2
    assert test.labels.tolist() == held[:, 0].tolist()
    for i in (0, 49, 50, 400_000, 729_979):
        known = int(np.ravel_multi_index(factors([i + (i + 50) // 100])[0], SIZES))
        assert train[i]["image"].tolist() == draw([known])[0].tolist()
        assert train[i]["label"] == train.labels[i] == factors([known])[0, 0]
    assert sprite_set.digest == "60b179faf9752735ac3db119aa50764b"


def test_scores_find_the_factors_of_all_pictures(sprite_set):
    known = sprite_set.factors
    assert (known.names, known.sizes) == (tuple(FACTORS), SIZES)
    assert len(known.whole) == COUNT and known.of([COUNT - 1]).tolist() == [[2, 5, 39, 31, 31]]
    assert known.whole[123_456]["image"].tolist() == draw([123_456])[0].tolist()
    assert open_dataset(config_lib.dataset("mnist", 0)).factors is None


def test_other_sizes_and_channels():
    options = config_lib.dataset("shapes", 32)
    options.channels = 3
    small = open_dataset(options)
    assert small.shape == small.train[0]["image"].shape == (32, 32, 3)
    assert open_dataset(config_lib.dataset("shapes", 0)).shape == (64, 64, 1)


def test_pictures_are_drawn_as_they_are_asked_for(sprite_set):
    """The whole set takes 3 GB, so that it streams; a process that reads it gets 10 MB."""
    said = []
    options, rows = config_lib.dataset("shapes", 64), np.arange(4)
    feed = open_feed(sprite_set.train, options, 4, rows, 3, said.append)
    assert "729980 images, 2990.0 MB decoded, streamed" in said[0]
    found = feed.chunk(5, 2)
    feed.close()
    asked = order.indices(3, 729_980, 20, 8)
    assert found["index"].ravel().tolist() == asked.tolist()
    assert (found["image"].reshape(8, 64, 64, 1) == draw(asked + (asked + 50) // 100)).all()
    assert len(pickle.dumps(sprite_set.train)) < 15e6
