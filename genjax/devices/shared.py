"""Work on a picture, shared out over the devices where there are too few pictures for them.

Pictures that are parameters are sharded like a batch, and one picture would keep one device busy.
What is computed of it piece by piece, such as its tiles, can be shared out instead: every device
has the picture and the state of its optimiser, computes the sums of its own pieces, and these are
added up over the devices. So are the pieces' shares of a gradient.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from genjax.devices import parallel
from genjax.devices.parallel import AXIS


def possible(mode: str, pictures: int) -> bool:
    """Whether devices can share out the pieces of each of so many pictures, and should.

    They should where they do not divide the pictures. `mode` is the config's `parallel`: a program
    of `pmap`, which is that of one device, knows of no others that it could share with.
    """
    return mode != "pmap" and pictures % devices() != 0


def devices() -> int:
    """How many share out the work: all."""
    return len(jax.devices())


def in_one_memory() -> int:
    """How many devices of this process have the same memory: all CPU devices, the host's."""
    return len(jax.local_devices()) if jax.default_backend() == "cpu" else 1


def summed(function: Callable, pieces, given):
    """The sum over all `pieces`, of which each device computes that of its share.

    Its gradient by `given` is shared out in the same way. Every device has the whole result.

    Args:
      function: `(pieces, given) -> sums`, any arrays that are sums over the pieces. Where devices
        do not divide them, there are further pieces of zeros, which have to add 0.
      pieces: arrays with the pieces as leading axis.
      given: arrays that every device needs whole.
    """

    def padded(x):
        return jnp.pad(x, [(0, -len(x) % devices())] + [(0, 0)] * (x.ndim - 1))

    def of_share(pieces, given):
        sums = function(pieces, given)
        with jax.named_scope("sums"):
            return jax.lax.psum(sums, AXIS)

    return jax.shard_map(
        of_share,
        mesh=parallel.mesh_of(jax.devices()),
        in_specs=(PartitionSpec(AXIS), PartitionSpec()),
        out_specs=PartitionSpec(),
        check_vma=False,
    )(jax.tree.map(padded, pieces), given)


def make(mode: str, batch_size: int) -> parallel.Jit:
    """All devices, for a task that shares out its work by `summed`.

    Each has all of a batch. Its state is replicated (`jit`) or sharded by its arrays (`fsdp`).
    """
    return {"jit": _Jit, "fsdp": _Fsdp}[mode](jax.devices(), batch_size, state_is_batch=False)


class _WholeBatch:
    """Batches that every device has all of."""

    def rows_of(self, batch_size: int) -> np.ndarray:
        return np.arange(batch_size)

    def place_rows(self, batch):
        return self.place_arrays(batch)

    def place_inputs(self, inputs):
        return self.place_arrays(inputs)


class _Jit(_WholeBatch, parallel.Jit):
    pass


class _Fsdp(_WholeBatch, parallel.Fsdp):
    pass
