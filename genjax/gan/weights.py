"""What is asked of a network's weights themselves: weight clipping and orthogonal rows."""

import jax
import jax.numpy as jnp


def clip(params, bound: float):
    """Every parameter, biases too, brought to [-bound, bound] after an update of the critic.

    WGAN: Arjovsky et al. 2017 (arXiv:1701.07875), Algorithm 1, whose bound is 0.01.
    """
    return jax.tree.map(lambda x: jnp.clip(x, -bound, bound), params)


def orthogonal_gradient(params, but: str = "shared"):
    """The gradients that orthogonal regularisation adds, 2 ((W W^T) * (1 - I)) W each.

    BigGAN: Brock et al. 2019 (arXiv:1809.11096), eq. 3 with the diagonal left out, in the form of
    ajbrock/BigGAN-PyTorch (half of the derivative of |W W^T * (1 - I)|^2). W is a kernel as a
    matrix of a row for each feature of the output, or an embedding with a row for each class.
    Parameters of one axis have none: 0.

    Args:
      but: no parameter inside a module of this name has any; the class embedding that a generator's
        layers share.
    """

    def one(path, x):
        names = [entry.key for entry in path]
        if x.ndim < 2 or but in names:
            return jnp.zeros_like(x)
        rows = x if names[-1] == "embedding" else x.reshape(-1, x.shape[-1]).T
        gram = rows @ rows.T
        found = 2 * (gram - jnp.diag(jnp.diag(gram))) @ rows
        return found if names[-1] == "embedding" else found.T.reshape(x.shape)

    return jax.tree_util.tree_map_with_path(one, params)
