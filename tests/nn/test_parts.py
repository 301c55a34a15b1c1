import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax.nn import Dense, InParts, SpectralNorm, apply


class _Network(nn.Module):
    @nn.compact
    def __call__(self, x, label, *, train: bool):
        x = jnp.tanh(Dense(4, kernel_norm=SpectralNorm)(x))
        return Dense(1)(x)[:, 0] * label, x


def test_parts_are_the_whole():
    """Outputs in their order, their gradients, and vectors that step once."""
    network = _Network()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)), jnp.float32)
    label = jnp.arange(6.0)
    variables = network.init(jax.random.key(0), x, label, train=True)

    @jax.jit
    def both(variables):
        def run(net):
            def total(params):
                given = variables | {"params": params}
                y, changed = apply(net, given, x, label, mutable=("spectral",))
                return jnp.square(y[0]).sum(), (y, changed["spectral"])

            return jax.grad(total, has_aux=True)(variables["params"])

        return run(network), run(InParts(network, 3))

    whole, parts = both(variables)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), whole, parts)
