"""Profiles the steps that the config names in `profile.steps=(first, last)`.

`WORKDIR/profile/` then has JAX's trace, for TensorBoard or Perfetto, and `ops.txt`, a table of the
ten operations that take longest.
"""

import collections
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from etils import epath
from jax.profiler import ProfileData

from genjax.errors import UserError
from genjax.files import write_atomically

ROWS = 10

_PROGRAM = "_loop"  # part of the name of every chunk's program, which is `parallel._loop`
_CONTROL = re.compile(r"(while|call|conditional)(\.\d+)*")  # these consist of other operations


class Op(NamedTuple):
    """One execution of an operation; times in ns.

    On a CPU an operation may still run in other threads after its call has returned, until `done`.
    """

    name: str
    start: float
    returned: float
    done: float


class Profile:
    """Traces steps first..last of a run, counted from 1.

    Attributes:
      bounds: the steps after which `begin` and `end` have to be called, with idle devices; empty
        if nothing is traced.
    """

    def __init__(
        self,
        steps: Sequence[int],
        at: int,
        total: int,
        workdir: epath.Path,
        say: Callable[[str], None],
    ):
        """`at`: the step the run starts from; `total`: the one it ends at; `say` tells people.

        Raises:
          UserError: `steps` are not two of the run's, in order.
        """
        self.bounds: tuple[int, ...] = ()
        self._workdir, self._say = epath.Path(workdir), say
        self._folder = None
        if not steps:
            return
        whole = all(isinstance(step, int) for step in steps)
        if not (whole and len(steps) == 2 and 1 <= steps[0] <= steps[1] <= total):
            raise UserError(
                f"profile.steps={tuple(steps)} has to be (first, last), of the run's steps "
                f"1 to {total}"
            )
        if at >= steps[0]:
            say(f"profile.steps={tuple(steps)} begins before step {at + 1:,}: nothing is traced")
            return
        self.bounds = (steps[0] - 1, steps[1])

    def begin(self, step: int):
        """Begins the trace, if `step` is the last one before it."""
        if self.bounds and step == self.bounds[0]:
            self._folder = tempfile.TemporaryDirectory(prefix="genjax-profile-")
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # tracing Python would slow down what is measured
            jax.profiler.start_trace(self._folder.name, profiler_options=options)
            self._started = time.monotonic()

    def end(self, step: int, program: Callable[[], str]):
        """Ends the trace, if `step` is its last one, and writes the results.

        Args:
          program: gives the text of the compiled program, which says where operations come from.
        """
        if self._folder is None or step != self.bounds[1]:
            return
        seconds = time.monotonic() - self._started
        jax.profiler.stop_trace()
        traced = Path(self._folder.name)
        (found,) = traced.rglob("*.xplane.pb")
        steps = self.bounds[1] - self.bounds[0]
        head = f"steps {self.bounds[0] + 1:,} to {step:,}: {1e3 * seconds / steps:.4g} ms a step"
        ops = read_ops(ProfileData.from_file(str(found)))
        text = (
            f"{head} on the clock, with all that was due\n{table(ops, steps, sources(program()))}"
        )
        folder = self._workdir / "profile"
        for path in (x for x in traced.rglob("*") if x.is_file()):
            kept = folder / path.relative_to(traced)
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(kept, path.read_bytes())
        write_atomically(folder / "ops.txt", text)
        self._say(f"{text}the trace is in {folder}")
        self._drop()

    def close(self):
        """Discards a trace that has begun and not ended, because the run did not come that far."""
        if self._folder is not None:
            jax.profiler.stop_trace()
            self._drop()
            self._say(f"the run ended before step {self.bounds[1]:,}: no profile was written")

    def _drop(self):
        self._folder.cleanup()
        self._folder = None


def read_ops(data: ProfileData) -> list[Op]:
    """The operations that one device executed in the programs of the run's chunks."""
    done, found = {}, {}
    for plane in data.planes:
        for line in plane.lines:
            for event in line.events:
                about = dict(event.stats)
                if event.name.startswith("end: "):
                    done[about.get("_c")] = event.start_ns + event.duration_ns
                elif "hlo_op" in about and _PROGRAM in str(about.get("hlo_module")):
                    # Each GPU has a plane of its own; the devices of a CPU share one.
                    device = (not plane.name.startswith("/device:"), plane.name)
                    device += (about.get("device_ordinal", 0),)
                    found.setdefault(device, []).append((event, about))
    if not found:
        return []
    ops = []
    for event, about in found[min(found)]:
        returned = event.start_ns + event.duration_ns
        end = max(returned, done.get(about.get("_p"), returned))
        ops.append(Op(str(about["hlo_op"]), event.start_ns, returned, end))
    return [op for op in ops if not _CONTROL.fullmatch(op.name)]


def durations(ops: Iterable[Op]) -> dict[str, float]:
    """{name: ns} spent in each operation; together, the time in which anything was executed.

    Time is credited to the operations whose call has not returned yet. While there are none, it is
    credited to those that have returned and are not done. Several at a time get equal parts.
    """
    moments = []
    for i, op in enumerate(ops):
        moments += [(at, what, i, op.name) for what, at in enumerate(op[1:])]
    total, called, pending = collections.Counter(), {}, {}
    before = 0.0
    for at, what, i, name in sorted(moments):  # what: 0 it starts, 1 it returns, 2 it is done
        active = called or pending
        for other in active.values():
            total[other] += (at - before) / len(active)
        before = at
        if what == 0:
            called[i] = name
        elif what == 1:
            pending[i] = called.pop(i)
        else:
            del pending[i]
    return total


def table(ops: Sequence[Op], steps: int, where: dict[str, str]) -> str:
    """The operations that take longest, as text.

    Args:
      ops: of `steps` steps.
      where: {operation: the layer that it comes from}, where known.
    """
    spent, calls = durations(ops), collections.Counter(op.name for op in ops)
    total = sum(spent.values())
    longest = sorted(spent, key=spent.get, reverse=True)[:ROWS]
    width = max(map(len, [*longest, "op"]))
    lines = [f"{'ms/step':>9}  {'share':>6}  {'calls':>7}  {'op':<{width}}  from"]

    def row(ns: float, count: int, name: str, source: str) -> str:
        share = ns / total if total else 0
        numbers = f"{ns / 1e6 / steps:9.3f}  {share:6.1%}  {count / steps:7.4g}"
        return f"{numbers}  {name:<{width}}  {source}".rstrip()

    lines += [row(spent[name], calls[name], name, where.get(name, "")) for name in longest]
    others = len(spent) - len(longest)
    rest = [sum(x[name] for name in longest) for x in (spent, calls)]
    if others:
        lines.append(row(total - rest[0], len(ops) - rest[1], f"{others} others", ""))
    lines.append(row(total, len(ops), "all", ""))
    return "\n".join(lines) + "\n"


def sources(program: str) -> dict[str, str]:
    """{operation: where it comes from} of a compiled program's text."""
    found = re.findall(r'^ *(?:ROOT )?%?([\w.-]+) = .*metadata=\{op_name="([^"]*)"', program, re.M)
    # Without the prefix that all operations of the loop have in common.
    return {name: re.sub(r"^.*?/(while/body/)?(closed_call/)?", "", path) for name, path in found}
