"""The causal transformer: whole sequences against single positions, and all sequences counted."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.vae import transformer
from genjax.vae.transformer import CausalTransformer


@pytest.fixture(scope="module")
def made():
    """(the network of 2 codes, 3 positions and 2 classes, its variables, far from uniform)."""
    network = CausalTransformer(codes=2, starts=2, length=3, width=8, layers=2, heads=2)
    before = jnp.zeros((1, 1), jnp.int32)
    variables = network.init(jax.random.key(0), before, network.empty(1), 0)
    keys = iter(jax.random.split(jax.random.key(1), 100))
    return network, jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape) / 2, variables)


_ALL = np.array(list(itertools.product(range(2), repeat=3)))


def _logits(made, codes, start):
    network, variables = made
    return np.asarray(transformer.logits(network, variables, jnp.full(len(codes), start), codes))


def _probabilities(made, start):
    log_p = jax.nn.log_softmax(_logits(made, _ALL, start))
    return np.exp(np.take_along_axis(np.asarray(log_p), _ALL[..., None], 2).sum((1, 2)))


def test_probabilities_of_all_sequences_sum_to_one(made):
    first, second = (_probabilities(made, start) for start in (0, 1))
    np.testing.assert_allclose([first.sum(), second.sum()], 1, rtol=1e-5)
    # The start and the codes matter.
    assert abs(first - second).max() > 0.01 and first.max() > 2 * first.min()


def test_no_position_sees_its_own_code_or_later_ones(made):
    codes = np.array([[0, 1, 1]])
    found = _logits(made, codes, 0)
    for j in range(3):
        other = codes.copy()
        other[0, j] = 1 - other[0, j]
        changed = np.abs(_logits(made, other, 0) - found).max((0, 2))
        assert (changed[: j + 1] == 0).all() and (changed[j + 1 :] > 1e-4).all()


def test_what_is_kept_gives_the_logits_of_the_whole(made):
    network, variables = made
    whole = _logits(made, _ALL, 1)
    cache = network.empty(len(_ALL))
    before = np.concatenate([np.full((len(_ALL), 1), 2 + 1), _ALL[:, :-1]], 1)
    for at in range(3):
        found, cache = network.apply(variables, before[:, at : at + 1], cache, at)
        np.testing.assert_allclose(found[:, 0], whole[:, at], rtol=1e-4, atol=1e-5)


def test_samples_are_as_frequent_as_they_are_probable(made):
    """4,096 of 8 sequences: a frequency's standard error is at most 0.008. Colder ones of
    temperature t have, at each position, the probabilities to the power of 1 / t."""
    network, variables = made
    keys = jax.random.split(jax.random.key(2), 4096)
    draw = jax.jit(lambda t: transformer.sampled(network, variables, jnp.zeros(4096, int), keys, t))
    whole = _logits(made, _ALL, 0)
    for temperature in (1.0, 0.5):
        found = np.asarray(draw(temperature))
        share = np.bincount(found @ [4, 2, 1], minlength=8) / len(found)
        log_p = np.asarray(jax.nn.log_softmax(whole / temperature))
        expected = np.exp(np.take_along_axis(log_p, _ALL[..., None], 2).sum((1, 2)))
        np.testing.assert_allclose(share, expected, atol=0.03)


def test_layers_in_torch():
    """PyTorch's own pre-norm layer with a mask, given the same weights."""
    torch = pytest.importorskip("torch")
    network = CausalTransformer(codes=5, starts=1, length=4, width=8, layers=1, heads=2)
    codes = jnp.array([[1, 4, 0, 2], [3, 3, 2, 0]])
    variables = network.init(jax.random.key(0), codes, network.empty(2), 0)
    keys = iter(jax.random.split(jax.random.key(1), 100))
    variables = jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape) / 2, variables)
    found = transformer.logits(network, variables, jnp.zeros(2, int), codes)
    p = jax.tree.map(lambda x: torch.tensor(np.array(x)), variables["params"])
    layer = torch.nn.TransformerEncoderLayer(
        8,
        2,
        32,
        dropout=0,
        activation=lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
    )
    attention = p["Attention_0"]
    weights = {
        "self_attn.in_proj": attention["Dense_0"],
        "self_attn.out_proj": attention["Dense_1"],
        "linear1": p["Dense_0"],
        "linear2": p["Dense_1"],
    }
    state = {}
    for name, values in weights.items():
        between = "_" if name.endswith("in_proj") else "."
        state |= {
            f"{name}{between}weight": values["kernel"].T,
            f"{name}{between}bias": values["bias"],
        }
    for i in (0, 1):
        norm = p[f"LayerNorm_{i}"]
        state |= {f"norm{i + 1}.weight": norm["scale"], f"norm{i + 1}.bias": norm["bias"]}
    layer.load_state_dict(state)
    before = torch.tensor([[5, 1, 4, 0], [5, 3, 3, 2]])
    x = p["Embed_0"]["kernel"][before] + p["positions"]
    with torch.no_grad():
        mask = torch.nn.Transformer.generate_square_subsequent_mask(4)
        x = layer(x, src_mask=mask)
        norm = p["LayerNorm_2"]
        x = torch.nn.functional.layer_norm(x, (8,), norm["scale"], norm["bias"], 1e-6)
        expected = x @ p["Dense_2"]["kernel"] + p["Dense_2"]["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
