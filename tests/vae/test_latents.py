"""Flows against Jacobians, priors against densities written out, two layers against linear ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clu import parameter_overview
from scipy.stats import norm

from configs import iwae, vae
from genjax import data
from genjax.errors import UserError
from genjax.task import Inputs
from genjax.vae import iaf, priors
from genjax.vae import task as vae_task

KEY = jax.random.key(0)


def _normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _flow(latent, steps):
    """(flow, its variables, all random, z f32[latent] -> what becomes of it)."""
    flow = iaf.Flow(steps, width=7)
    variables = flow.init(KEY, jnp.zeros((1, 1, latent)), jnp.zeros((1, 2)))
    leaves, tree = jax.tree.flatten(variables)
    variables = tree.unflatten([0.4 * _normal(i, *x.shape) for i, x in enumerate(leaves)])
    return lambda z, context: jax.tree.map(
        lambda x: x[0, 0], flow.apply(variables, z[None, None], context[None])
    )


def test_the_flow_says_its_determinant():
    flow, z, context = _flow(4, steps=3), _normal(8, 4), _normal(9, 2)
    jacobian = jax.jacobian(lambda z: flow(z, context)[0])(z)
    np.testing.assert_allclose(
        flow(z, context)[1], np.linalg.slogdet(np.float64(jacobian))[1], rtol=1e-5
    )
    assert np.abs(np.triu(jacobian, 1)).max() > 1e-4  # the order changes: all depend on all
    assert np.abs(np.tril(jacobian, -1)).max() > 1e-4


def test_a_step_is_autoregressive_and_each_latent_sees_the_context():
    flow, z, context = _flow(4, steps=1), _normal(8, 4), _normal(9, 2)
    jacobian = np.asarray(jax.jacobian(lambda z: flow(z, context)[0])(z))
    assert not np.triu(jacobian, 1).any()
    assert (np.abs(jacobian[np.tril_indices(4)]) > 0).all()
    assert (np.abs(jax.jacobian(lambda c: flow(z, c)[0])(context)) > 0).all()


def test_vamp_density_is_the_mean_of_the_posteriors():
    means, log_variances = _normal(0, 3, 2), _normal(1, 3, 2)
    z = _normal(2, 5, 4, 2)
    prior = priors.Vamp(3, (1, 1, 1))
    variables = prior.init(KEY)
    assert variables["pseudo_inputs"].shape == (3, 1, 1, 1)
    found = prior.log_density(variables, lambda x: (means, log_variances), z, None, "plain")
    each = norm.logpdf(z[:, :, None], means, np.exp(log_variances / 2)).sum(-1)
    np.testing.assert_allclose(found, np.log(np.exp(each).mean(-1)), rtol=1e-5)
    one = prior.log_density(variables, lambda x: (means[:1], log_variances[:1]), z, None, "plain")
    np.testing.assert_allclose(one, each[..., 0], rtol=1e-5)


def test_vamp_shows_the_encoder_pixels_and_samples_its_posteriors():
    """Posteriors at the pixels' place with no spread: each sample is one of the clipped pixels."""
    prior = priors.Vamp(3, (1, 1, 1))
    variables = {"pseudo_inputs": jnp.array([-0.5, 0.25, 2.0]).reshape(3, 1, 1, 1)}
    found = prior.sample(
        variables, lambda x: (x[:, 0, 0], jnp.full((3, 1), -60.0)), KEY, jnp.arange(60), jnp.inf
    )
    values, counts = np.unique(np.round(found, 6), return_counts=True)
    np.testing.assert_array_equal(values, [0, 0.25, 1])
    assert counts.min() >= 10


def _layer(params):
    """A `Layer` of one unit whose networks are linear: (slope, bias, log-variance) of each."""

    class Linear:
        def apply(self, variables, x, train):
            slope, bias, log_variance = variables["params"]
            return slope * x + bias, jnp.broadcast_to(log_variance, x.shape)

    return priors.Layer(Linear(), Linear(), 1, 1), {"up": params[0], "down": params[1]}


