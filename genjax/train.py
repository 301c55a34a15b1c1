"""The one loop: it drives any task, over any number of devices, from any interruption."""

import dataclasses
import shlex
import sys
import time
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from clu import parameter_overview
from etils import epath
from ml_collections import ConfigDict

import genjax
from genjax import config as config_lib
from genjax import data, images, rng, runs
from genjax.devices import StopRequest, processes
from genjax.errors import Interrupted, NonFiniteError
from genjax.evaluate import Evaluator
from genjax.report import Meter, Report, Silent, as_computed, write_page
from genjax.speed import Profile, Speed, collectives
from genjax.steps import Steps, open_feed
from genjax.workdir import Checkpoints, Hold, Restored, enter_workdir

LEAST_SHOWN = 16  # held-out examples in a picture, whatever `sample.n` says of samples


def train(config: ConfigDict, workdir: epath.Path):
    """`--mode=train`: trains from the newest checkpoint in `workdir`, or from the start.

    Raises:
      UserError: the config or a file is wrong, or `workdir` holds a run with another config.
      Interrupted: asked to stop by SIGTERM or SIGINT; the state is saved.
      NonFiniteError: a metric is NaN or infinite; the last good checkpoint stays.
    """
    run = runs.build(config)
    with enter_workdir(config, workdir) as held, runs.checkpoints(config, workdir) as kept:
        found = kept.restore(runs.abstract_state(run), runs.warn)
        step = found.step if found else 0
        if step >= config.train.steps:
            # Whoever killed the run after its last checkpoint still gets what it was for.
            _write_outputs(run, found.state, workdir)
            if processes.is_first():
                print(f"{workdir} is done: {step:,} steps. For more, raise --config.train.steps.")
            return
        kind = Report if processes.is_first() else Silent
        with (
            StopRequest() as stop,
            kind(workdir, step=step, total_steps=config.train.steps) as report,
        ):
            _Loop(run, workdir, held, kept, report, stop).go(found)


class _Chunk(NamedTuple):
    """A chunk of steps under way on the devices."""

    last_step: int
    steps: int
    metrics: dict[str, jax.Array]  # f32[capacity] each, of which `steps` are meant
    waited: float  # seconds, for its inputs, while the devices were busy with the chunk before it


