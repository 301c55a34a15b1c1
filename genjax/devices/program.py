"""Compiled programs: the options of the CPU's compiler, and the memory that a program needs."""

from collections.abc import Callable

import jax

from genjax.devices import host
from genjax.errors import LESS_MEMORY, UserError

# Options for XLA's CPU compiler. The first keeps `jax.lax.optimization_barrier`, which a pass would
# otherwise remove before fusion; an input with many readers would then be recomputed for each of
# them (`genjax.nn.winograd` says where that is costly). The second does without YNN, XLA's newer
# library: it takes 3 to 5 times as long as Eigen for convolutions of batches, up to twice as long
# for the many small matrix products of minimal filtering, and a program with hundreds of its
# products takes seconds to load, because each searches the whole program for itself.
_CPU_OPTIONS = {
    "xla_disable_hlo_passes": "cse_barrier_expander",
    "xla_cpu_experimental_ynn_fusion_type": "",
}

# LLVM's optimisation level for programs that run once or seldom: 1, where XLA's default is 3. The
# first parameters are then drawn by a program that compiles in a third of the time. It runs hardly
# longer: matrix products and convolutions come from libraries. Level 0 runs several times as long.
_SOONER = {"xla_backend_optimization_level": 1}

_LARGE = 256e6  # bytes of a program's arguments, for which it waits before it is compiled


def jit(function: Callable, *, often: bool = False, **options) -> "Program":
    """`jax.jit` with compiler options for this backend; for every program that runs a network.

    `pmap` accepts no such options, so on CPUs its programs are slower. Nor are they weighed: its
    first call would compile them once more.

    Args:
      often: whether it runs so often, as a training step does, that it is compiled to run fast.
        Any other is compiled sooner.
    """
    if jax.default_backend() == "cpu":
        options["compiler_options"] = _CPU_OPTIONS if often else _CPU_OPTIONS | _SOONER
    return Program(jax.jit(function, **options))


class Program:
    """A function of `jax.jit` whose need of memory is known before its first call.

    On a CPU, a program that finds too little memory is ended by the system, in its middle and
    without a word. GPUs and TPUs have an allocator that says so, in an error.

    Attributes:
      lower: that of `jax.jit`.
    """

    def __init__(self, jitted: Callable):
        self._function, self.lower = jitted, jitted.lower
        self._weighed = False

    def __call__(self, *arguments):
        """Calls the function.

        Raises:
          UserError: this is the first call, and the program needs more memory than there is.
        """
        if not self._weighed:
            if jax.default_backend() == "cpu":
                _wait_for_large(arguments)
                # JAX keeps what it compiles here for the call that follows.
                compiled = self.lower(*arguments).compile()
                host.release_memory()  # what compiling or loading took
                check_memory(needed(compiled))
            self._weighed = True
        return self._function(*arguments)


def _wait_for_large(arguments) -> None:
    """Waits until arrays that take much memory have been computed, and frees what that took.

    A program is else compiled while its arguments are under way, which saves time. But for large
    pictures, each takes so much memory that both at once would be the peak of the run.
    """
    arrays = [x for x in jax.tree.leaves(arguments) if isinstance(x, jax.Array)]
    if sum(x.nbytes for x in arrays) > _LARGE:
        jax.block_until_ready(arrays)
        host.release_memory()


def needed(compiled) -> int:
    """Bytes that a compiled program takes on this host's CPU while it runs, besides its arguments.

    All devices of the process share the host's memory.
    """
    size = compiled.memory_analysis()
    if size is None:
        return 0
    new = size.output_size_in_bytes - size.alias_size_in_bytes
    return (size.temp_size_in_bytes + new) * len(compiled.runtime_executable().local_devices())


def check_memory(needed: int, less: str = LESS_MEMORY) -> None:
    """Compares what something needs with what this process can still have.

    Args:
      needed: bytes.
      less: what the user can change so that it needs less.

    Raises:
      UserError: it needs more; the message says how much, and `less`.
    """
    free = host.free_memory()
    if needed > free:
        raise UserError(
            f"this needs {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: {less}"
        )
