"""Ranges of numbers in configs: each number has one, and each range is of a number."""

import pytest

from genjax import config as config_lib
from genjax import ranges
from tests.tiny import CONFIGS, ROOT, VARIANTS

# Of data and styles, which are known where these are read.
_CHECKED_WHERE_READ = {
    *("data.channels", "data.max_corrupt", "data.shift", "data.test_fraction", "data.workers"),
    "style_weights",
}


@pytest.fixture(scope="module")
def numbers() -> set[str]:
    """The keys of all configs whose values are numbers, or tuples of them."""
    variants = {f"{file}.py:{arg}" for file, arg, _ in VARIANTS.values()}
    found = set()
    for name in variants | {f"{file}.py" for file in CONFIGS}:
        for key, value in config_lib.flatten(config_lib.read(f"{ROOT}/configs/{name}")).items():
            values = value if isinstance(value, list) else [value]
            if all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
                found.add(key)
    return found


def test_every_number_has_a_range(numbers):
    without = {key for key in numbers if ranges.of(key) is None}
    assert without == _CHECKED_WHERE_READ


def test_every_range_is_of_a_number(numbers):
    groups = {key.rpartition(".")[0] for key in numbers}
    assert not ranges.RANGES.keys() - numbers - groups


def test_a_range_is_of_the_whole_key_or_of_the_group():
    assert ranges.of("style_loss.scale.relu1_1") is ranges.RANGES["style_loss.scale"]
    assert ranges.of("consistency.real") is ranges.NOT_NEGATIVE
    # Words that other keys have as parts of their names.
    for key in ("shading.real", "model.real", "real", "p", "model.seed", "sample", "sample.few"):
        assert ranges.of(key) is None
