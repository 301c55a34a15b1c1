"""The type of a network's arithmetic.

Parameters, normalisations, losses and statistics are float32 in any case.
"""

import jax.numpy as jnp

from genjax.config import choose


def compute_type(precision: str):
    """The type that the config's `precision` names."""
    return choose("precision", precision, {"float32": jnp.float32, "bfloat16": jnp.bfloat16})
