"""Contents of several shapes in one run: one after the other, each as in a run of its own."""

import numpy as np
import pytest

from configs import style as style_config
from genjax import images
from genjax.errors import UserError
from genjax.style import inputs, masks, pairs, scales
from tests.tiny import metrics_of, tiny

_BOTH = {"content": "coffee,astronaut", "content_fit": "own"}
_NUMBERS = {"coffee": np.zeros((20, 40, 3), np.uint8), "astronaut": np.zeros((30, 30, 3), np.uint8)}


def _read(name):
    return [_NUMBERS[name]]


def _config(**changes):
    config = style_config.get_config("preset=wasserstein,size=181")
    config.update_from_flattened_dict(_BOTH | changes)
    return config


def test_the_stages_of_two_contents():
    short = {"scales.steps": (10, 4), "train.steps": 28}
    found = scales.of(_config(**short), _read)
    assert [tuple(at) for at in found] == [
        *((0, 0, 2, 128, 10), (0, 1, 2, 181, 14)),
        *((1, 0, 2, 128, 24), (1, 1, 2, 181, 28)),
    ]
    assert scales.contents_of(found) == 2
    # Of their own sizes each has scales of its own.
    own = short | {"size": 0, "scales.smallest": 25, "train.steps": 24}
    found = scales.of(_config(**own), _read)
    assert [(at.content, at.side, at.until) for at in found] == [
        *((0, 28, 10), (0, 0, 14)),
        (1, 0, 24),
    ]
    one = {"scales.smallest": 0, "scales.steps": (6,), "train.steps": 12}
    assert [at.until for at in scales.of(_config(**one), _read)] == [6, 12]


def test_each_content_is_read_alone():
    config = _config(style="coffee", size=0)
    for number, name in enumerate(("coffee", "astronaut")):
        found = inputs.load(config, _read, 0, number)
        assert found.contents.shape == (1, *_NUMBERS[name].shape)


def test_what_is_refused():
    said = r"before the last stage, content 2, 181 px.* after step 24: use .*=28, "
    with pytest.raises(UserError, match=said):
        scales.of(_config(**{"scales.steps": (10, 4), "train.steps": 14}), _read)
    with pytest.raises(UserError, match=r"pairs='each' is a batch .*content_fit=crop"):
        pairs.numbers(_config(pairs="each"), 1, 2)
    alone = _config(style="coffee", **{"masks.content": "coffee"})
    with pytest.raises(UserError, match=r"one shape: use --config.content_fit=crop"):
        masks.load(alone, _read, inputs.load(_config(style="coffee"), _read, 0, 0))
    with pytest.raises(UserError, match=r"which this preset does not: use .*=crop"):
        inputs.read(_config(style="coffee"), _read)


def test_a_run_paints_each_as_a_run_of_its_own(finished):
    """To the bit, and with the shape that each has."""
    alone = {"train.steps": 6, "scales.steps": (6,)}
    both = finished("style-adam", **_BOTH | alone | {"train.steps": 12})
    lines, shapes = metrics_of(both), []
    assert {line["train/picture"] for line in lines} == {1, 2}
    for i, name in enumerate(("coffee", "astronaut"), start=1):
        found = images.read(both / f"result_{i}.png")
        one = finished("style-adam", content=name, **alone)
        np.testing.assert_array_equal(found, images.read(one / "result.png"))
        of_its_own = [line for line in lines if line["train/picture"] == i]
        for line, expected in zip(of_its_own, metrics_of(one), strict=True):
            assert line["train/loss"] == expected["train/loss"]
        shapes.append(found.shape)
    assert shapes[0] != shapes[1]
    np.testing.assert_array_equal(images.read(both / "result.png"), found)
    assert tiny("style-adam", **_BOTH).scales.smallest == 0