def test_an_upper_layer_with_its_true_posterior_gives_the_density():
    """z = a h + s e is N(0, a^2 + s^2), and h of it N(a z / (a^2 + s^2), s^2 / (a^2 + s^2))."""
    a, s = 1.5, 0.7
    total = a**2 + s**2
    up, down = (a / total, 0.0, np.log(s**2 / total)), (a, 0.0, np.log(s**2))
    layer, variables = _layer(jax.tree.map(jnp.float32, (up, down)))
    z = _normal(0, 5, 3, 1)
    for gradient in ("plain", "stl", "dreg"):
        found = layer.log_density(variables, None, z, _normal(1, 5, 3, 1), gradient)
        np.testing.assert_allclose(found, norm.logpdf(z[..., 0], 0, np.sqrt(total)), rtol=1e-4)


@pytest.mark.parametrize("gradient", ["stl", "dreg"])
def test_gradients_of_an_upper_layer_are_the_written_out_sums(gradient):
    """Of q(h | z), the sum of w~ (dreg: w~^2) times what goes through h, and of z the same beside
    q(h | z) as it is: checked against derivatives of log w by h and by z, one sample at a time."""
    up, down = jax.tree.map(jnp.float32, ((0.4, 0.1, -0.8), (1.2, 0.2, -0.5)))
    layer, _ = _layer((up, down))
    z, noise = _normal(0, 2, 3, 1), _normal(1, 2, 3, 1)

    def bound(up, z):
        found = layer.log_density({"up": up, "down": down}, None, z, noise, gradient)
        return jax.nn.logsumexp(found, axis=-1).sum()

    of_up, of_z = jax.grad(bound, (0, 1))(up, z)

    def log_w(h, z):
        def log_normal(x, mean, log_variance):
            return -0.5 * ((x - mean) ** 2 / jnp.exp(log_variance) + log_variance)

        given_h = log_normal(z, down[0] * h + down[1], down[2]) + log_normal(h, 0.0, 0.0)
        return given_h - log_normal(h, up[0] * z + up[1], up[2])

    def through(slope, bias, log_variance, z):
        return slope * z + bias + jnp.exp(0.5 * log_variance) * noise

    h = through(*up, z)
    w = jax.nn.softmax(log_w(h, z)[..., 0], axis=1)[..., None]
    by_h, by_z = jax.grad(lambda h, z: log_w(h, z).sum(), (0, 1))(h, z)
    power = w**2 if gradient == "dreg" else w
    expected = jax.vjp(partial(through, z=z), *up)[1](power * by_h)
    np.testing.assert_allclose(jnp.stack(of_up), jnp.stack(expected), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(of_z, w * (by_z + up[0] * by_h), rtol=1e-4, atol=1e-6)


def _build(config, **changes):
    config.unlock()
    config.update_from_flattened_dict(changes)
    return vae_task.build(config, Inputs(data.open_dataset(config.data), None))


def test_two_layers_have_the_published_size():
    state = jax.eval_shape(lambda: _build(iwae.get_config("layers=2")).init(KEY, {}))
    networks = {name: getattr(state, name) for name in ("encoder", "decoder", "prior")}
    assert parameter_overview.count_parameters(networks) == 521_084


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.prior": "vamps"}, "did you mean 'vamp'"),
        ({"model.posterior": "iaff"}, "did you mean 'iaf'"),
        ({"model.prior": "vamp", "model.posterior": "iaf"}, "set model.posterior=normal"),
        ({"model.prior": "vamp", "model.condition": "label"}, "set model.condition=none"),
        ({"model.prior": "layer", "bound.free_bits": 0.5}, "set model.prior=normal"),
        ({"model.posterior": "iaf", "bound.capacity": 5.0}, "set model.posterior=normal"),
        ({"model.prior": "vamp", "bound.total_correlation": 5.0}, "in closed form"),
        ({"model.posterior": "iaf", "bound.gradient": "stl"}, "or bound.gradient=plain"),
    ],
)
def test_what_does_not_go_together(changes, message):
    with pytest.raises(UserError, match=message) as error:
        _build(vae.get_config(), **changes)
    assert "\n" not in str(error.value)