class _Loop:
    def __init__(
        self,
        run: runs.Run,
        workdir: epath.Path,
        held: Hold,
        kept: Checkpoints,
        report: Report | Silent,
        stop: StopRequest,
    ):
        self.run, self.config, self.devices = run, run.config, run.devices
        self.workdir, self.held, self.kept = workdir, held, kept
        self.report, self.stop = report, stop
        self.evaluator = self.sampler = self.pictures = None
        self.feed = open_feed(run, report.message)
        held_out = not run.dataset or len(run.dataset.test)
        if run.task.evaluate and held_out:
            self.evaluator = Evaluator(run)
        if run.task.sample:
            self.sampler = runs.Sampler(run, self.config.sample.n, self.config.sample.seed)
        if run.task.pictures and held_out:
            count = max(LEAST_SHOWN, self.config.sample.n)
            self.test_batch = data.examples(run.dataset.test, count)
            self.pictures = run.devices.on_state(run.task.pictures)
        self.facts = {}

    def go(self, found: Restored | None):
        """Runs to the end, or until asked to stop, and writes the final report.

        Args:
          found: where to go on from, if anywhere. Its state is taken out of it.
        """
        options = self.config.train
        traced = self.config.profile.steps if processes.is_first() else ()  # who can write it
        at, say = found.step if found else 0, self.report.message
        self.profile = Profile(traced, at, options.steps, self.workdir, say)
        state, step, progress = self._start(found)
        limits = {"stop": None, "skip": options.max_skipped}
        self.meter = Meter(progress, limits[options.on_nonfinite])
        self.speed = Speed(self.run)
        self._describe(state, step)
        try:
            state, step = self._steps(self.devices.from_global(state), step)
        except NonFiniteError as error:
            self.kept.wait()  # for one that may still be under way
            last = self.kept.latest()
            good = f"checkpoint {last} is good" if last else "no checkpoint was written before"
            self._page(f"failed: {error}")
            raise NonFiniteError(f"{error}; {good}: {self.workdir}") from None
        finally:
            self.profile.close()
            if self.feed:
                self.feed.close()
        self.kept.wait()
        _write_outputs(self.run, state, self.workdir)
        total = self.config.train.steps
        if step < total:
            status = f"interrupted at step {step:,} of {total:,}: run the same command to go on"
            self._page(status)
            raise Interrupted(f"{self.stop.requested or 'stopped with another process'}: {status}")
        status = f"done: {step:,} steps in {self.meter.seconds:,.0f} s"
        if best := self.kept.best():
            status += (
                f"; best {self.config.checkpoint.best} {best[1]:.5g} at step {best[0]:,}, kept"
            )
        self._page(status)
        self.report.close(f"{status}: {self.workdir}/report.html")

    def _start(self, found: Restored | None) -> tuple[Any, int, dict | None]:
        """The global state to begin with, its step, and what its checkpoint says of progress."""
        if found:
            self.report.message(f"going on from step {found.step:,} in {self.workdir}")
            # Held here as well, it would take the devices' memory twice.
            state, found.state = found.state, None
            return state, found.step, found.progress
        key = rng.stream(self.config.seed, rng.Stream.INIT)
        return self.devices.init(self.run.task.init, key, self.run.task.constants), 0, None

    def _steps(self, state, step: int):
        """Returns the state (as the devices hold it, then global) and step it came to."""
        steps_per_call, total = self.config.train.steps_per_call, self.config.train.steps
        run_chunk = Steps(self.run, self.feed, state)
        running = None
        while step < total:
            n = min(steps_per_call, self._next_event(step) - step)
            self.profile.begin(step)
            began = time.monotonic()
            inputs = run_chunk.inputs(step, n)
            waited = time.monotonic() - began if running else 0.0
            # Asked before the chunk, so that the answer is there when the one before it is done.
            asked = self.devices.any(bool(self.stop.requested))
            state, metrics = run_chunk(state, inputs, step, n)
            if running is None:
                self.meter.resume_clock()
            else:
                self._write_line(running.last_step, self._settle(running))
            step += n
            running = _Chunk(step, n, metrics, waited)
            stopping = bool(asked)
            if stopping or self._looks(step):
                values = self._settle(running)
                self.profile.end(step, partial(run_chunk.text, state, inputs, step, n))
                self._look(self.devices.to_global(state), step, values, stopping)
                running = None
            if stopping:
                break
        return self.devices.to_global(state), step

    def _every(self) -> dict[str, int]:
        config = self.config
        return {
            "log": config.log.every,
            "sample": config.sample.every,
            "evaluate": config.evaluate.every,
            "checkpoint": config.checkpoint.every,
        }

    def _due(self, what: str, step: int) -> bool:
        every = self._every()[what]
        return step == self.config.train.steps or (every > 0 and step % every == 0)

    def _next_event(self, step: int) -> int:
        """The next step at which anything is due."""
        following = (step // every * every + every for every in self._every().values() if every)
        bounds = (bound for bound in self.profile.bounds if bound > step)
        return min([self.config.train.steps, *following, *bounds])

    def _looks(self, step: int) -> bool:
        due = any(self._due(what, step) for what in ("sample", "evaluate", "checkpoint"))
        return due or step in self.profile.bounds

    def _settle(self, chunk: _Chunk) -> dict[str, float]:
        """Waits for a chunk's metrics; the means to write where a line is due."""
        metrics = {name: np.asarray(x)[: chunk.steps] for name, x in chunk.metrics.items()}
        self.meter.add(chunk.last_step, metrics, self.run.task.images_per_step)
        self.meter.wait(chunk.waited)
        newest = {name: metrics[name][-1] for name in as_computed(metrics)}
        self.report.progress(chunk.last_step, self.meter.images_per_second(), newest)
        if not self._due("log", chunk.last_step):
            return {}
        values = self.meter.take()
        return values | self.speed.metrics(values["perf/images_per_sec"])

    def _look(self, state, step: int, values: dict[str, float], stopping: bool):
        """Evaluates, shows and saves what is due; a checkpoint comes after what it vouches for."""
        scores = {}
        if self.evaluator and self._due("evaluate", step):
            scores = self.evaluator(state)
            if self.config.checkpoint.best:
                config_lib.choose("checkpoint.best", self.config.checkpoint.best, scores)
        self._write_line(step, values | scores)
        if self._due("sample", step):
            self._show(state, step)
        if stopping or self._due("checkpoint", step):
            _check_finite(state, step)
            self.held.check()
            self.report.flush()  # the lines before it must outlive what a checkpoint outlives
            self.kept.save(step, state, self.meter.saved(), scores)
        self.meter.resume_clock()

    def _write_line(self, step: int, values: dict[str, float]):
        if values:
            seen = step * self.run.task.images_per_step
            self.report.scalars(step, seen, self.meter.seconds, values)

    def _show(self, state, step: int):
        if self.sampler:
            self.report.picture(step, "", images.grid(self.sampler(state)))
        if self.pictures:
            key = rng.stream(self.config.sample.seed, rng.Stream.SAMPLE)
            for name, rows in self.pictures(state, self.test_batch, key).items():
                self.report.picture(step, name, images.grid(np.asarray(rows)))

    def _describe(self, state, step: int):
        """Collects and prints what is worth knowing of the run before it starts."""
        self.facts = {
            "command": shlex.join(["python", *sys.argv]),
            "devices": str(self.devices),
            "versions": f"genjax {genjax.__version__}, jax {jax.__version__}",
            "state": f"{self.devices.bytes_per_device(state) / 1e6:.1f} MB on each device",
            "collectives": collectives.describe(self.run),
            "arithmetic": str(self.speed),
            **self.run.task.notes,
        }
        for field in dataclasses.fields(state):
            part = getattr(state, field.name)
            if isinstance(part, dict) and "params" in part:
                count = int(parameter_overview.count_parameters(part["params"]))
                self.facts[field.name] = f"{count:,} parameters"
        for name, fact in self.facts.items():
            self.report.message(f"{name}: {fact}")
        if not step:
            self.report.message("compiling the first steps …")

    def _page(self, status: str):
        if processes.is_first():
            write_page(self.workdir, title=self.workdir.name, status=status, facts=self.facts)


def _write_outputs(run: runs.Run, state, workdir: epath.Path):
    if run.task.outputs:
        state = run.devices.to_host(state)
        if processes.is_first():
            for name, picture in run.task.outputs(state).items():
                images.write(workdir / name, np.asarray(picture))


def _check_finite(state, step: int):
    """A step's metrics are of the state that it began with: of its own update they know little.

    Optimisers are left out: the bounds of a line search may be infinite.

    Raises:
      NonFiniteError: the state after `step` is not fit for a checkpoint.
    """
    for path, finite in jax.tree_util.tree_leaves_with_path(_finite(state)):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not finite and "optimizer" not in name:
            raise NonFiniteError(f"{name} is not finite after step {step}")


@jax.jit
def _finite(state):
    """For each leaf, whether all of it is finite; bool[]."""
    floating = partial(jnp.issubdtype, arg2=jnp.floating)
    return jax.tree.map(lambda x: jnp.isfinite(x).all() if floating(x.dtype) else True, state)
