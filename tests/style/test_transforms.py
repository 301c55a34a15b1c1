import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.style import transforms


@pytest.fixture(scope="module")
def features():
    """Of two contents and of two styles, f32[2, 5, 6, 4] and f32[2, 7, 3, 4]."""
    random = np.random.default_rng(0)
    mix = random.normal(size=(4, 4))
    content = random.normal(size=(2, 5, 6, 4)) + 1
    return jnp.float32(content), jnp.float32(random.normal(size=(2, 7, 3, 4)) @ mix - 2)


def _flat(x):
    return np.float64(x).reshape(len(x), -1, x.shape[-1])


@pytest.mark.parametrize("unbiased", [True, False])
def test_moments(features, unbiased):
    flat = _flat(features[0])
    mean, deviation = transforms.moments(features[0], unbiased, 1e-2)
    np.testing.assert_allclose(mean, flat.mean(axis=1), rtol=1e-5)
    expected = np.sqrt(flat.var(axis=1, ddof=int(unbiased)) + 1e-2)
    np.testing.assert_allclose(deviation, expected, rtol=1e-5)


def test_adaptive_by_hand():
    """Places 1 and 3: mean 2, deviation 1; those of the style are 10 and 3."""
    content, style = (jnp.array(x).reshape(1, 1, 2, 1) for x in ([1.0, 3.0], [7.0, 13.0]))
    transform = transforms.adaptive(unbiased=False, epsilon=0.0, of_style=0.0)
    kept = transform.style(None, style)
    assert kept["mean"].tolist() == [[10]] and kept["deviation"].tolist() == [[3]]
    assert transform.apply(None, kept, content).ravel().tolist() == [7, 13]


@pytest.mark.parametrize("unbiased", [True, False])
def test_adaptive_gives_the_moments_of_the_style(features, unbiased):
    content, style = features
    transform = transforms.adaptive(unbiased, 0.0, 0.0)
    flat = _flat(transform.apply(None, transform.style(None, style), content))
    wanted = _flat(style)
    np.testing.assert_allclose(flat.mean(axis=1), wanted.mean(axis=1), rtol=1e-5)
    deviations = (x.std(axis=1, ddof=int(unbiased)) for x in (flat, wanted))
    np.testing.assert_allclose(*deviations, rtol=1e-5)


def test_whitened_and_coloured_features_have_the_covariance_of_the_style(features):
    content, style = features
    transform = transforms.whitening(added=0.0)
    flat = _flat(transform.apply(None, transform.style(None, style), content))
    for found, wanted in zip(flat, _flat(style), strict=True):
        np.testing.assert_allclose(found.mean(axis=0), wanted.mean(axis=0), rtol=1e-4)
        np.testing.assert_allclose(np.cov(found.T), np.cov(wanted.T), rtol=1e-3, atol=1e-4)


def test_whitening_against_numpy(features):
    """By singular values in float64, with one on the contents' diagonal; the style has a direction
    in which it does not vary."""
    content, style = features[0], features[1].at[..., 3].set(features[1][..., 0])
    transform = transforms.whitening()
    ours = transform.apply(None, transform.style(None, style), content)

    def power(covariance, exponent):
        u, values, v = np.linalg.svd(covariance)
        kept = values >= 1e-5
        return (u[:, kept] * values[kept] ** exponent) @ v[kept]

    for x, s, found in zip(_flat(content), _flat(style), _flat(ours), strict=True):
        colour, white = power(np.cov(s.T), 0.5), power(np.cov(x.T) + np.eye(4), -0.5)
        expected = (colour @ white @ (x - x.mean(axis=0)).T).T + s.mean(axis=0)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["adaptive", "whitening"])
def test_a_mixture_paints_the_mean_of_what_its_styles_do(features, kind):
    content, style = features
    transform = {
        "adaptive": transforms.adaptive(True, 1e-5, 1e-5),
        "whitening": transforms.whitening(),
    }[kind]
    kept = transform.style(None, style)
    each = [jax.tree.map(lambda x, i=i: x[i : i + 1], kept) for i in range(2)]
    mixed = transforms.mixed(each, jnp.array([0.25, 0.75]))
    alone, whole = [transform.apply(None, x, content[:1]) for x in each], content[:1]
    found = transform.apply(None, mixed, whole)
    np.testing.assert_allclose(found, 0.25 * alone[0] + 0.75 * alone[1], rtol=1e-4, atol=1e-5)
