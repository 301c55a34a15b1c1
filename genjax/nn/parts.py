"""A batch that passes a network in parts: gradient accumulation."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.errors import UserError


class InParts(NamedTuple):
    """A network that is applied to one part of a batch after the other.

    Losses and updates are those of the whole batch, to rounding; gradients of the parts add up. A
    backward pass computes each part's activations again (`jax.checkpoint`), so that memory is
    needed for one part, and time for one more forward pass. No layer may mix the examples of a
    batch, nor keep statistics of it.

    Attributes:
      network: a Linen module, called with arrays [B, ...], of which B examples come out.
      count: of parts. Each has every count-th example, so that every device keeps its own.
    """

    network: nn.Module
    count: int

    def apply(self, variables, *inputs, **options):
        """As the module's own `apply`.

        Collections that change are taken from the first part: vectors of spectral norms follow
        from the variables, and are the same in all.

        Raises:
          UserError: the batch does not split into equal parts.
        """
        batch = len(inputs[0])
        if batch % self.count:
            raise UserError(
                f"accumulate={self.count} does not divide the {batch} images of a device: make"
                " train.batch_size a multiple of it"
            )

        @jax.checkpoint
        def one(share):
            return self.network.apply(variables, *share, **options)

        def split(x):
            return jnp.moveaxis(x.reshape(-1, self.count, *x.shape[1:]), 1, 0)

        def join(y):
            return jnp.moveaxis(y, 1, 0).reshape(-1, *y.shape[2:])

        answers = jax.lax.map(one, jax.tree.map(split, inputs))
        if not options.get("mutable"):
            return jax.tree.map(join, answers)
        y, changed = answers
        return jax.tree.map(join, y), jax.tree.map(lambda x: x[0], changed)
