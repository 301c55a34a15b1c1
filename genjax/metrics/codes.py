"""How many of its codes an autoencoder uses, and what pictures cost in them."""

import numpy as np


def entropy(counts: np.ndarray) -> float:
    """Bits of the entropy of how often each code was chosen, i64[K], at least one of them once.

    An ideal code of single codes, such as arithmetic coding, takes so many for each (Shannon 1948,
    theorem 9). 2 to the power of it is the perplexity, from 1 to K: how many codes are in use, as
    if all were used alike.
    """
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum() + 0.0)  # of one code alone 0 and not -0


def dead(counts: np.ndarray) -> int:
    """How many codes were never chosen, of counts i64[K]."""
    return int((counts == 0).sum())
