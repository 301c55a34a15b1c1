"""Lazy regularisation: Karras et al. 2020 (arXiv:1912.04958), §3.1 and appendix B.

A regularizer is evaluated in every `interval`-th update only, as an update of its own and times
`interval`. To `interval` updates of the loss comes one more: so that Adam goes as far and forgets
as fast as without it, its rate and its decays are rescaled.
"""


def rescaled(interval: int, learning_rate: float, b1: float, b2: float):
    """(learning_rate, b1, b2) of Adam, times and to the power of interval / (interval + 1).

    Args:
      interval: StyleGAN2's are 16 for the discriminator, with R1, and 4 for the generator, with
        path lengths; 0 for a regularizer that is in every update, which changes nothing.
    """
    if not interval:
        return learning_rate, b1, b2
    share = interval / (interval + 1)
    return learning_rate * share, b1**share, b2**share
