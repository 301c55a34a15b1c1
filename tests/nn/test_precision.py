import jax.numpy as jnp
import pytest

from genjax.errors import UserError
from genjax.nn import compute_type


def test_names():
    assert compute_type("float32") is jnp.float32
    assert compute_type("bfloat16") is jnp.bfloat16
    with pytest.raises(UserError, match="known: float32, bfloat16"):
        compute_type("float16")
