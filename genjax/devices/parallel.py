"""How work is sharded over devices. No file but this and `shared` knows how many there are.

There is one mesh with one axis, `data`, over the devices of all processes. Batches are sharded
along it, and each process supplies the rows of its own devices. The config's `parallel` chooses
between three ways to run the same computation:

- `jit` (default): the program is written for the global batch, and the compiler partitions it; the
  state is replicated;
- `fsdp`: as `jit`, but the state is sharded too, for networks too large for one device;
- `pmap`: each device runs the program on its shard of the batch, and averages with explicit
  collectives. JAX only maintains `pmap`; it is here to make the collectives visible and to compare.

Where the image is the parameter (`Task.state_is_batch`), all three shard the state like a batch and
run the program on each device's shard. A task learns from `axis_name` whether it sees a shard (the
name of the mapped axis) or the global batch (None).
"""

import contextvars
import math
import os
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from genjax.devices.program import jit
from genjax.errors import UserError

AXIS = "data"

# (state, arrays, x, step, axis_name) -> (state, metrics), where `x` is the input of this step.
StepFunction = Callable[..., tuple]


def pmean(tree, axis_name: str | None):
    """The mean of `tree` over the devices of a mapped axis; `tree` itself without `axis_name`."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


# While `Fsdp` traces a step: the sharding that `gather_params` gives to parameters. Else None.
_gathered: contextvars.ContextVar = contextvars.ContextVar("gathered", default=None)


def gather_params(params):
    """Under `fsdp`, all-gathers parameters that are about to be used; otherwise the identity.

    Left to itself, the compiler would keep the parameters sharded and exchange activations between
    the devices instead, which grow with the batch.
    """
    sharding = _gathered.get()
    return params if sharding is None else jax.lax.with_sharding_constraint(params, sharding)


def require_devices() -> None:
    """Starts JAX's backend.

    Raises:
      UserError: there is no device of the kind that `JAX_PLATFORMS` asks for, or it cannot be used.
    """
    asked = os.environ.get("JAX_PLATFORMS", "")
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # an assertion says no more than that
        reason = " ".join(str(error).split()) or "there is none, or what runs it is not installed"
        change = f"change or unset JAX_PLATFORMS={asked}, or " if asked else ""
        raise UserError(
            f"no device can be used: {reason}; {change}see docs/cloud.md for what to install"
        ) from None


def mesh_of(devices: list) -> jax.sharding.Mesh:
    """The mesh of some devices, with the one axis."""
    return jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=devices)


def for_batches(at_least: int) -> tuple["Jit", int]:
    """All devices, and the number of pictures they take at a time: `at_least`, or what divides."""
    size = at_least + -at_least % len(jax.devices())
    return Jit(jax.devices(), size, state_is_batch=False), size


def make(mode: str, batch_size: int, state_is_batch: bool = False) -> "Jit | Fsdp | Pmap":
    """The devices that share a step of `batch_size` images, in the way that `mode` names.

    All devices are used, except with pictures that are parameters (`state_is_batch`), of which a
    user may have any number: then each process uses as many devices as the greatest common divisor
    of its pictures and its devices.

    Raises:
      UserError: `mode` is none of the three, the batch is not a multiple of the number of devices,
        or the pictures are not a multiple of the number of processes.
    """
    kinds = {"jit": Jit, "fsdp": Fsdp, "pmap": Pmap}
    if mode not in kinds:
        raise UserError(f"parallel={mode!r} is unknown: use one of {', '.join(kinds)}")
    devices, processes = jax.devices(), jax.process_count()
    if state_is_batch:
        if batch_size % processes:
            raise UserError(
                f"{batch_size} pictures do not divide over {processes} processes: "
                f"give a multiple of {processes}, or start fewer"
            )
        used = math.gcd(batch_size // processes, len(devices) // processes)
        devices = [d for i in range(processes) for d in jax.local_devices(i)[:used]]
    if batch_size % len(devices):
        raise UserError(
            f"{batch_size} images a step do not divide over {len(devices)} devices: "
            f"make train.batch_size a multiple of {len(devices)}"
        )
    return kinds[mode](devices, batch_size, state_is_batch)


class Jit:
    """Programs for the global batch, partitioned by the compiler.

    Attributes:
      rows: i64[b], which rows of a step's global batch this process supplies, in order. `rows_of`
        gives them for batches of another size.
    """

    def __init__(self, devices: list, batch_size: int, state_is_batch: bool):
        self.mesh = mesh_of(devices)
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.sharded = NamedSharding(self.mesh, PartitionSpec(AXIS))
        self.state_is_batch = state_is_batch
        self.rows = self.rows_of(batch_size)
        self._flags = np.zeros(len(self.mesh.local_devices), bool)  # of this process
        self._any = jax.jit(jnp.any, out_shardings=self.replicated)

    def rows_of(self, batch_size: int) -> np.ndarray:
        """i64[b]: which rows of a global batch this process supplies, in order."""
        shares = self.sharded.addressable_devices_indices_map((batch_size,)).values()
        return np.sort(np.concatenate([np.arange(batch_size)[share] for share in shares]))

    @property
    def device_count(self) -> int:
        return self.mesh.size

    def __str__(self) -> str:
        """How many devices of which kind, in how many processes."""
        device, processes = self.mesh.devices.flat[0], jax.process_count()
        among = f" in {processes} processes" if processes > 1 else ""
        return f"{self.device_count} x {device.device_kind} ({device.platform}){among}"

    @property
    def runtime(self) -> str:
        """The version of what runs programs on the devices, as it names itself."""
        return " ".join(self.mesh.local_devices[0].client.platform_version.split())

    def init(self, init: Callable, given, constants):
        """A global state `init(given, constants)`, computed in its final sharding, of a key or of
        the global state of the stage before (`genjax.task.Stage`)."""
        shardings = self._shardings(jax.eval_shape(init, given, constants))
        return jit(init, out_shardings=shardings)(given, constants)

    def abstract(self, init: Callable, key, constants):
        """The shapes, types and shardings of the global state, for a restore."""
        shapes = jax.eval_shape(init, key, constants)
        return jax.tree.map(
            lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
            shapes,
            self._shardings(shapes),
        )

    def _shardings(self, shapes):
        return jax.tree.map(
            lambda x: self.sharded if self.state_is_batch else self.leaf_sharding(x.shape), shapes
        )

    def leaf_sharding(self, shape: tuple[int, ...]) -> NamedSharding:
        """The sharding of an array of the state that has no batch axis."""
        return self.replicated

    def on_batch(self, function: Callable, constants, often: bool = False) -> Callable:
        """Compiles `function(global state, batch, key)` for batches of numpy arrays, for many calls
        if `often`.

        Each process passes its own rows of the batch, and every process gets the whole result. The
        batch that `function` receives also holds `constants`, as in training steps.
        """
        compiled = jit(
            lambda state, constants, batch, key: function(state, batch | constants, key),
            often=often,
            out_shardings=self.replicated,
        )
        placed = _place(constants, self.replicated)
        return lambda state, batch, key: compiled(state, placed, self.place_rows(batch), key)

    def on_state(self, function: Callable, often: bool = False) -> Callable:
        """Compiles `function(global state, *arguments)`, for many calls if `often`.

        Every process has to pass the same arguments, and gets the whole result.
        """
        return jit(function, often=often, out_shardings=self.replicated)

    def any(self, value: bool) -> jax.Array | bool:
        """Whether `value` is true in any process; `bool()` of the result waits for the answer.

        Every process has to call this.
        """
        if jax.process_count() == 1:
            return value
        return self._any(_place(self._flags | value, self.sharded))

    def to_host(self, state):
        """A global state as numpy arrays, whole in every process."""
        return jax.tree.map(np.asarray, self.on_state(lambda state: state)(state))

    def placed_like(self, arrays, state):
        """Numpy arrays, whole in every process, sharded as the equal tree of global arrays is."""
        return jax.tree.map(
            lambda x, like: jax.make_array_from_callback(x.shape, like.sharding, x.__getitem__),
            arrays,
            state,
        )

    def bytes_per_device(self, state) -> int:
        """Bytes of memory that a global state takes on each device."""
        return sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))

    def place_arrays(self, arrays):
        """Replicates arrays {name: [N, ...]} on every device."""
        return _place(arrays, self.replicated)

    def place_rows(self, batch):
        """Shards arrays {name: [B, ...]} over the devices; takes this process' rows of them."""
        return _place(batch, self.sharded)

    def place_inputs(self, inputs):
        """Shards a chunk's inputs {name: [steps, b, ...]}; takes this process' rows of them."""
        return _place(inputs, NamedSharding(self.mesh, PartitionSpec(None, AXIS)))

    def chunk(self, step_function: StepFunction, capacity: int, state) -> Callable:
        """Compiles `(state, arrays, inputs, first step, n) -> (state, {name: f32[capacity]})`.

        Runs n <= capacity steps, as `_loop` describes. The argument's state is donated; the
        result's state has the shardings of `state`.
        """
        if self.state_is_batch:
            # Pictures are independent of each other: each device runs the steps of its own ones.
            program = jax.shard_map(
                partial(_loop, step_function, capacity, AXIS),
                mesh=self.mesh,
                in_specs=(PartitionSpec(AXIS), *[PartitionSpec()] * 4),
                out_specs=(PartitionSpec(AXIS), PartitionSpec()),
                check_vma=False,
            )
        else:
            program = partial(_loop, step_function, capacity, None)
        shardings = jax.tree.map(lambda x: x.sharding, state)
        return jit(
            program, often=True, donate_argnums=0, out_shardings=(shardings, self.replicated)
        )

    def to_global(self, state):
        """A state of `chunk` in the form that checkpoints, evaluation and sampling use."""
        return state

    def from_global(self, state):
        """The inverse of `to_global`. The result may share buffers with its argument."""
        return state


