"""How the tasks of autoencoders lay out their pictures."""

import jax.numpy as jnp

COLUMNS = 8  # images in a row


def above(images, others):
    """u8[2 R, COLUMNS, H, W, C]: rows of u8[n, H, W, C], each above the row of the others.

    R is n // COLUMNS; the rest is left out.
    """
    rows, form = len(images) // COLUMNS, images.shape[1:]
    pairs = [x[: rows * COLUMNS].reshape(rows, COLUMNS, *form) for x in (images, others)]
    return jnp.stack(pairs, 1).reshape(2 * rows, COLUMNS, *form)
