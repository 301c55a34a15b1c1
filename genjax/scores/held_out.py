"""What a trained run computes of held-out data, batch by batch."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from genjax import rng, runs


def each(
    trained: runs.Trained,
    batches: Iterable[Mapping[str, np.ndarray]],
    function: Callable,
    constants: Mapping[str, Any] | None = None,
    often: bool = False,
) -> Iterator[Any]:
    """The arrays of `function(state, batch, key)` of the examples that count, one tree a batch.

    Args:
      batches: of `data.evaluation_batches`.
      function: traceable; its arrays have an axis of the batch's examples first. The key is that
        of evaluations, the same for all batches.
      constants, often: of `parallel.Jit.on_batch`; the task's constants where there are no others.
    """
    run = trained.run
    compiled = run.devices.on_batch(
        lambda state, batch, key: (function(state, batch, key), batch["weight"]),
        run.task.constants if constants is None else constants,
        often=often,
    )
    key = rng.stream(run.config.seed, rng.Stream.EVALUATE)
    for batch in batches:
        found, weight = compiled(trained.state, batch, key)
        counts = np.asarray(weight) > 0
        yield jax.tree.map(lambda x, counts=counts: np.asarray(x)[counts], found)