class Fsdp(Jit):
    """`Jit` with the state sharded: parameters, averages and optimiser states.

    Zhao et al. 2023, arXiv:2304.11277; Xu et al. 2020, arXiv:2004.13336. Every array is sharded
    along its longest axis that is a multiple of the number of devices (the first of several), and
    replicated if it has none. The compiler adds the collectives: all-gathers of parameters, and
    reductions of gradients to each device's shard.
    """

    def leaf_sharding(self, shape: tuple[int, ...]) -> NamedSharding:
        possible = [i for i, n in enumerate(shape) if n and n % self.device_count == 0]
        if not possible:
            return self.replicated
        axis = max(possible, key=lambda i: shape[i])
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))

    def chunk(self, step_function: StepFunction, capacity: int, state) -> Callable:
        shardings = jax.tree.map(lambda x: x.sharding, state)

        def step(*arguments):
            token = _gathered.set(self.replicated)
            try:
                state, metrics = step_function(*arguments)
            finally:
                _gathered.reset(token)
            return jax.lax.with_sharding_constraint(state, shardings), metrics

        return super().chunk(step_function if self.state_is_batch else step, capacity, state)


class Pmap(Jit):
    """Programs for one device's shard; arrays have a leading axis [d], this process' devices."""

    def __init__(self, devices: list, batch_size: int, state_is_batch: bool):
        super().__init__(devices, batch_size, state_is_batch)
        self._devices = self.mesh.devices.tolist()
        mine = [d for d in self._devices if d.process_index == jax.process_index()]
        self._mine = my = NamedSharding(mesh_of(mine), PartitionSpec(AXIS))
        shards = {"mesh": my.mesh, "in_specs": my.spec, "out_specs": PartitionSpec()}
        self._first = jax.jit(
            jax.shard_map(partial(jax.tree.map, lambda x: x[0]), check_vma=False, **shards)
        )

    def place_arrays(self, arrays):
        return jax.tree.map(self._repeat, arrays)

    def place_inputs(self, inputs):
        def split(x):
            shares = x.reshape(len(x), self._mine.num_devices, -1, *x.shape[2:])
            return jax.device_put(np.moveaxis(shares, 1, 0), self._mine)

        return jax.tree.map(split, inputs)

    def chunk(self, step_function: StepFunction, capacity: int, state) -> Callable:
        mapped = jax.pmap(
            partial(_loop, step_function, capacity, AXIS),
            axis_name=AXIS,
            in_axes=(0, 0, 0, None, None),
            devices=self._devices,
            donate_argnums=0,
        )

        def run(state, arrays, inputs, first, n):
            state, metrics = mapped(state, arrays, inputs, first, n)
            return state, {name: x[0] for name, x in metrics.items()}

        return run

    def to_global(self, state):
        if self.state_is_batch:
            return jax.tree.map(lambda x: _place(x.reshape(-1, *x.shape[2:]), self.sharded), state)
        # One program of all arrays, which sends nothing: "One launch" in docs/architecture.md.
        return jax.tree.map(lambda x: _place(x, self.replicated), self._first(state))

    def from_global(self, state):
        if self.state_is_batch:
            return jax.tree.map(
                lambda x: jax.device_put(
                    _rows(x).reshape(self._mine.num_devices, -1, *x.shape[1:]), self._mine
                ),
                state,
            )
        return jax.tree.map(self._repeat, state)

    def _repeat(self, x):
        x = np.asarray(x)
        return jax.device_put(np.broadcast_to(x, (self._mine.num_devices, *x.shape)), self._mine)


