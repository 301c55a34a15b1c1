"""Which dimensions of a code a VAE uses, and what each of them costs."""

import numpy as np

ACTIVE = 0.01  # the least variance of an active unit's mean: Burda et al. 2016, section 5.2


def active(means: np.ndarray) -> np.ndarray:
    """bool[D]: the active units, those whose posterior mean varies with the example.

    A unit is active if Var_x E[z | x] > 0.01 (Burda et al. 2016, arXiv:1509.00519, section 5.2; the
    authors take 500 training images). How many there are is the sum.

    Args:
      means: f32[N, D], the means of q(z | x) of N examples, at least 2.
    """
    return means.var(0, ddof=1, dtype=np.float64) > ACTIVE


def kl(means: np.ndarray, log_variances: np.ndarray) -> np.ndarray:
    """f64[D]: KL(q(z_j | x) | N(0, 1)) of each dimension in nats, the mean over the examples.

    Kingma and Welling 2014, arXiv:1312.6114, appendix B. The sum is the ELBO's KL.

    Args:
      means, log_variances: f32[N, D], of q(z | x).
    """
    means, log_variances = (x.astype(np.float64) for x in (means, log_variances))
    return 0.5 * (means**2 + np.expm1(log_variances) - log_variances).mean(0)
