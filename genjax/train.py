"""The training loop, for every task and any number of devices; it resumes from checkpoints."""

import shlex
import sys
import time
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

import genjax
from genjax import config as config_lib
from genjax import data, images, runs, score_keys
from genjax.devices import StopRequest, host, processes
from genjax.errors import Interrupted, NonFiniteError, UserError
from genjax.files import write_atomically
from genjax.report import Meter, Report, Silent, as_computed, write_page
from genjax.scores.watch import Saturation, Watch
from genjax.speed import Profile, Speed, collectives
from genjax.stage import Stage
from genjax.steps import open_feed
from genjax.workdir import Checkpoints, Hold, Restored, enter_workdir, fingerprint


def train(config: ConfigDict, workdir: epath.Path):
    """`--mode=train`: trains from the newest checkpoint in `workdir`, or from the start.

    Raises:
      UserError: the config or a file is wrong (what was trained until then is saved); or `workdir`
        is in use, holds a run with another config or other data, or has only damaged checkpoints.
      Interrupted: this or another process got SIGTERM or SIGINT; the state is saved.
      NonFiniteError: a metric is NaN or infinite (or, if such steps are skipped, in too many steps
        in a row), or the state is; the last good checkpoint stays.
    """
    run = runs.build(config, workdir=workdir)
    with (
        enter_workdir(config, run.dataset, run.task.known, workdir, runs.warn) as lock,
        runs.checkpoints(run, workdir) as checkpoints,
    ):
        restored = checkpoints.restore(runs.abstract_states(run), runs.warn)
        step = restored.step if restored else 0
        run = runs.stage_after(run, step)
        if step >= config.train.steps:
            # The run may have been killed after its last checkpoint and before its outputs.
            _write_outputs(run, restored.state, workdir)
            if processes.is_first():
                print(f"{workdir} is done: {step:,} steps. For more, raise --config.train.steps.")
            return
        kind = Report if processes.is_first() else Silent
        with (
            StopRequest() as stop,
            kind(workdir, step=step, total_steps=config.train.steps) as report,
        ):
            _Loop(run, workdir, lock, checkpoints, report, stop, restored).run_to_end()


class _Chunk(NamedTuple):
    """A chunk of steps that was handed to the devices and may still be running."""

    last_step: int
    steps: int
    metrics: dict[str, jax.Array]  # f32[capacity] each; the first `steps` values count
    waited: float  # seconds the host took for its inputs while another chunk ran; 0 if none did


