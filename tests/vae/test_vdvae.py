"""Very deep VAEs: published sizes, blocks against PyTorch, and numbers worked by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clu import parameter_overview
from ml_collections import ConfigDict

from genjax import config as config_lib
from genjax.errors import UserError
from genjax.vae import vdvae
from genjax.vae.vdvae import Block, LatentBlock, Part, kl_of_normals, networks, parts
from tests.tiny import ROOT, tiny


def _counts(preset):
    model = config_lib.read(f"{ROOT}/configs/vdvae.py:preset={preset}").model
    encoder, decoder = networks(model, (32, 32, 3))

    def init():
        e = encoder.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        seen = encoder.apply(e, jnp.zeros((1, 32, 32, 3)))
        return e, decoder.init(jax.random.key(0), jnp.zeros((1, decoder.numbers)), seen)

    shapes = jax.eval_shape(init)
    counts = [parameter_overview.count_parameters(x["params"]) for x in shapes]
    return counts, len(decoder.blocks), len(encoder.blocks)


@pytest.mark.parametrize("preset", ["paper", pytest.param("imagenet32", marks=pytest.mark.slow)])
def test_networks_have_the_published_sizes(preset):
    counts, latents, blocks = _counts(preset)
    if preset == "paper":
        assert (counts, latents, blocks) == ([7_497_888, 31_647_812], 43, 33)
    else:
        assert sum(counts) == 119_280_868


def test_descriptions():
    assert parts("8x2,8d4,2x1", "k") == [Part(8), Part(8), Part(8, down=4), Part(2)]
    assert parts("1x1, 4m1", "k") == [Part(1), Part(4, mix=1)]
    for wrong in ("8y2", "8", "8x0", "8d3", "8d16", "4m0", "4m8"):
        with pytest.raises(UserError, match=f"k: '{wrong}' is no block: write"):
            parts(f"1x1,{wrong}", "k")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 6}, "model.width=6 has to be a multiple of 4"),
        ({"decoder": "1x1,4m1"}, "which begin and end with 8 and 4 px"),
        ({"encoder": "8x1,4x1"}, "model.encoder: '4' cannot follow 8 px"),
        ({"decoder": "1x1,8m1"}, "model.decoder: '1' needs the encoder's features of 1 px"),
        ({"decoder": "8m2,2x1,8x1"}, "model.decoder: '8m2' needs"),
    ],
)
def test_descriptions_that_do_not_fit(changes, message):
    model = tiny("vdvae").model.to_dict() | changes
    with pytest.raises(UserError, match=message):
        networks(ConfigDict(model), (8, 8, 1))


def test_kl_of_two_normals_by_hand():
    """N(1, 2^2) from N(0, 1): -1/2 - ln 2 + (4 + 1) / 2; and the other way."""
    found = kl_of_normals(*jnp.float32([1, math.log(2), 0, 0]))
    assert found == pytest.approx(2 - math.log(2), rel=1e-6)
    found = kl_of_normals(*jnp.float32([0, 0, 1, math.log(2)]))
    assert found == pytest.approx(-0.5 + math.log(2) + 0.25, rel=1e-6)


def _random(params, seed=0):
    """Parameters of the same shapes, none of which is zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.float32(0.3 * rng.normal(size=x.shape)), params)


def _in_torch(torch, params, x, residual=False):
    """A block of PyTorch's own operations on f[B, C, H, W]."""
    y = x
    for name in ("conv1", "conv2", "conv3", "conv4"):
        y = _conv_in_torch(torch, params[name], torch.nn.functional.gelu(y))
    return x + y if residual else y


