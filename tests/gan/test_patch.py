"""The discriminator of patches: its size, its patches, and what it refuses."""

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import patch


def _made(shape, width=64, layers=3):
    return patch.discriminator(ConfigDict({"width": width, "layers": layers}), shape)


def _shapes(shape, **options):
    network = _made(shape, **options)
    x = jnp.zeros((2, *shape))
    return jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), x, train=True))


def test_it_has_the_published_size():
    logits, variables = _shapes((256, 256, 3))
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == 2_765_633
    assert logits.shape == (2, 30, 30)


@pytest.mark.parametrize(("side", "layers", "patches"), [(32, 3, 2), (24, 3, 1), (6, 1, 1)])
def test_patches_by_hand(side, layers, patches):
    """32 px: 16, 8, 4 by halving, and 3 and 2 by kernels of 4 px with edges of one."""
    assert _shapes((side, side, 1), width=2, layers=layers)[0].shape == (2, patches, patches)


def test_more_layers_than_pictures_allow():
    with pytest.raises(UserError, match=r"leaves nothing of 28x16 px: set discriminator.layers=2"):
        _made((16, 28, 1))
    assert _shapes((16, 28, 1), width=2, layers=2)[0].shape == (2, 2, 5)
    with pytest.raises(UserError, match=r"set data.size=6 or more"):
        _made((4, 4, 1), layers=1)
