"""Scores of sets by name: what they need, and that nothing of the way they are computed counts."""

import jax
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.metrics import frechet, moments, rulers
from genjax.scores import measure
from genjax.scores.pictures import Pictures
from tests.scores.stub import pictures, ruler


def as_set(array, digest="d", batch=7):
    def batches():
        yield from np.split(array, range(batch, len(array), batch))

    return Pictures("set", digest, len(array), array.shape[1:], batches)


@pytest.fixture(scope="module")
def meter():
    return rulers.Meter(ruler())


def test_every_metric_gives_its_scores(meter):
    metrics = measure.choose(name for name in measure.METRICS if name not in measure.LABELLED)
    real, fake = pictures(1600, seed=1), pictures(1600, seed=2)
    about = measure.reference(meter, metrics, as_set(real))
    found = measure.scores(meter, metrics, about, measure.measured(meter, metrics, as_set(fake)), 0)
    assert list(found) == [
        f"{name}_lite0"
        for name in (
            *("frechet", "frechet_limit", "kid", "inception_score", "precision", "recall"),
            *("density", "coverage", "copies", "nearest"),
        )
    ]
    values = {name: value.value for name, (value, _) in found.items()}
    # Two sets of one distribution.
    assert abs(values["frechet_limit_lite0"]) < values["frechet_lite0"] < 0.05
    assert abs(values["kid_lite0"]) < 1e-2
    assert min(values["precision_lite0"], values["recall_lite0"]) > 0.9
    assert 0.9 < values["density_lite0"] < 1.1
    assert 0.3 < values["copies_lite0"] < 0.67
    assert 1 < values["inception_score_lite0"] < 3


def test_features_are_those_of_one_call_whatever_the_batches(meter):
    array = pictures(50, channels=1)
    metrics = measure.choose(["frechet", "kid"])
    found = measure.measured(meter, metrics, as_set(array, batch=13))
    expected = meter(np.repeat(array, 3, axis=-1))["features"]
    np.testing.assert_allclose(found.features, expected, atol=1e-6)
    np.testing.assert_allclose(found.moments.mean, expected.mean(0), atol=1e-6)
    assert [part.n for part in found.parts] == frechet.sizes(50)
    assert measure.measured(meter, measure.choose(["frechet"]), as_set(array)).features is None


@pytest.fixture
def kept(tmp_path):
    """A folder for what is kept, in which compiled programs are not."""
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_enable_compilation_cache
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_enable_compilation_cache", True)
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", before[0])
    jax.config.update("jax_enable_compilation_cache", before[1])


def test_small_batches_are_put_together(meter):
    """A sampler draws as many as a training batch has; a call of the net takes as long for less."""
    sizes = []

    def counting(batch):
        sizes.append(len(batch))
        return meter(batch)

    counting.size = meter.size
    measure.measured(counting, measure.choose(["frechet"]), as_set(pictures(150), batch=20))
    assert sizes == [64, 64, 22]


def test_a_reference_is_computed_once(meter, kept):
    metrics, array = measure.choose(["kid"]), pictures(40)
    first = measure.reference(meter, metrics, as_set(array))
    nothing = as_set(array)._replace(batches=lambda: iter(()))
    again = measure.reference(meter, metrics, nothing)
    np.testing.assert_array_equal(first.features, again.features)
    np.testing.assert_array_equal(first.moments.scatter, again.moments.scatter)
    other = measure.reference(meter, metrics, as_set(pictures(40, seed=9), "other"))
    assert not np.array_equal(first.features, other.features)
    for file in kept.glob("arrays-*"):
        file.write_bytes(file.read_bytes()[:50])
    mended = measure.reference(meter, metrics, as_set(array))
    np.testing.assert_array_equal(first.features, mended.features)


def test_few_pictures_are_enough_where_the_definition_says_so(meter):
    metrics = measure.choose(["kid", "precision_recall", "memorisation"])
    sets = (as_set(pictures(4, seed)) for seed in (1, 2))
    about = [measure.measured(meter, metrics, each) for each in sets]
    assert len(measure.scores(meter, metrics, *about, 0)) == 5


def test_the_share_of_samples_of_the_class_that_was_asked_for(meter):
    array, metrics = pictures(40), measure.choose(["class_accuracy"])
    labels = meter(array)["logits"].argmax(1)
    labels[:10] = (labels[:10] + 1) % 3
    found = measure.measured(meter, metrics, as_set(array)._replace(labels=labels))
    ((value, _),) = measure.scores(meter, metrics, found, found, 0).values()
    assert value.value == 0.75
    with pytest.raises(UserError, match=r"a \.npz with `labels`"):
        measure.scores(meter, metrics, found, found._replace(labels=None), 0)


def test_the_share_of_real_pictures_that_a_net_knows(meter, kept):
    """The classification accuracy score: the net is trained on samples, the real ones judge it."""
    array, metrics = pictures(40), measure.choose(["classification_accuracy"])
    labels = meter(array)["logits"].argmax(1)
    labels[:4] = (labels[:4] + 1) % 3
    fake = measure.measured(meter, metrics, as_set(pictures(12, seed=3)))
    labelled = as_set(array)._replace(labels=labels)
    for _ in range(2):  # the second time from the disk
        real = measure.reference(meter, metrics, labelled)
        ((value, _),) = measure.scores(meter, metrics, real, fake, 0).values()
        assert value.value == 0.9
        assert value.error == pytest.approx((0.9 * 0.1 / 40) ** 0.5)
    with pytest.raises(UserError, match="needs the classes of the real pictures"):
        measure.scores(meter, metrics, real._replace(labels=None), fake, 0)
    with pytest.raises(UserError, match="of class 3, counted from 0, and the net tells 3 classes"):
        measure.scores(meter, metrics, real._replace(labels=labels + 1), fake, 0)
    with pytest.raises(UserError, match="some pictures cannot be read"):
        measure.scores(meter, metrics, real._replace(labels=labels[1:]), fake, 0)
    with pytest.raises(UserError, match="needs a net that tells classes apart"):
        measure.scores(meter, metrics, real._replace(logits=None), fake, 0)


def test_samples_are_no_reference_to_keep(meter, kept):
    metrics = measure.choose(["kid"])
    first, other = (
        measure.reference(meter, metrics, as_set(pictures(20, seed), digest="")) for seed in (1, 2)
    )
    assert not np.array_equal(first.features, other.features)
    assert not list(kept.glob("arrays-*"))


def test_too_few_pictures_are_refused(meter):
    with pytest.raises(UserError, match="set has 29 pictures, too few for frechet, which takes 30"):
        measure.measured(meter, measure.choose(["frechet"]), as_set(pictures(29)))


def test_unknown_metrics_and_nets_without_classes(meter):
    with pytest.raises(UserError, match=r"'fretchet' is unknown; did you mean 'frechet'"):
        measure.choose(["fretchet"])
    logits = measure.choose(["inception_score"])
    features = measure.Measured(30, (moments.of(np.eye(30)),))
    with pytest.raises(UserError, match="needs a net that tells classes apart, not lite0"):
        measure.scores(meter, logits, features, features, 0)