def _place(tree, sharding: NamedSharding):
    """Global arrays from this process' data: all of it if `sharding` replicates, else its rows."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree
    )


def _rows(x: jax.Array) -> np.ndarray:
    """This process' rows of an array that is sharded along its first axis."""
    shards = sorted(x.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate([np.asarray(shard.data) for shard in shards])


def _loop(step_function, capacity, axis_name, state, arrays, inputs, first, n):
    """Runs steps first .. first + n - 1 on the device, and collects their metrics.

    The number of steps is an argument and not compiled into the program, so one executable serves
    chunks of every length. A run that is cut into other chunks, or resumed at any step, therefore
    ends with the same bits, and a shorter last chunk needs no compilation.

    Args:
      inputs: {name: [capacity, ...]}, of which the first n are used.

    Returns:
      The state and {name: f32[capacity]}, the metrics of each step; zeros beyond n.
    """

    @partial(jax.jit, inline=True)  # so that `eval_shape` and the loop share one trace
    def one(state, arrays, x, step):
        state, metrics = step_function(state, arrays, x, step, axis_name)
        return state, pmean(metrics, axis_name)

    def arguments(i, state):
        x = jax.tree.map(lambda leaf: leaf[i], inputs)
        return state, arrays, x, jnp.asarray(first + i, jnp.int32)

    def body(i, carry):
        state, collected = carry
        state, metrics = one(*arguments(i, state))
        return state, {name: collected[name].at[i].set(metrics[name]) for name in collected}

    names = jax.eval_shape(one, *arguments(0, state))[1]
    return jax.lax.fori_loop(0, n, body, (state, {name: jnp.zeros(capacity) for name in names}))