def _conv_in_torch(torch, params, x):
    kernel = torch.tensor(np.asarray(params["kernel"]).transpose(3, 2, 0, 1).copy())
    bias = torch.tensor(np.asarray(params["bias"]))
    return torch.nn.functional.conv2d(x, kernel, bias, padding=kernel.shape[-1] // 2)


def _to_torch(torch, x):
    return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize("side", [2, 4])
def test_a_block_of_the_encoder_is_that_of_pytorch(side):
    torch = pytest.importorskip("torch")
    x = jnp.float32(np.random.default_rng(1).normal(size=(2, side, side, 8)))
    block = Block(2, 8, residual=True)
    params = _random(block.init(jax.random.key(0), x)["params"])
    assert params["conv2"]["kernel"].shape[:2] == ((3, 3) if side > 2 else (1, 1))
    expected = _in_torch(torch, params, _to_torch(torch, x), residual=True)
    found = block.apply({"params": params}, x)
    np.testing.assert_allclose(_to_torch(torch, found), expected, rtol=1e-4, atol=1e-5)


def test_a_block_of_the_decoder_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    x, seen = (jnp.float32(rng.normal(size=(2, 4, 4, 8))) for _ in range(2))
    noise = jnp.float32(rng.normal(size=(2, 4, 4, 3)))
    block = LatentBlock(8, 3, share=0.25)
    params = _random(block.init(jax.random.key(0), x, seen, noise, 0.0)["params"])
    y, said = block.apply({"params": params}, x, seen, noise, 0.0)

    x, seen, noise = (_to_torch(torch, each) for each in (x, seen, noise))
    q = _in_torch(torch, params["posterior"], torch.cat([x, seen], 1))
    p = _in_torch(torch, params["prior"], x)
    q = torch.distributions.Normal(q[:, :3], q[:, 3:].exp())
    features, p = p[:, 6:], torch.distributions.Normal(p[:, :3], p[:, 3:6].exp())
    z = q.loc + q.scale * noise
    kl = torch.distributions.kl_divergence(q, p).sum((1, 2, 3))
    ratio = (p.log_prob(z) - q.log_prob(z)).sum((1, 2, 3))
    x = x + features + _conv_in_torch(torch, params["project"], z)
    x = _in_torch(torch, params["residual"], x, residual=True)
    np.testing.assert_allclose(_to_torch(torch, y), x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(said.kl, kl, rtol=1e-4)
    np.testing.assert_allclose(said.log_ratio, ratio, rtol=1e-3, atol=1e-3)


def test_a_prior_has_a_temperature():
    """Of kernels that are zero the prior is N(0, 1): with t, z is t times the noise."""
    x, noise = jnp.zeros((1, 2, 2, 8)), jnp.ones((1, 2, 2, 3))
    block = LatentBlock(8, 3, share=1.0)
    params = block.init(jax.random.key(0), x, x, noise, 0.0)["params"]
    params["residual"] = jax.tree.map(jnp.zeros_like, params["residual"])
    at = [block.apply({"params": params}, x, None, noise, t)[0] for t in (0.0, math.log(0.5))]
    assert np.abs(at[0]).max() > 0.1
    np.testing.assert_allclose(at[1], 0.5 * at[0], rtol=1e-5)


def test_first_kernels_are_uniform_and_shares_of_blocks():
    model = tiny("vdvae").model
    encoder, _ = networks(model, (8, 8, 1))
    params = encoder.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
    block = params["block0_8"]
    assert sorted(params) == ["block0_8", "block1_8d4", "block2_2", "input"]
    for kernel, inputs, share in ((params["input"], 9, 1), (block["conv4"], 2, 1 / 3)):
        largest = np.abs(kernel["kernel"]).max()
        assert 0.7 < largest * math.sqrt(inputs / share) <= 1 + 1e-5
    assert (
        vdvae.Block(2, 8, share=0)
        .init(jax.random.key(0), jnp.zeros((1, 2, 2, 8)))["params"]["conv4"]["kernel"]
        .max()
        == 0
    )


def test_equal_blocks_in_a_loop_are_those_blocks_in_turn():
    """Their values and gradients, and the kernels that each begins with are its own."""
    model = ConfigDict({"width": 8, "latent": 2, "mixtures": 2})
    model.encoder, model.decoder = "4x3,4d4,1x1", "1x2,4m1,4x2"
    encoder, decoder = networks(model, (4, 4, 1))
    x, noise = (
        jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(2, 4, 4, 1), (2, 100)])
    )
    e = encoder.init(jax.random.key(2), x)
    d = decoder.init(jax.random.key(3), noise, encoder.apply(e, x))
    d = jax.tree.map(lambda p: p + 0.1 * jnp.sin(jnp.arange(p.size).reshape(p.shape)), d)
    first = [p["conv1"]["kernel"][0, 0, 0, 0] for k, p in e["params"].items() if k != "input"]
    assert len(np.unique(first)) == len(encoder.blocks)

    def looped(e, d):
        y, found = decoder.apply(d, noise, encoder.apply(e, x))
        return (y**2).sum() + found.kl.sum(), (y, found)

    def in_turn(e, d):
        block = Block(2, 8, True)
        y = vdvae._conv(8, 3, jnp.float32).apply({"params": e["params"]["input"]}, x)
        for name in ("block0_4", "block1_4", "block2_4"):
            y = block.apply({"params": e["params"][name]}, y)
        seen = {4: y}
        y = block.apply({"params": e["params"]["block3_4d4"]}, y)
        y = y.mean((1, 2), keepdims=True)
        seen[1] = block.apply({"params": e["params"]["block4_1"]}, y)
        latent, p, kl, ratio = LatentBlock(8, 2, 1.0), d["params"], 0, 0
        z = jnp.split(noise, [2, 4, 36, 68], axis=1)
        y = jnp.broadcast_to(p["start1"][None], (2, 1, 1, 8))
        for i, name in enumerate(["block0_1", "block1_1", "block2_4m1", "block3_4", "block4_4"]):
            side = 1 if i < 2 else 4
            if i == 2:
                y = jnp.broadcast_to(p["start4"][None], (2, 4, 4, 8)) + jnp.tile(y, (1, 4, 4, 1))
            own = z[i].reshape(2, side, side, 2)
            y, found = latent.apply({"params": p[name]}, y, seen[side], own, 0.0)
            kl, ratio = kl + found.kl, ratio + found.log_ratio
        y = y * p["gain"][None, None, None] + p["bias"][None, None, None]
        y = vdvae._conv(decoder.outputs, 1, jnp.float32).apply({"params": p["output"]}, y)
        return (y**2).sum() + kl.sum(), (y, vdvae.Latent(kl, ratio))

    ours, theirs = (jax.value_and_grad(f, (0, 1), has_aux=True)(e, d) for f in (looped, in_turn))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), ours, theirs)
