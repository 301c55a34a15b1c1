"""A causal transformer over sequences of codes, with what it has computed kept for later positions.

Layers are those of GPT-2 (Radford et al. 2019): normalised before attention and before the dense
layers (pre-norm), learned positions, GELU, kernels of deviation 0.02, and what is added to the
residual stream 1 / sqrt(2 layers) of that.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.nn import Dense, Embed

_SPREAD = 0.02  # the deviation of initial kernels


class Attention(nn.Module):
    """x f[B, Q, D] at positions `at`, at + 1, … sees them and all before: (f[B, Q, D], cache).

    Attributes:
      heads: divide D.
      spread: the deviation of the last kernel.
    """

    heads: int
    spread: float
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x, cache, at):
        b, q, d = x.shape
        dense = partial(Dense, dtype=self.dtype)
        all_three = dense(3 * d, kernel_init=nn.initializers.normal(_SPREAD))(x)
        queries, *others = jnp.split(all_three.reshape(b, q, 3 * self.heads, -1), 3, axis=2)
        cache = [
            jax.lax.dynamic_update_slice(old, new.astype(old.dtype), (0, at, 0, 0))
            for old, new in zip(cache, others, strict=True)
        ]
        keys, values = cache
        likeness = jnp.einsum("bqhd,bkhd->bhqk", queries, keys).astype(jnp.float32)
        seen = (at + jnp.arange(q))[:, None] >= jnp.arange(keys.shape[1])[None]
        scaled = likeness / jnp.sqrt(jnp.float32(d // self.heads))
        weights = jax.nn.softmax(jnp.where(seen[None, None], scaled, -jnp.inf))
        attended = jnp.einsum("bhqk,bkhd->bqhd", weights.astype(self.dtype), values)
        last = dense(d, kernel_init=nn.initializers.normal(self.spread))
        return last(attended.reshape(b, q, d)), cache


class CausalTransformer(nn.Module):
    """The logits of each code of a sequence, given those before it.

    Whole sequences and single positions are one function: what an earlier call left in the cache
    is seen as if it had been given again.

    Attributes:
      codes: K.
      starts: how many tokens a sequence can begin with; they are numbered from K on.
      length: N, positions of a sequence.
      width: D; layers; heads: divide D.
    """

    codes: int
    starts: int
    length: int
    width: int
    layers: int
    heads: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, before, cache, at):
        """(f32[B, Q, K], the cache with these positions).

        Args:
          before: i32[B, Q], the token before each of the positions at, at + 1, …
          cache: of `empty`, or of the calls for all positions before.
          at: i32[], the first position.
        """
        normal = nn.initializers.normal
        spread = _SPREAD / (2 * self.layers) ** 0.5
        dense = partial(Dense, dtype=self.dtype)
        positions = self.param("positions", normal(_SPREAD), (self.length, self.width))
        known = self.codes + self.starts
        x = Embed(known, self.width, kernel_init=normal(_SPREAD), dtype=self.dtype)(before)
        here = jax.lax.dynamic_slice_in_dim(positions, at, before.shape[1])
        x = x + here.astype(self.dtype)[None]
        found = []
        for layer in range(self.layers):
            y = nn.LayerNorm(dtype=self.dtype)(x)
            attended, kept = Attention(self.heads, spread, self.dtype)(y, cache[layer], at)
            found.append(kept)
            x = x + attended
            y = nn.LayerNorm(dtype=self.dtype)(x)
            y = dense(4 * self.width, kernel_init=normal(_SPREAD))(y)
            x = x + dense(self.width, kernel_init=normal(spread))(nn.gelu(y))
        y = nn.LayerNorm(dtype=self.dtype)(x)
        logits = dense(self.codes, kernel_init=normal(_SPREAD))(y)
        return logits.astype(jnp.float32), found

    def empty(self, batch: int) -> list:
        """The cache of no positions: keys and values of each layer, f[B, N, heads, D / heads]."""
        shape = batch, self.length, self.heads, self.width // self.heads
        return [[jnp.zeros(shape, self.dtype)] * 2 for _ in range(self.layers)]


def logits(network: CausalTransformer, variables, start, codes):
    """f32[B, N, K] of whole sequences: at position j of codes[:, j], given those before.

    Args:
      start: i32[B], what sequences begin with, from 0 on.
      codes: i32[B, N].
    """
    before = jnp.concatenate([network.codes + start[:, None], codes[:, :-1]], axis=1)
    return network.apply(variables, before, network.empty(len(codes)), 0)[0]


def sampled(network: CausalTransformer, variables, start, keys, temperature: float = 1.0):
    """i32[B, N], sequences drawn position by position, each computed once.

    Args:
      start: as of `logits`.
      keys: key[B], a sequence's noise.
      temperature: what logits are divided by.
    """

    def draw(carry, at):
        before, cache = carry
        found, cache = network.apply(variables, before[:, None], cache, at)
        noise = jax.vmap(lambda key: jax.random.fold_in(key, at))(keys)
        code = jax.vmap(jax.random.categorical)(noise, found[:, 0] / temperature)
        return (code, cache), code

    first = network.codes + start, network.empty(len(start))
    _, codes = jax.lax.scan(draw, first, jnp.arange(network.length))
    return codes.T
