"""Variables of networks for tests, without a program that draws them."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.nn import backend

KEY = jax.random.key(0)


def drawn(module, *inputs, **options):
    """Variables of N(0, 1); none of them starts at 0, where it would have no effect."""
    with backend.native():  # which is traced sooner
        shapes = jax.eval_shape(lambda: module.init(KEY, *inputs, **options))
    random = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape), jnp.float32), shapes)


def count(module, x) -> int:
    """How many parameters a network has, of inputs as `x` and one label."""
    label = jnp.zeros(1, jnp.int32)
    with backend.native():
        variables = jax.eval_shape(lambda: module.init(KEY, x, label, train=True))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
