"""The devices: the only file that knows how many there are and how work is divided over them.

One mesh with one axis, `data`. Batches are divided along it; states are held whole by every device,
or divided like a batch where the image is the parameter (`Task.state_is_batch`). Two ways to say
the same thing, chosen by the config's `parallel`:

- `jit` (default): the compiler partitions a program written for the global batch;
- `pmap`: every device runs the program on its share and averages explicitly. JAX keeps it in
  maintenance mode; it is here for those who want the collectives in sight, and to compare.

The programs see the global batch in the first case and a share in the second; tasks are told which
by `axis_name`.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from genjax.errors import UserError

AXIS = "data"

# (state, arrays, x, step, axis_name) -> (state, metrics), with `x` the step's own input.
StepFunction = Callable[..., tuple]


def mean(tree, axis_name: str | None):
    """The mean over the devices of a mapped axis; the tree itself where there is none."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def make(mode: str, batch_size: int, state_is_batch: bool = False) -> "Jit | Pmap":
    """All devices that divide the work of a `batch_size` step.

    Pictures that are parameters (`state_is_batch`) come in whatever number the user has, so as many
    devices as divide it are used.

    Raises:
      UserError: `mode` is neither "jit" nor "pmap", or the batch does not divide over the devices.
    """
    devices = jax.devices()
    if state_is_batch:
        devices = devices[: math.gcd(batch_size, len(devices))]
    if batch_size % len(devices):
        raise UserError(
            f"train.batch_size={batch_size} does not divide over {len(devices)} devices: "
            f"make it a multiple of {len(devices)}"
        )
    kinds = {"jit": Jit, "pmap": Pmap}
    if mode not in kinds:
        raise UserError(f"parallel={mode!r} is unknown: use one of {', '.join(kinds)}")
    return kinds[mode](devices, state_is_batch)


class Jit:
    """Programs for the global batch, partitioned by the compiler."""

    def __init__(self, devices: list, state_is_batch: bool):
        self.mesh = jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=devices)
        self.whole = NamedSharding(self.mesh, PartitionSpec())
        self.divided = NamedSharding(self.mesh, PartitionSpec(AXIS))
        self.state_sharding = self.divided if state_is_batch else self.whole

    @property
    def device_count(self) -> int:
        return self.mesh.size

    def __str__(self) -> str:
        """How many devices of which kind."""
        device = self.mesh.devices.flat[0]
        return f"{self.device_count} x {device.device_kind} ({device.platform})"

    def init(self, init: Callable, key, constants):
        """The initial global state `init(key, constants)`, made where it will live."""
        return jax.jit(init, out_shardings=self.state_sharding)(key, constants)

    def abstract(self, init: Callable, key, constants):
        """The shapes, types and shardings of the global state, for a restore."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.state_sharding),
            jax.eval_shape(init, key, constants),
        )

    def on_batch(self, function: Callable, constants) -> Callable:
        """Compiles `function(global state, batch, key)`, for batches that come as numpy arrays.

        The function's batch carries `constants` too, as those of steps do.
        """
        compiled = jax.jit(
            lambda state, constants, batch, key: function(state, batch | constants, key)
        )
        placed = jax.device_put(constants, self.whole)
        return lambda state, batch, key: compiled(
            state, placed, jax.device_put(batch, self.divided), jax.device_put(key, self.whole)
        )

    def place_arrays(self, arrays):
        """Data that every device holds whole: {name: [N, ...]}."""
        return jax.device_put(arrays, self.whole)

    def place_inputs(self, inputs):
        """A chunk's inputs, {name: [steps, B, ...]}, divided along the batch."""
        return jax.device_put(inputs, NamedSharding(self.mesh, PartitionSpec(None, AXIS)))

    def chunk(self, step_function: StepFunction, capacity: int) -> Callable:
        """Compiles `(state, arrays, inputs, first step, n) -> (state, {name: f32[capacity]})`.

        Runs n <= capacity steps; the state is donated. See `_loop`.
        """
        if self.state_sharding is self.divided:
            # Pictures do not know of each other: each device runs the steps of its own.
            program = jax.shard_map(
                partial(_loop, step_function, capacity, AXIS),
                mesh=self.mesh,
                in_specs=(PartitionSpec(AXIS), *[PartitionSpec()] * 4),
                out_specs=(PartitionSpec(AXIS), PartitionSpec()),
                check_vma=False,
            )
        else:
            program = partial(_loop, step_function, capacity, None)
        return jax.jit(program, donate_argnums=0, out_shardings=(self.state_sharding, self.whole))

    def to_global(self, state):
        """The state as checkpoints, evaluation and sampling see it."""
        return state

    def from_global(self, state):
        """The state as `chunk` takes it. It may share buffers with its argument."""
        return state


class Pmap(Jit):
    """Programs for one device's share; arrays carry a leading axis of devices [D, ...]."""

    def place_arrays(self, arrays):
        return jax.tree.map(self._repeat, arrays)

    def place_inputs(self, inputs):
        def split(x):
            steps, batch = x.shape[:2]
            shares = x.reshape(steps, self.device_count, batch // self.device_count, *x.shape[2:])
            return jax.device_put(np.moveaxis(shares, 1, 0), self.divided)

        return jax.tree.map(split, inputs)

    def chunk(self, step_function: StepFunction, capacity: int) -> Callable:
        mapped = jax.pmap(
            partial(_loop, step_function, capacity, AXIS),
            axis_name=AXIS,
            in_axes=(0, 0, 0, None, None),
            devices=self.mesh.devices.tolist(),
            donate_argnums=0,
        )

        def run(state, arrays, inputs, first, n):
            state, metrics = mapped(state, arrays, inputs, first, n)
            return state, {name: x[0] for name, x in metrics.items()}

        return run

    def to_global(self, state):
        if self.state_sharding is self.divided:
            return jax.tree.map(
                lambda x: jax.device_put(x.reshape(-1, *x.shape[2:]), self.divided), state
            )
        return jax.tree.map(lambda x: jax.device_put(x[0], self.whole), state)

    def from_global(self, state):
        if self.state_sharding is self.divided:
            return jax.tree.map(
                lambda x: jax.device_put(
                    x.reshape(self.device_count, -1, *x.shape[1:]), self.divided
                ),
                state,
            )
        return jax.tree.map(self._repeat, state)

    def _repeat(self, x):
        return jax.device_put(
            np.broadcast_to(np.asarray(x), (self.device_count, *x.shape)), self.divided
        )


def _loop(step_function, capacity, axis_name, state, arrays, inputs, first, n):
    """Runs steps first .. first + n - 1 on the device, and collects their metrics.

    The number of steps is an argument of the program and not a part of it: one executable serves
    every chunk, so that a run cut into other chunks, or resumed anywhere, ends with the same bits,
    and no odd remainder compiles again.

    Args:
      inputs: {name: [capacity, ...]}, of which the first n are used.

    Returns:
      The state and {name: f32[capacity]}, the metrics of each step; zeros beyond n.
    """

    def one(i, state):
        x = jax.tree.map(lambda leaf: leaf[i], inputs)
        state, metrics = step_function(state, arrays, x, first + i, axis_name)
        return state, mean(metrics, axis_name)

    def body(i, carry):
        state, collected = carry
        state, metrics = one(i, state)
        return state, {name: collected[name].at[i].set(metrics[name]) for name in collected}

    names = jax.eval_shape(one, jnp.int32(0), state)[1]
    return jax.lax.fori_loop(0, n, body, (state, {name: jnp.zeros(capacity) for name in names}))
