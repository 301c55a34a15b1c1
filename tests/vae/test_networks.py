import jax
import jax.numpy as jnp
import pytest
from clu import parameter_overview
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.vae import conv, mlp, sprites, vqvae

_MLP = {
    "activation": "tanh",
    "init": "glorot_uniform",
    "spread": "log_sigma",
    "output_bias": "zero",
    "condition": "none",
}


def _count(networks, model, shape):
    encoder, decoder = networks(ConfigDict(model), shape)

    def init():
        e = encoder.init(jax.random.key(0), jnp.zeros((1, *shape)), train=True)
        d = decoder.init(jax.random.key(0), jnp.zeros((1, model["latent"])), train=True)
        return {"encoder": e["params"], "decoder": d["params"]}

    return parameter_overview.count_parameters(jax.eval_shape(init))


def test_parameter_count_of_the_specification():
    one, two = ({"hidden": (400,), "latent": 40}, {"hidden": (200, 200), "latent": 50})
    assert _count(mlp.networks, one | _MLP, (28, 28, 1)) == 676_864
    assert _count(mlp.networks, two | _MLP, (28, 28, 1)) == 425_284


@pytest.mark.parametrize(("name", "count"), [("burgess", 502_005), ("locatello", 690_517)])
def test_networks_of_sprites_have_the_published_sizes(name, count):
    assert _count(sprites.networks, {"name": name, "latent": 10}, (64, 64, 1)) == count
    with pytest.raises(UserError, match=r"takes 64 px, not 28x28: set data.size=64"):
        sprites.networks(ConfigDict({"name": name, "latent": 10}), (28, 28, 1))


def test_networks_of_codes_have_the_published_sizes():
    """Of Sonnet's example: the encoder's 364,160 and the 8,256 of its last layer, and 290,307."""
    model = ConfigDict({"width": 128, "blocks": 2, "inner": 32})
    encoder, decoder = vqvae.networks(model, (32, 32, 3), 64)
    inputs = {encoder: (1, 32, 32, 3), decoder: (1, 8, 8, 64)}
    counts = [
        parameter_overview.count_parameters(
            jax.eval_shape(
                lambda n=n, s=s: n.init(jax.random.key(0), jnp.zeros(s), train=True)["params"]
            )
        )
        for n, s in inputs.items()
    ]
    assert counts == [364_160 + 8_256, 290_307]


def test_conv_parameter_count_by_hand():
    width, latent, features = 2, 3, (2, 4, 8, 16)
    encoder = sum(16 * a * b + 2 * b for a, b in zip((1, *features), features, strict=False))
    encoder += 2 * 2 * 16 * 2 * latent + 2 * latent
    decoder = latent * 8 * 8 * 16 + 2 * 16
    decoder += 16 * 16 * 8 + 2 * 8 + 16 * 8 * 4 + 2 * 4 + 9 * 4 + 1
    assert _count(conv.networks, {"width": width, "latent": latent}, (32, 32, 1)) == (
        encoder + decoder
    )


@pytest.mark.parametrize(
    ("networks", "model"),
    [
        (mlp.networks, {"hidden": (5,), "latent": 3} | _MLP),
        (conv.networks, {"width": 2, "latent": 3}),
    ],
)
def test_shapes(networks, model):
    encoder, decoder = networks(ConfigDict(model), (16, 32, 3))

    def run(x):
        (mean, log_variance), _ = encoder.init_with_output(jax.random.key(0), x, train=True)
        return mean, log_variance, decoder.init_with_output(jax.random.key(0), mean, train=True)[0]

    mean, log_variance, y = jax.eval_shape(run, jnp.zeros((2, 16, 32, 3)))
    assert mean.shape == log_variance.shape == (2, 3)
    assert y.shape == (2, 16, 32, 3)


def test_conv_refuses_sizes_that_do_not_halve():
    with pytest.raises(UserError, match="multiples of 16 px, not 28x28"):
        conv.networks(ConfigDict({"width": 2, "latent": 3}), (28, 28, 1))
