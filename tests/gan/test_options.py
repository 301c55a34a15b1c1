"""Combinations that make no sense are refused in one line, and what the line advises works."""

import pytest

from genjax import runs
from genjax.errors import UserError
from tests.tiny import tiny


@pytest.mark.parametrize(
    ("name", "options", "message", "advice"),
    [
        (
            "sngan",
            {"clip": 0.01},
            "clip=0.01 changes nothing that spectral norms let pass",
            {"model.norm": "none"},
        ),
        (
            "wgan-gp",
            {"augment.name": "ada"},
            "loss='wasserstein' gives no meaning",
            {"augment.target": 0.0, "augment.p": 0.2},
        ),
        (
            "dcgan",
            {"augment.name": "ada", "loss": "relativistic"},
            "loss='relativistic' gives no meaning",
            {"augment.target": 0.0, "augment.p": 0.2},
        ),
        (
            "dcgan",
            {"path_length.weight": 2.0},
            "needs a generator with a mapping network",
            {"path_length.weight": 0.0},
        ),
        (
            "dcgan",
            {"accumulate": 2},
            "accumulate=2 needs networks without statistics of a batch",
            {"accumulate": 1},
        ),
        (
            "dcgan",
            {"consistency.name": "crc"},
            "consistency.name='crc' is unknown; did you mean 'cr'",
            {"consistency.name": "cr"},
        ),
    ],
)
def test_refused(name, options, message, advice):
    with pytest.raises(UserError, match=message) as error:
        runs.build(tiny(name, **options))
    assert "\n" not in str(error.value)
    runs.build(tiny(name, **options | advice))