class _Loop:
    """Trains one run from its newest checkpoint, or from step 0, to its end.

    Args:
      lock: of the workdir; checked before each checkpoint.
      run: with the task of the stage that the checkpoint is of, or the first one.
      restored: the checkpoint to go on from, or None for a new run. Its `state` is set to None.
    """

    def __init__(
        self,
        run: runs.Run,
        workdir: epath.Path,
        lock: Hold,
        checkpoints: Checkpoints,
        report: Report | Silent,
        stop: StopRequest,
        restored: Restored | None,
    ):
        config, task = run.config, run.task
        self.run, self.config, self.devices, self.workdir = run, config, run.devices, workdir
        self.lock, self.checkpoints, self.report, self.stop = lock, checkpoints, report, stop
        self.total = config.train.steps
        self.every = {
            "log": config.log.every,
            "sample": config.sample.every,
            "evaluate": config.evaluate.every,
            "checkpoint": config.checkpoint.every,
            "score": config.score.every if score_keys.watched(config) else 0,
        }

        # The data, as far as people have to know.
        if run.dataset:
            for line in run.dataset.lines():
                report.message(f"data: {line}")
            if task.evaluate or task.pictures:
                data.look_at(run.dataset.watched)

        # The state, and the meter's sums (`progress`).
        self.feed = open_feed(run, report.message)
        self.step, progress = 0, None
        if restored:
            self.step, progress = restored.step, restored.progress
            # `train` holds `restored` to the end. With `pmap`, whose `from_global` copies, the
            # state in it would keep its memory on the devices.
            state, restored.state = restored.state, None
        else:
            state = runs.first_state(run)
        self.saved_step = self.step  # of the newest checkpoint, or 0

        # Metrics, speed and profile.
        limits = {"stop": None, "skip": config.train.max_skipped}
        self.meter = Meter(progress, limits[config.train.on_nonfinite])
        traced = config.profile.steps if processes.is_first() else ()  # only it writes files
        self.profile = Profile(traced, self.step, self.total, workdir, report.message)

        # Facts about the run, {name: text}: said here, and shown in report.html.
        self.facts: dict[str, str] = {}
        self._tell(
            {
                "command": shlex.join(["python", *sys.argv]),
                "workdir": str(workdir),
                "devices": str(self.devices),
                "versions": f"genjax {genjax.__version__}, jax {jax.__version__}",
            }
        )
        self._begin(run, state)
        if run.dataset:  # said already, before anything was read
            self.facts["data"] = "; ".join(run.dataset.lines())
        if self.step:
            report.message(f"going on from step {self.step:,} of {self.total:,}")
        elif config.init_from:
            report.message(f"starting with the networks of {config.init_from}")
        report.message("compiling the first steps …")

    def _begin(self, run: runs.Run, state):
        """Begins with the global state of a stage of the run: makes its programs, tells of it."""
        task, say = run.task, self.report.message
        self.run, self.stage = run, Stage(run, self.feed, state)
        self.speed: Speed | None = None  # until the first line of metrics
        self.watch = Watch(run, self.workdir, say) if self.every["score"] else None
        self.saturation = Saturation(task.saturated, say) if task.saturated else None
        self._tell(self.stage.facts(state))

    def _go_on(self):
        """Begins the next stage with what the last step of this one left."""
        state = self.devices.to_global(self.stage.state)
        self._end(state)
        self._begin(*runs.next_stage(self.run, state))

    def _end(self, state):
        """Writes what a stage of the run comes to in its last global state."""
        for line in _write_outputs(self.run, state, self.workdir):
            self.report.message(line)

    def run_to_end(self):
        """Trains to the last step, or until asked to stop; writes outputs and the report's page."""
        try:
            self._train()
        except NonFiniteError as error:
            self.checkpoints.wait()  # one may still be being written
            last = self.checkpoints.latest()
            good = f"checkpoint {last} is good" if last else "no checkpoint was written before"
            self._write_page(f"failed: {error}")
            advice = _advice(self.config)
            raise NonFiniteError(f"{error}; {good}: {self.workdir}; {advice}") from None
        finally:
            self.profile.close()
            if self.feed:
                self.feed.close()
        self.checkpoints.wait()
        self._end(self.devices.to_global(self.stage.state))
        if self.step < self.total:
            status = (
                f"interrupted at step {self.step:,} of {self.total:,}: "
                "run the same command to go on"
            )
            self._write_page(status)
            raise Interrupted(f"{self.stop.requested or 'stopped with another process'}: {status}")
        status = f"done: {self.step:,} steps in {self.meter.seconds:,.0f} s"
        if best := self.checkpoints.best():
            metric = score_keys.best(self.config)[0]
            status += f"; best {metric} {best[1]:.5g} at step {best[0]:,}, kept"
        self._write_page(status)
        self.report.close(f"{status}: {self.workdir}/report.html")

    def _train(self):
        """Runs chunks of steps; between them, whatever is due."""
        running = None  # the chunk before this one, if its metrics have not been read yet
        stopping = False
        while self.step < self.total and not stopping:
            if self.step == self.stage.end:
                self._go_on()
            stage = self.stage
            # Start a chunk. It ends at the latest where something is due.
            n = min(self.config.train.steps_per_call, self._next_due() - self.step)
            self.profile.begin(self.step)
            began = time.monotonic()
            try:
                inputs = stage.steps.inputs(self.step, n)
            except UserError:  # the data cannot be read
                self._save_early(running)
                raise
            waited = time.monotonic() - began if running else 0.0
            # Asked before the chunk starts: devices work in order, so the answer need not wait.
            asked_to_stop = self.devices.any(bool(self.stop.requested))
            if not running:
                self._start_clock(inputs)
            stage.state, metrics = stage.steps(stage.state, inputs, self.step, n)

            # While it runs, write the metrics of the chunk before it.
            if running:
                self._write_line(running.last_step, self._fetch(running))
            self.step += n
            running = _Chunk(self.step, n, metrics, waited)

            # Where something is due, wait for the chunk.
            stopping = bool(asked_to_stop)
            if stopping or self._is_anything_due():
                values = self._fetch(running)
                running = None
                self.profile.end(
                    self.step, partial(stage.steps.text, stage.state, inputs, self.step, n)
                )
                self.run_due(values, stopping)

    def _start_clock(self, inputs):
        """Times steps from now on; the devices are idle, and the steps are compiled.

        The clock has to start before the chunk does: some calls return only when their steps are
        done, such as those of `pmap` on several CPU devices. A first call of no steps compiles.
        """
        self.stage.compile(inputs, self.step)
        jax.block_until_ready((self.stage.state, inputs))
        self.meter.resume_clock()

    def is_due(self, what: str, step: int) -> bool:
        """Whether "log", "sample", "evaluate" or "checkpoint" is due; at the last step, all are.

        At the last step of a stage, all but "checkpoint" are: its results are of no other one.
        """
        every = self.every[what]
        last = self.total if what == "checkpoint" else self.stage.end
        return step == last or (every > 0 and step % every == 0)

    def _is_anything_due(self) -> bool:
        """Whether the loop has to wait for this step. "log" alone can wait for the next chunk, but
        the first time, when it takes idle devices to measure the speed."""
        waited_for = ["sample", "evaluate", "score", "checkpoint", *([] if self.speed else ["log"])]
        due = any(self.is_due(what, self.step) for what in waited_for)
        return due or self.step in self.profile.bounds

    def _next_due(self) -> int:
        """The next step at which anything is due, "log" included."""
        following = (self.step // every * every + every for every in self.every.values() if every)
        bounds = (bound for bound in self.profile.bounds if bound > self.step)
        return min([self.stage.end, *following, *bounds])

    def run_due(self, values: dict[str, float], stopping: bool):
        """Evaluates, draws and saves, as far as each is due at this step.

        The checkpoint comes last, because a resumed run repeats nothing of the step it starts from.

        Args:
          values: the metrics for this step's line of metrics.jsonl; {} if no line is due.
          stopping: whether to save in any case.
        """
        state, step = self.devices.to_global(self.stage.state), self.step
        scores = {}
        if self.stage.evaluator and self.is_due("evaluate", step):
            try:
                scores = self.stage.evaluator(state)
            except UserError:  # held-out data cannot be read
                self._write_line(step, values)
                self._save_early(None)
                raise
            if best := self.config.checkpoint.best:
                known = dict.fromkeys([*scores, score_keys.watched(self.config)])
                config_lib.choose("checkpoint.best", best, known)
        if self.watch and self.is_due("score", step):
            scores |= self.watch(state, step)
        self._write_line(step, values | scores)
        if self.is_due("sample", step):
            for name, sheet in self.stage.sheets(state):
                self.report.picture(step, name, sheet)
        if stopping or self.is_due("checkpoint", step):
            self._save(state, scores)
        host.release_memory()  # or a run grows with its evaluations and checkpoints

    def _save(self, state, scores: dict[str, float]):
        """Saves the global state, with the scores of the evaluation at this step."""
        _check_finite(state, self.step)
        self.lock.check()
        self.report.flush()  # a run resumed from here does not write these lines again
        self.checkpoints.save(self.step, state, self.meter.saved(), scores)
        self.saved_step = self.step

    def _save_early(self, running: _Chunk | None):
        """Saves what was trained, before an error of the data ends the run.

        Not with several processes, of which the others know nothing of the error and would have to
        take part: they go on from the last checkpoint.
        """
        if self.step == self.saved_step or processes.count() > 1:
            return
        if running:
            self._write_line(running.last_step, self._fetch(running))
        self._save(self.devices.to_global(self.stage.state), {})

    def _fetch(self, chunk: _Chunk) -> dict[str, float]:
        """Waits for a chunk and gives its metrics to the meter.

        Returns the means and speeds for its line of metrics.jsonl; {} if no line is due.
        """
        metrics = {name: np.asarray(x)[: chunk.steps] for name, x in chunk.metrics.items()}
        self.meter.add(chunk.last_step, metrics, self.run.task.images_per_step)
        self.meter.wait(chunk.waited)
        newest = {name: metrics[name][-1] for name in as_computed(metrics)}
        self.report.progress(chunk.last_step, self.meter.images_per_second(), newest)
        if not self.is_due("log", chunk.last_step):
            return {}
        values = self.meter.take()
        if self.saturation:
            self.saturation(chunk.last_step, values)
        if not self.speed:
            self._describe_step()
        return values | self.speed.metrics(values["perf/images_per_sec"])

    def _write_line(self, step: int, values: dict[str, float]):
        if values:
            seen = step * self.run.task.images_per_step
            self.report.scalars(step, seen, self.meter.seconds, values)

    def _describe_step(self):
        """Finds what a step costs; this takes up to a second of idle devices, off the clock."""
        self.speed = Speed(self.run)
        facts = {"collectives": collectives.describe(self.run), "arithmetic": str(self.speed)}
        self._tell(facts)

    def _tell(self, facts: dict[str, str]):
        """Says what is new of these facts, and keeps it for the report's page."""
        for name, fact in facts.items():
            if self.facts.get(name) != fact:
                self.report.message(f"{name}: {fact}")
        self.facts |= facts

    def _write_page(self, status: str):
        if processes.is_first():
            write_page(self.workdir, title=self.workdir.name, status=status, facts=self.facts)


def _write_outputs(run: runs.Run, state, workdir: epath.Path) -> list[str]:
    """Writes the files that are a stage's results; returns what is to be said of them."""
    if not run.task.outputs:
        return []
    state = run.devices.to_host(state)
    if processes.is_first():
        for name, picture in run.task.outputs(state).items():
            if isinstance(picture, bytes):
                write_atomically(workdir / name, picture)
            else:
                images.write(workdir / name, np.asarray(picture))
    return run.task.remarks(state) if run.task.remarks else []


def _advice(config: ConfigDict) -> str:
    """What to try after a number that is not finite, for the end of a message."""
    if config.optimizer.get("name") == "lbfgs":  # no rate, and a step that would only fail again
        return "begin anew with smaller weights of the losses or with optimizer.name=adam"
    otherwise = {"stop": "train.on_nonfinite=skip", "skip": "a higher train.max_skipped"}
    rate = "go on with a lower optimizer.learning_rate"
    return f"{rate} or with {otherwise[config.train.on_nonfinite]}"


def _check_finite(state, step: int):
    """Checks the state before it is saved: a step's metrics are of the state before its update.

    Optimiser states are left out, because the bounds of a line search may be infinite.

    Raises:
      NonFiniteError: another array of the state after `step` has a NaN or an infinity.
    """
    if name := fingerprint.first_not_finite(state, but="optimizer"):
        raise NonFiniteError(f"{name} is not finite after step {step}")
