"""The programs of either mode on one device; test_devices.py has eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.devices import parallel
from genjax.errors import UserError

CAPACITY = 5


def _add(state, arrays, x, step, axis_name):
    """A step whose result tells which inputs and which step numbers it saw, in which order."""
    value = parallel.pmean((arrays["row"][x["index"]]).mean(), axis_name)
    state = 10 * state + value + step
    return state, {"value": value, "state": jnp.mean(state)}


def _run(mode, n, first=0):
    devices = parallel.make(mode, 2)
    index = np.zeros((CAPACITY, 2), np.int32)
    index[:n] = np.arange(n)[:, None]
    state = devices.from_global(jax.device_put(jnp.float32(0), devices.replicated))
    program = devices.chunk(_add, CAPACITY, state)
    state, metrics = program(
        state,
        devices.place_arrays({"row": np.arange(1, 6, dtype=np.float32)}),
        devices.place_inputs({"index": index}),
        first,
        n,
    )
    return devices.to_global(state), metrics


@pytest.mark.parametrize("mode", ["jit", "fsdp", "pmap"])
def test_a_chunk_runs_as_many_steps_as_it_is_told(mode):
    state, metrics = _run(mode, 3)
    # Rows 1, 2, 3 with steps 0, 1, 2: ((0 + 1 + 0) 10 + 2 + 1) 10 + 3 + 2.
    assert state.shape == () and state == 135
    np.testing.assert_array_equal(metrics["value"], [1, 2, 3, 0, 0])
    np.testing.assert_array_equal(metrics["state"], [1, 13, 135, 0, 0])


@pytest.mark.parametrize("mode", ["jit", "fsdp", "pmap"])
def test_steps_count_from_the_first(mode):
    state, _ = _run(mode, 1, first=7)
    assert state == 8


def test_the_state_is_donated():
    devices = parallel.make("jit", 1)
    state = jax.device_put(jnp.zeros((64, 64)), devices.replicated)
    program = devices.chunk(lambda state, *_: (state + 1, {"n": jnp.float32(0)}), 2, state)
    with jax.debug_nans(False):  # which wants to look at arguments again
        new, _ = program(state, {}, {}, 0, 2)
    assert state.is_deleted()
    np.testing.assert_array_equal(new, 2)


@pytest.mark.parametrize("mode", ["jit", "fsdp", "pmap"])
@pytest.mark.parametrize("state_is_batch", [False, True])
def test_the_global_form_survives_the_way_to_the_devices_and_back(mode, state_is_batch):
    devices = parallel.make(mode, 3, state_is_batch)
    state = {"a": jnp.arange(6.0).reshape(3, 2), "b": jnp.arange(3)}
    state = jax.device_put(state, devices.sharded if state_is_batch else devices.replicated)
    back = devices.to_global(devices.from_global(state))
    jax.tree.map(np.testing.assert_array_equal, back, state)
    assert jax.tree.map(lambda x: x.sharding, back) == jax.tree.map(lambda x: x.sharding, state)


def test_abstract_state_is_that_of_init():
    devices = parallel.make("jit", 2)

    def init(key, constants):
        return {"x": jax.random.normal(key, (3,)) * constants["by"], "n": jnp.int32(1)}

    key, constants = jax.random.key(0), {"by": np.float32(2)}
    real, abstract = (f(init, key, constants) for f in (devices.init, devices.abstract))
    describe = lambda x: (x.shape, x.dtype, x.sharding)  # noqa: E731
    assert jax.tree.map(describe, real) == jax.tree.map(describe, abstract)


def test_evaluation_sees_batch_and_constants():
    devices = parallel.make("jit", 2)
    compiled = devices.on_batch(
        lambda state, batch, key: state + batch["x"] * batch["by"], {"by": np.float32(3)}
    )
    result = compiled(jnp.ones(2), {"x": np.arange(2, dtype=np.float32)}, jax.random.key(0))
    np.testing.assert_array_equal(result, [1, 4])


def test_mean_without_an_axis_is_the_tree_itself():
    tree = {"a": 1}
    assert parallel.pmean(tree, None) is tree


def test_an_unknown_mode_is_refused():
    with pytest.raises(UserError, match=r"parallel='tpu'.*jit, fsdp, pmap"):
        parallel.make("tpu", 2)
