import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import rng, runs
from genjax.steps import Steps, filled, open_feed, step_function
from genjax.task import Task
from tests.tiny import tiny


def begun(name: str, **changes):
    """A tiny run's steps and the state that they begin with, as the devices hold it."""
    run = runs.build(tiny(name, **changes))
    state = run.devices.init(run.task.init, rng.stream(0, rng.Stream.INIT), run.task.constants)
    state = run.devices.from_global(state)
    return Steps(run, open_feed(run, print), state), state


@pytest.mark.parametrize("name", ["vae", pytest.param("dcgan", marks=pytest.mark.slow)])
def test_a_chunk_takes_its_state_over(name):
    """All of it: memory holds one state, not two."""
    steps, state = begun(name)
    with jax.debug_nans(False):  # for which JAX keeps the arguments of every program
        steps(state, steps.inputs(0, 1), 0, 1)
    assert all(x.is_deleted() for x in jax.tree.leaves(state))


def test_a_chunk_has_room_for_two_steps_at_least():
    steps, state = begun("vae", **{"train.steps_per_call": 1})
    inputs = steps.inputs(4, 1)
    assert {len(x) for x in inputs.values()} == {steps.capacity} == {2}
    _, metrics = steps(state, inputs, 4, 1)
    assert all(x.shape == (2,) and x[1] == 0 for x in metrics.values())


def test_filled_up_with_zeros():
    chunk = filled({"index": np.array([[1, 2]]), "image": np.ones((1, 2, 3))}, 2)
    np.testing.assert_array_equal(chunk["index"], [[1, 2], [0, 0]])
    assert chunk["image"].shape == (2, 2, 3) and chunk["image"].sum() == 6


def test_step_inputs_are_the_batch_and_the_constants():
    """`step_function` of a task that only counts: no data set, no augmentation."""
    config = tiny("style-adam")
    task = Task(
        init=None,
        step=lambda state, batch, key, axis_name: (state + batch["by"], {"n": batch["by"]}),
        images_per_step=1,
    )
    run_step = step_function(task, config)
    arrays = {"data": {}, "constants": {"by": jnp.float32(3)}}
    state, metrics = run_step(jnp.float32(1), arrays, {}, jnp.int32(0), None)
    assert state == 4 and metrics["n"] == 3
