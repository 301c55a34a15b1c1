"""Fingerprints of states, by which a restored state is known to equal the saved one to the bit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def fingerprints(tree) -> dict[str, int]:
    """{path: 32 bits} of every array of a tree, computed where the arrays are.

    The sum modulo 2^32 over all elements of a hash of the element's bits and its position. At a
    given position the hash is a bijection of the bits, so a change of one element always changes
    the sum; any other change goes unnoticed with a probability of 2^-32. Sums of integers do not
    depend on the order, so the result is the same for any sharding over any number of devices.

    Args:
      tree: arrays of at most 32 bits an element.
    """
    return {path: int(np.asarray(value)) for path, (value, _) in _examine(tree).items()}


def first_not_finite(tree, but: str) -> str | None:
    """The path of an array of a tree with a NaN or an infinity in it; None if there is none.

    The program is that of `fingerprints`, which for the same tree compiles nothing.

    Args:
      but: arrays with this in their path are left out.
    """
    found = ((path, finite) for path, (_, finite) in _examine(tree).items() if but not in path)
    return next((path for path, finite in found if not finite), None)


def paths(tree) -> list[str]:
    """The paths of a tree's arrays, or of what stands for them, in the order of its leaves."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]


def _examine(tree) -> dict[str, tuple]:
    """{path: (fingerprint u32[], whether all values are finite bool[])}."""
    return dict(zip(paths(tree), _examine_all(jax.tree.leaves(tree)), strict=True))


@jax.jit
def _examine_all(leaves):
    return [_examine_one(jnp.atleast_1d(leaf)) for leaf in leaves]


@jax.jit  # so that arrays of equal shapes share one trace
def _examine_one(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    # One reduction of both, since what a program takes to compile grows with their number.
    finite = jnp.isfinite(x) if jnp.issubdtype(x.dtype, jnp.floating) else jnp.ones(x.shape, bool)
    return jax.lax.reduce(
        (_hashes(x), finite),
        (jnp.uint32(0), np.True_),
        lambda a, b: (a[0] + b[0], a[1] & b[1]),
        tuple(range(x.ndim)),
    )


def _hashes(x: jax.Array) -> jax.Array:
    """u32 of the shape of `x`: of each element, the hash of its bits and its position."""
    kind = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize]
    if x.dtype == jnp.bool_:
        x = x.astype(kind)
    bits = jax.lax.bitcast_convert_type(x, kind).astype(jnp.uint32)
    # Row-major positions as a sum of one iota per axis: a reshape would gather a sharded array.
    strides = np.cumprod([1, *x.shape[:0:-1]], dtype=np.uint64)[::-1].astype(np.uint32)
    iotas = (
        jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis) * stride
        for axis, stride in zip(range(x.ndim), strides, strict=False)
    )
    place = functools.reduce(jnp.add, iotas, jnp.zeros(x.shape, jnp.uint32))
    return _mix(bits ^ _mix(place))


def _mix(h: jax.Array) -> jax.Array:
    """Adds an odd constant, then MurmurHash3's finaliser (Appleby 2011): u32 to u32, 1 to 1."""
    h = h + jnp.uint32(0x9E3779B9)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> shift)) * jnp.uint32(factor)
    return h ^ (h >> 16)
