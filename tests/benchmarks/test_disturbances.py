"""What the disturbances do to pictures, and the table of scores, with a net that only pretends."""

import numpy as np
import pytest

from benchmarks import disturbances
from benchmarks.disturbances import AS_IT_IS, Halves
from genjax import config as config_lib
from genjax import data
from genjax.data.dataset import Subset
from genjax.errors import UserError
from genjax.metrics.rulers import Ruler
from genjax.scores import measure


@pytest.fixture(scope="module")
def digits():
    return data.open_dataset(config_lib.dataset("mnist", 0))


class Pretended:
    """A meter whose features are the means of 16 fields of 7 px, and whose classes are the rows."""

    size = 64
    ruler = Ruler("fields", {"nothing": np.zeros(1)}, "none", None, lambda weights, x: {})

    def __call__(self, pictures):
        fields = pictures.reshape(-1, 4, 7, 4, 7).mean((2, 4)).astype(np.float32) / 255
        return {"features": fields.reshape(-1, 16), "logits": 8 * fields.mean(2)}


def test_halves_have_no_picture_in_common_and_are_the_same_each_time(digits):
    found, again = disturbances.halves(digits, 100), disturbances.halves(digits, 100)
    assert found.real.shape == found.fake.shape == (100, 28, 28, 1)
    assert not {x.tobytes() for x in found.real} & {x.tobytes() for x in found.fake}
    assert np.array_equal(found.fake, again.fake) and np.array_equal(found.labels, again.labels)
    # A label belongs to its picture: zeros are dark in the middle, ones at the sides.
    zeros, ones = (found.fake[found.labels == k].mean(0)[..., 0] for k in (0, 1))
    assert zeros[13:15, 13:15].mean() < 60 < ones[13:15, 13:15].mean()
    assert len(disturbances.halves(digits, 0).real) == 2250


def test_noise_has_its_deviation_and_is_cut_off():
    grey = np.full((20, 28, 28, 1), 128, np.uint8)
    found = disturbances.noisy(grey, 16)
    assert found.dtype == np.uint8
    assert found.std() == pytest.approx(16, rel=0.02) and found.mean() == pytest.approx(128, abs=1)
    black = disturbances.noisy(np.zeros_like(grey), 16)
    assert (black == 0).mean() == pytest.approx(0.5, abs=0.02)


def test_blur_is_a_gaussian_of_each_picture_alone():
    array = np.zeros((2, 15, 15, 3), np.uint8)
    array[0, 7, 7, 1] = 255
    found = disturbances.blurred(array, 1)
    # 255 / (2 pi), and that times e^(-1/2) a pixel beside it.
    assert found[0, 7, 7, 1] == pytest.approx(40.6, abs=1)
    assert found[0, 7, 8, 1] == found[0, 6, 7, 1] == pytest.approx(24.6, abs=1)
    assert not found[1].any() and not found[0, ..., 0].any()


def test_what_is_done_to_the_second_half():
    draw = np.random.default_rng(0)
    real, fake = draw.integers(0, 256, (2, 12, 8, 8, 1), np.uint8)
    found = dict(disturbances.disturbed(Halves(real, fake, np.arange(12) % 3)))
    assert next(iter(found)) == AS_IT_IS and np.array_equal(found[AS_IT_IS], fake)
    assert np.array_equal(found["one picture, repeated"], np.stack([fake[0]] * 12))
    left = fake[[i for i in range(12) if i % 3]]
    assert np.array_equal(found["without the first class"], left)
    assert np.array_equal(found["copies of the real half"], real)
    assert np.array_equal(found["one picture in 4"], fake[[0, 4, 8]])
    for labels in (None, np.zeros(12, int)):  # no classes, and one alone
        others = dict(disturbances.disturbed(Halves(real, fake, labels)))
        assert found.keys() - others.keys() == {"without the first class"}


def test_a_data_set_may_be_too_small(digits):
    few = digits._replace(train=Subset(digits.train, np.arange(59)))
    with pytest.raises(UserError, match="mnist has too few pictures: a half takes 30, it has 29"):
        disturbances.halves(few, 0)


def test_scores_move_as_they_should(digits):
    given = disturbances.halves(digits, 100)._replace(labels=None)  # fewer shapes to compile
    found = {name: (n, scores) for name, n, scores in disturbances.rows(Pretended(), given)}
    values = {
        name: {score.removesuffix("_fields"): x["value"] for score, x in scores.items()}
        for name, (_, scores) in found.items()
    }
    before = values[AS_IT_IS]
    for name in ("noise, sigma = 32 of 255", "blur, sigma = 2 px", "one picture, repeated"):
        assert values[name]["frechet"] > 2 * before["frechet"], name
        assert values[name]["kid"] > before["kid"], name
    repeated, copies = values["one picture, repeated"], values["copies of the real half"]
    assert repeated["recall"] == 0 and repeated["inception_score"] == pytest.approx(1)
    assert copies["frechet"] == pytest.approx(0, abs=1e-5)
    assert copies["precision"] == copies["recall"] == copies["copies"] == 1
    assert before["copies"] < 0.7
    n, fewer = found["one picture in 4"]
    assert n == 25 and "kid_fields" in fewer and "frechet_fields" not in fewer
    least = measure.METRICS["frechet_limit"].least
    assert least > 100 and "frechet_limit_fields" not in found[AS_IT_IS][1]


def test_the_table_has_bold_what_is_beyond_both_intervals():
    def scored(**values):
        return {name: {"value": x, "error": error} for name, (x, error) in values.items()}

    found = [
        (AS_IT_IS, 1000, scored(kid=(1.0, 0.1), nearest=(2.0, None))),
        ("noise", 1000, scored(kid=(1.3, 0.1), nearest=(9.0, None))),
        ("blur", 900, scored(kid=(1.5, 0.1))),
    ]
    assert disturbances.table(found).splitlines() == [
        "|  | pictures | kid | nearest |",
        "| :-- | --: | --: | --: |",
        "| as it is | 1,000 | 1 ± 0.2 | 2 |",
        "| noise | 1,000 | 1.3 ± 0.2 | 9 |",
        "| blur | 900 | **1.5 ± 0.2** | \N{EN DASH} |",
    ]


@pytest.mark.parametrize(
    "option, expected",
    [
        ("--n=2251", "--n=2251 has to be 30 to 2250, half of the pictures of mnist"),
        ("--n=29", "--n=29 has to be 30 to 2250, half of the pictures of mnist"),
        ("--net=lite1", "lite0"),
        ("--noise=3", "unrecognized arguments: --noise=3 (see --help)"),
    ],
)
def test_mistakes_are_one_line(option, expected, capsys):
    assert disturbances.main(["disturbances", option]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1
