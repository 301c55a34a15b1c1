import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import sagan
from genjax.nn.spectral_norm import COLLECTION
from tests.gan.test_gan_resnet import counts


def test_published_parameter_counts():
    """Of StudioGAN's log: those of SNGAN's networks, and 5/4 C² + 1 of each attention."""
    assert counts(sagan.networks, {"width": 64}) == (4_386_308, 1_075_586)
    assert 4_386_308 - 4_304_387 == 5 * 256**2 // 4 + 1
    assert 1_075_586 - 1_055_105 == 5 * 128**2 // 4 + 1


def test_begins_orthogonal_and_normalises_every_kernel():
    """All kernels, attention's and those of classes included, have a spectral norm."""
    networks = sagan.networks(ConfigDict({"width": 2}), (8, 8, 1), classes=4)
    label = jnp.zeros(1, jnp.int32)
    for network, x in zip(networks, (jnp.zeros((1, 6)), jnp.zeros((1, 8, 8, 1))), strict=True):
        variables = jax.eval_shape(
            lambda n=network, x=x: n.init(jax.random.key(0), x, label, train=True)
        )
        kernels = [p for p, _ in jax.tree_util.tree_leaves_with_path(variables["params"])]
        kernels = [p for p in kernels if p[-1].key == "kernel"]
        assert len(jax.tree.leaves(variables[COLLECTION])) == 2 * len(kernels) > 20
    kernel = sagan.STUDIOGAN["residual_init"](jax.random.key(0), (3, 3, 4, 8)).reshape(-1, 8)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(8), atol=1e-5)


def test_needs_classes():
    with pytest.raises(UserError, match="sagan needs classes, and the data have none"):
        sagan.networks(ConfigDict({"width": 2}), (32, 32, 3), classes=0)
