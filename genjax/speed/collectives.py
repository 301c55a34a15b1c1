"""What a step averages over the devices, and how many bytes each device sends for that.

    python -m genjax.speed.collectives --config=configs/NAME.py[:ARG] [--devices=1,8,64,256]
                                 [--config.KEY=VALUE ...]

A step averages over the devices: the gradients, 4 bytes a parameter; the statistics that a network
computes over the global batch (BatchNorm: two numbers a feature forward and two backward, each time
it is applied); and the metrics. None of it depends on the batch size. The numbers are read from the
step, traced as each device of `parallel="pmap"` runs it; for `pmap` they are exact. Under `jit` and
`fsdp` the compiler chooses the collectives; docs/cloud.md says how far they differ.

Where devices share out the tiles of a picture, the picture is the parameter, and the statistics are
the sums over its tiles and their gradients. Of a line search, whose length is not known, a single
evaluation counts, as in `genjax.speed.flops`.
"""

import math
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

import jax
from jax.extend.core import Jaxpr, jaxprs_in_params

from genjax import config as config_lib
from genjax import runs
from genjax.devices import AXIS
from genjax.errors import OptionParser, UserError, run_program

DEVICES = (1, 8, 64, 256)

_AVERAGES = {"psum", "pmax", "pmin"}  # the primitives that become an all-reduce
_LOOP = " in a loop"  # marks the scope of averages in one of unknown length
_DERIVATIVES = re.compile(r"jvp|transpose|[()/]")  # in scopes, beside the names of networks
_OTHERS = {"all_gather", "all_to_all", "ppermute", "reduce_scatter"}


class Averaged(NamedTuple):
    """Bytes of the arrays that one step averages; the same for any number of devices.

    Attributes:
      is_least: whether a step may average them more than once, in a loop of unknown length.
    """

    gradients: int
    statistics: int
    metrics: int
    is_least: bool = False

    @property
    def total(self) -> int:
        return self.gradients + self.statistics + self.metrics


def averaged(run: runs.Run) -> Averaged:
    """What a step of this run averages, read from its trace; the step is not executed.

    Raises:
      NotImplementedError: the step has a collective that this module does not know how to count.
    """
    task = run.task
    state, batch, key = runs.step_shapes(run)

    # A step that shares out tiles names the devices itself, and each knows all of the metrics.
    axis = None if task.shared else AXIS

    def step(state, batch, constants, key):
        return task.step(state, batch | constants, key, axis)

    program, (_, metrics) = jax.make_jaxpr(
        step, axis_env=[(axis, 2)] if axis else [], return_shape=True
    )(state, batch, dict(task.constants), key)
    bytes_in = {True: 0, False: 0}
    found = list(_averages(program, ""))
    for count, scope in found:
        bytes_in[bool(_DERIVATIVES.sub("", scope.replace(_LOOP, "")))] += count
    # A task averages gradients outside its networks. Averages inside a network have its name as
    # scope, and sums over tiles theirs: those are the statistics.
    return Averaged(
        gradients=bytes_in[False],
        statistics=bytes_in[True],
        metrics=0 if task.shared else sum(map(_bytes, jax.tree.leaves(metrics))),
        is_least=any(_LOOP in scope for _, scope in found),
    )


def sent(what: Averaged, mode: str, devices: int) -> float:
    """Bytes that each device sends a step.

    Of S bytes over n devices, a reduce-scatter and an all-gather send (n - 1) / n S each. An
    all-reduce is one followed by the other; no algorithm sends less (Patarasuk and Yuan 2009,
    doi:10.1016/j.jpdc.2008.09.002). `fsdp` gathers the parameters once more, for the backward pass
    (Rajbhandari et al. 2020, arXiv:1910.02054, §7).

    Args:
      what: of one step.
      mode: the config's `parallel`.
      devices: their number n.
    """
    gathered_again = what.gradients if mode == "fsdp" else 0
    return (devices - 1) / devices * (2 * what.total + gathered_again)


def describe(run: runs.Run) -> str:
    """One line for a run's report: what its devices send a step."""
    devices = run.devices.device_count
    if devices == 1:
        return "nothing: one device"
    what = averaged(run)
    bytes_sent = sent(what, run.config.parallel, devices)
    least = ", and again with each further evaluation of a line search" if what.is_least else ""
    return f"each of {devices} devices sends {size_text(bytes_sent)} a step{least}"


def table(name: str, run: runs.Run, numbers: tuple[int, ...]) -> str:
    """Markdown: a line on what is averaged, and a row for each number of devices."""
    what, batch = averaged(run), run.task.images_per_step
    others = what.statistics + what.metrics
    lines = [
        f"`{name}`: gradients {size_text(what.gradients)} ({what.gradients // 4:,} parameters), "
        f"statistics and metrics {size_text(others)}",
        "",
        f"| devices | images each, of {batch:,} | each sends a step | `fsdp`, at least |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for number in numbers:
        # Pictures that are parameters may use fewer devices, as in `parallel.make`.
        alone = run.task.state_is_batch and not run.task.shared
        used = math.gcd(batch, number) if alone else number
        images = f"{batch // used}" if batch % used == 0 else "not evenly"
        if run.task.shared:
            images = "tiles of all"
        sizes = (size_text(sent(what, mode, used)) for mode in ("jit", "fsdp"))
        lines.append("| " + " | ".join([f"{number:,}", images, *sizes]) + " |")
    return "\n".join(lines)


def size_text(count: float) -> str:
    """A number of bytes for people, in powers of 1000."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} B"


def _averages(jaxpr: Jaxpr, scope: str) -> Iterator[tuple[int, str]]:
    """(bytes, scope) of each average in a program; the scope has the network's name, if any."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        inside = f"{scope}{equation.source_info.name_stack}"
        if name in _AVERAGES:
            yield sum(_bytes(x.aval) for x in equation.invars), inside
        if name in _OTHERS:
            raise NotImplementedError(f"{name} in a step")
        inner = [x for each in jaxprs_in_params(equation.params) for x in _averages(each, inside)]
        if name == "while":
            inner = [(count, f"{where}{_LOOP}") for count, where in inner]
        yield from inner * equation.params.get("length", 1) if name == "scan" else inner


def _bytes(x) -> int:
    return math.prod(x.shape) * x.dtype.itemsize


def _run(argv: list[str]):
    parser = OptionParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--devices", default=",".join(map(str, DEVICES)))
    options, others = parser.parse_known_args(argv[1:])
    if not all(x.isdigit() and int(x) for x in options.devices.split(",")):
        raise UserError(f"--devices={options.devices} has to be numbers with commas between")
    devices = tuple(map(int, options.devices.split(",")))
    run = runs.build(config_lib.read(options.config, others))
    print(table(options.config, run, devices))


def main(argv: list[str]) -> int:
    """Runs the command line above and returns its exit code."""
    return run_program(argv, __doc__, _run)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
