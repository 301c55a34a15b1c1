"""The Inception Score, with any classifier: Salimans et al. 2016, arXiv:1606.03498, section 4."""

import numpy as np

SPLITS = 10


def score(logits: np.ndarray, splits: int = SPLITS) -> tuple[float, float]:
    """Mean and standard deviation over splits of exp(E KL(p(y|x) || p(y))), in float64.

    Between 1 and the number of classes. Splits are parts of the examples in their order, equal to
    one example, so the order should be random.

    Args:
      logits: f32[N, K].
    """
    logits = np.asarray(logits, np.float64)
    logs = logits - logits.max(1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(1, keepdims=True))
    found = []
    for part in np.array_split(logs, splits):
        p = np.exp(part)
        mean = p.mean(0)
        # 0 · log 0 is 0: a class that no example has.
        log_mean = np.log(np.where(mean > 0, mean, 1))
        found.append(np.exp((p * (part - log_mean)).sum(1).mean()))
    return float(np.mean(found)), float(np.std(found))
