"""The training loop, for every task and any number of devices; it resumes from checkpoints."""

import dataclasses
import shlex
import sys
import time
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from clu import parameter_overview
from etils import epath
from ml_collections import ConfigDict

import genjax
from genjax import config as config_lib
from genjax import data, images, rng, runs, score_keys
from genjax.devices import StopRequest, host, processes
from genjax.errors import Interrupted, NonFiniteError, UserError
from genjax.evaluate import Evaluator
from genjax.report import Meter, Report, Silent, as_computed, write_page
from genjax.scores.watch import Saturation, Watch
from genjax.speed import Profile, Speed, collectives
from genjax.steps import Steps, open_feed
from genjax.workdir import Checkpoints, Hold, Restored, enter_workdir, fingerprint

LEAST_SHOWN = 16  # held-out examples for `Task.pictures`; as many as `sample.n` if that is more


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
        restored = checkpoints.restore(runs.abstract_state(run), runs.warn)
        step = restored.step if restored else 0
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
        config, devices, task = run.config, run.devices, run.task
        self.run, self.config, self.devices, self.workdir = run, config, devices, workdir
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
        self.speed: Speed | None = None  # until the first line of metrics
        traced = config.profile.steps if processes.is_first() else ()  # only it writes files
        self.profile = Profile(traced, self.step, self.total, workdir, report.message)

        # Scores and pictures of the state, as far as the task has them; of held-out examples, if
        # there is a data set.
        held_out = not run.dataset or len(run.dataset.watched)
        self.evaluator = Evaluator(run) if task.evaluate and held_out else None
        self.sampler = self.pictures = None
        if task.sample:
            self.sampler = runs.sampler_of_grids(run)
        if task.pictures and held_out:
            count = max(LEAST_SHOWN, config.sample.n)
            self.test_batch = data.examples(run.dataset.watched, count)
            self.pictures = devices.on_state(task.pictures)

        self.watch = Watch(run, workdir, report.message) if self.every["score"] else None
        self.saturation = Saturation(task.saturated, report.message) if task.saturated else None

        self.facts = self._describe(state)
        self.state = devices.from_global(state)
        self.steps, self._compiled = Steps(run, self.feed, self.state), False

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
        for line in _write_outputs(self.run, self.devices.to_global(self.state), self.workdir):
            self.report.message(line)
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
            # Start a chunk. It ends at the latest where something is due.
            n = min(self.config.train.steps_per_call, self._next_due() - self.step)
            self.profile.begin(self.step)
            began = time.monotonic()
            try:
                inputs = self.steps.inputs(self.step, n)
            except UserError:  # the data cannot be read
                self._save_early(running)
                raise
            waited = time.monotonic() - began if running else 0.0
            # Asked before the chunk starts: devices work in order, so the answer need not wait.
            asked_to_stop = self.devices.any(bool(self.stop.requested))
            if not running:
                self._start_clock(inputs)
            self.state, metrics = self.steps(self.state, inputs, self.step, n)

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
                compiled = partial(self.steps.text, self.state, inputs, self.step, n)
                self.profile.end(self.step, compiled)
                self.run_due(values, stopping)

    def _start_clock(self, inputs):
        """Times steps from now on; the devices are idle, and the steps are compiled.

        The clock has to start before the chunk does: some calls return only when their steps are
        done, such as those of `pmap` on several CPU devices. A first call of no steps compiles.
        """
        if not self._compiled:
            self.state, _ = self.steps(self.state, inputs, self.step, 0)
            self._compiled = True
        jax.block_until_ready((self.state, inputs))
        self.meter.resume_clock()

    def is_due(self, what: str, step: int) -> bool:
        """Whether "log", "sample", "evaluate" or "checkpoint" is due; at the last step, all are."""
        every = self.every[what]
        return step == self.total or (every > 0 and step % every == 0)

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
        return min([self.total, *following, *bounds])

    def run_due(self, values: dict[str, float], stopping: bool):
        """Evaluates, draws and saves, as far as each is due at this step.

        The checkpoint comes last, because a resumed run repeats nothing of the step it starts from.

        Args:
          values: the metrics for this step's line of metrics.jsonl; {} if no line is due.
          stopping: whether to save in any case.
        """
        state, step = self.devices.to_global(self.state), self.step
        scores = {}
        if self.evaluator and self.is_due("evaluate", step):
            try:
                scores = self.evaluator(state)
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
            self._draw(state)
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
        self._save(self.devices.to_global(self.state), {})

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

    def _draw(self, state):
        if self.sampler:
            sheet = runs.grid(self.sampler(state), self.sampler.classes)
            self.report.picture(self.step, "", sheet)
        if self.pictures:
            key = rng.stream(self.config.sample.seed, rng.Stream.SAMPLE)
            for name, rows in self.pictures(state, self.test_batch, key).items():
                self.report.picture(self.step, name, images.grid(np.asarray(rows)))

    def _describe(self, state) -> dict[str, str]:
        """Facts about the run, {name: text}; printed at the start, and shown in report.html."""
        facts = {
            "command": shlex.join(["python", *sys.argv]),
            "workdir": str(self.workdir),
            "devices": str(self.devices),
            "versions": f"genjax {genjax.__version__}, jax {jax.__version__}",
            "state": f"{self.devices.bytes_per_device(state) / 1e6:.1f} MB on each device",
            **self.run.task.notes,
        }
        for field in dataclasses.fields(state):
            part = getattr(state, field.name)
            if isinstance(part, dict) and "params" in part:
                count = int(parameter_overview.count_parameters(part["params"]))
                facts[field.name] = f"{count:,} parameters"
        self._tell(facts)
        if self.run.dataset:  # printed already, before anything was read
            facts["data"] = "; ".join(self.run.dataset.lines())
        if self.step:
            self.report.message(f"going on from step {self.step:,} of {self.total:,}")
        elif self.config.init_from:
            self.report.message(f"starting with the networks of {self.config.init_from}")
        self.report.message("compiling the first steps …")
        return facts

    def _describe_step(self):
        """Finds what a step costs; this takes up to a second of idle devices, off the clock."""
        self.speed = Speed(self.run)
        facts = {"collectives": collectives.describe(self.run), "arithmetic": str(self.speed)}
        self._tell(facts)
        self.facts |= facts

    def _tell(self, facts: dict[str, str]):
        for name, fact in facts.items():
            self.report.message(f"{name}: {fact}")

    def _write_page(self, status: str):
        if processes.is_first():
            write_page(self.workdir, title=self.workdir.name, status=status, facts=self.facts)


def _write_outputs(run: runs.Run, state, workdir: epath.Path) -> list[str]:
    """Writes the pictures that are the run's results; returns what is to be said of them."""
    if not run.task.outputs:
        return []
    state = run.devices.to_host(state)
    if processes.is_first():
        for name, picture in run.task.outputs(state).items():
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
