"""Scores of a generator itself, which need its latents and not only its pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax import rng, runs
from genjax.errors import UserError
from genjax.metrics import lpips, path_length
from genjax.metrics.rulers import fingerprint
from genjax.scores import pictures, record

NAMES = ("path_length",)

_NET = "vgg16"
_TOGETHER = 32  # pairs of pictures


def of(trained: runs.Trained, n: int) -> dict:
    """The record of the perceptual path length over `n` short ways between latents.

    Raises:
      UserError: the run has no latents that are standard normal, or its pictures are too small for
        LPIPS.
    """
    task, config = trained.run.task, trained.run.config
    shape = trained.run.dataset.shape
    if task.decode is None:
        raise UserError(
            f"task={config.task!r} has no latents here that are standard normal: leave path_length"
        )
    if min(shape[:2]) < lpips.LEAST:
        raise UserError(
            f"path_length takes pictures of {lpips.LEAST} px or more, not of {shape[0]}"
        )
    net = lpips.load(_NET)

    def rgb(x):
        return jnp.broadcast_to(x, (*x.shape[:-1], 3))

    def measure(state, weights, key, index):
        ends = [rng.normal(k, index, (config.model.latent,)) for k in jax.random.split(key)]
        t = rng.uniform(jax.random.fold_in(key, 2), index, ())
        return path_length.lengths(
            lambda z: task.decode(state, z, index),
            lambda x, y: lpips.distance(_NET, weights, rgb(x), rgb(y)),
            *(*ends, t),
        )

    compiled = trained.run.devices.on_state(measure, often=True)
    state = runs.settler(trained.run, config.sample.seed)(trained.state)
    key = rng.stream(config.sample.seed, rng.Stream.SAMPLE)
    found = []
    for first in range(0, n, _TOGETHER):
        index = np.arange(first, first + _TOGETHER, dtype=np.int32)
        found.append(np.asarray(compiled(state, net.weights, key, index))[: n - first])
    value, error = path_length.score(np.concatenate(found))
    return {
        "metric": "path_length",
        "value": value,
        "error": error,
        "setting": {
            "space": "z",
            "epsilon": path_length.EPSILON,
            "kept": [*path_length.PERCENTILES],
        },
        "net": f"lpips-{_NET}",
        "weights": fingerprint(net.weights),
        "resizer": "none",
        "n_fake": n,
        "size": list(shape[:2]),
        **pictures.drawn_from(trained, config.sample.seed),
        **record.surroundings(),
    }
