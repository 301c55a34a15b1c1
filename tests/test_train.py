"""The loop: golden numbers, one compilation a run, data by step, and what it does about NaN."""

import json
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

import main
from genjax import images, runs, train
from genjax.data import order
from genjax.errors import NonFiniteError, UserError
from genjax.report import meter
from genjax.steps import Steps
from genjax.task import Task
from tests.rounding import assert_within, is_nearly, lines_excess
from tests.tiny import ROOT, VARIANTS, command_line, kinds_first, metrics_of, state_of, tiny

GOLDEN = ROOT / "tests" / "golden"


# Slow are those whose parts others have, or `tests/gan` holds against PyTorch.
_OF_OTHERS = {"r1", "lsgan", "wgan", "ssgan", "cgan", "sagan", "biggan", "stylegan2", "r3gan"}


@pytest.mark.parametrize("name", kinds_first(VARIANTS, VARIANTS.keys() - _OF_OTHERS))
def test_golden_metrics(name, finished, bound, request):
    """Twelve steps of each task, whatever the processor and the version of JAX.

    Where a change of the numbers is intended, and only there, write them anew:
    `pytest tests/test_train.py --update-golden`, and say in the commit why they changed.
    """
    lines, path = metrics_of(finished(name)), GOLDEN / f"{name}.json"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(lines, indent=1) + "\n")
    golden = json.loads(path.read_text())
    if not is_nearly(lines, golden):  # as where the golden numbers were made
        assert_within(lines_excess(bound(name), lines, golden))


def test_every_chunk_is_one_executable(tmp_path, monkeypatch):
    """Chunks of 1, 2, 3, 4 and 7 steps compile the step once."""
    lengths, made = [], []
    make_chunk = train.runs.parallel.Jit.chunk

    def chunk(self, step_function, capacity, state):
        program = make_chunk(self, step_function, capacity, state)
        made.append(program)

        def run(state, arrays, inputs, first, n):
            lengths.append(n)
            return program(state, arrays, inputs, first, n)

        return run

    monkeypatch.setattr(train.runs.parallel.Jit, "chunk", chunk)
    events = {
        "train.steps": 30,
        "train.steps_per_call": 7,
        "log.every": 10,
        "sample.every": 0,
        "evaluate.every": 14,
        "checkpoint.every": 11,
    }
    train.train(tiny("vae", **events), epath.Path(tmp_path))
    assert lengths == [0, 7, 3, 1, 3, 6, 2, 6, 2]  # the first one compiles
    (program,) = made
    assert program._function._cache_size() == 1


@pytest.mark.parametrize("name", ["vae", pytest.param("dcgan", marks=pytest.mark.slow)])
def test_nothing_compiles_but_what_is_due_for_the_first_time(name, tmp_path, monkeypatch):
    """Whatever is left over of a chunk, and in a resumed run too."""
    at, compiled = [0], set()
    make_chunk = train.runs.parallel.Jit.chunk

    def chunk(self, step_function, capacity, state):
        program = make_chunk(self, step_function, capacity, state)

        def run(state, arrays, inputs, first, n):
            result = program(state, arrays, inputs, first, n)
            at[0] = first + n
            return result

        return run

    def listen(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.add(at[0])

    monkeypatch.setattr(train.runs.parallel.Jit, "chunk", chunk)
    jax.monitoring.register_event_duration_secs_listener(listen)
    every = {"log.every": 5, "sample.every": 6, "evaluate.every": 14, "checkpoint.every": 11}
    try:
        for first, last, due in ((0, 30, {6, 11, 14}), (30, 47, {33, 36, 42})):
            compiled.clear()
            changes = every | {"train.steps": last, "train.steps_per_call": 4}
            train.train(tiny(name, **changes), epath.Path(tmp_path))
            assert at == [last] and first in compiled <= due | {first}
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("returns_with_its_steps", [True, False])
def test_each_step_is_timed_where_a_call_returns_with_its_steps(
    returns_with_its_steps, tmp_path, monkeypatch
):
    """By a clock of our own: a step takes 2 s, compiling 500 s, a look at the state 90 s."""
    now, done, calls = [0.0], [0.0], []
    call, fetch, look = Steps.__call__, train._Loop._fetch, train._Loop.run_due

    def call_in_time(self, state, inputs, step, n):
        now[0] += 0 if calls else 500
        calls.append(n)
        done[0] = max(now[0], done[0]) + 2 * n
        if returns_with_its_steps:  # as those of pmap on several CPU devices
            now[0] = done[0]
        return call(self, state, inputs, step, n)

    def fetch_in_time(self, chunk):
        now[0] = max(now[0], done[0])
        return fetch(self, chunk)

    def look_in_time(self, *arguments):
        look(self, *arguments)
        now[0] += 90

    monkeypatch.setattr(meter, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Steps, "__call__", call_in_time)
    monkeypatch.setattr(train._Loop, "_fetch", fetch_in_time)
    monkeypatch.setattr(train._Loop, "run_due", look_in_time)
    train.train(tiny("vae"), epath.Path(tmp_path))
    lines = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert [line["perf/step_ms"] for line in lines] == [2000, 2000]


def test_a_line_is_the_mean_of_the_steps_since_the_line_before(tmp_path):
    """Also where nothing else is due, so that the line is written a chunk later."""
    never = {"sample.every": 0, "evaluate.every": 0, "checkpoint.every": 0, "train.steps": 9}
    lines = {}
    for every, per_call in ((1, 4), (3, 1), (3, 2)):
        workdir = epath.Path(tmp_path) / f"{every}-{per_call}"
        changes = never | {"log.every": every, "train.steps_per_call": per_call}
        train.train(tiny("vae", **changes), workdir)
        lines[every, per_call] = metrics_of(workdir)
    assert lines[3, 1] == lines[3, 2]
    single = [line["train/kl"] for line in lines[1, 4]]
    assert [line["step"] for line in lines[1, 4]] == list(range(1, 10))
    for line in lines[3, 1]:
        mean = np.mean(single[line["step"] - 3 : line["step"]])
        np.testing.assert_allclose(line["train/kl"], mean, rtol=1e-6)


def test_batches_are_a_function_of_seed_and_step(tmp_path, monkeypatch):
    """What reaches the task's step, whatever the chunks and wherever the run began."""
    split = runs.build(tiny("vae")).dataset.train
    seen = {}

    def recording(task: Task):
        def step(state, batch, key, axis_name):
            jax.debug.callback(
                lambda at, index, image: seen.update({int(at): (index, image)}),
                state.step,
                batch["index"],
                batch["image"],
            )
            return task.step(state, batch, key, axis_name)

        return task._replace(step=step)

    build = runs.build

    def build_recording(*arguments, **options):
        run = build(*arguments, **options)
        return run._replace(task=recording(run.task))

    monkeypatch.setattr(runs, "build", build_recording)
    for workdir, pieces in (("a", [(9, 4)]), ("b", [(4, 3), (9, 1)])):
        seen.clear()
        for steps, per_call in pieces:
            changes = {"train.steps": steps, "train.steps_per_call": per_call, "seed": 5}
            train.train(tiny("vae", **changes), epath.Path(tmp_path) / workdir)
        jax.effects_barrier()
        assert sorted(seen) == list(range(9))
        for step, (index, image) in seen.items():
            np.testing.assert_array_equal(index, order.indices(5, 4500, step * 8, 8))
            np.testing.assert_array_equal(image, [split[int(i)]["image"] for i in index])


def test_streamed_run_equals_a_resident_one(tmp_path, finished):
    train.train(tiny("vae", **{"data.placement": "stream"}), epath.Path(tmp_path))
    assert metrics_of(tmp_path) == metrics_of(finished("vae"))


def test_bfloat16_keeps_float32_parameters_and_learns_the_same(tmp_path, finished):
    train.train(tiny("cnn", precision="bfloat16"), epath.Path(tmp_path))
    for key, x in state_of(tmp_path).items():
        assert x.dtype in (np.float32, np.int32), key
    ours, theirs = metrics_of(tmp_path), metrics_of(finished("cnn"))
    assert ours != theirs
    np.testing.assert_allclose(ours[0]["train/loss"], theirs[0]["train/loss"], rtol=2e-2)


@pytest.fixture
def broken_from(monkeypatch):
    """`broken_from(step)`: the VAE's KL becomes infinite and the rest NaN at that step, counted
    from 1."""
    build = runs.build

    def arrange(broken: int):
        def break_from_there(task: Task):
            def step(state, batch, key, axis_name):
                state, metrics = task.step(state, batch, key, axis_name)
                bad = {name: math.inf if name == "kl" else math.nan for name in metrics}
                return state, {
                    name: jnp.where(state.step >= broken, bad[name], value)
                    for name, value in metrics.items()
                }

            return task._replace(step=step)

        def build_broken(*arguments, **options):
            run = build(*arguments, **options)
            return run._replace(task=break_from_there(run.task))

        monkeypatch.setattr(runs, "build", build_broken)

    with jax.debug_nans(False):
        yield arrange


def test_nan_stops_the_run_and_keeps_what_was_good(tmp_path, finished, broken_from, monkeypatch):
    broken_from(11)
    with pytest.raises(NonFiniteError) as error:
        train.train(tiny("vae"), epath.Path(tmp_path))
    message = str(error.value)
    assert "train/kl is inf at step 11" in message and "checkpoint 8 is good" in message
    assert sorted(p.name for p in (tmp_path / "checkpoints").glob("[0-9]*")) == ["4", "8"]
    assert all(map(math.isfinite, state_of(tmp_path)["optimizer/0/count"].ravel()))
    assert [line["step"] for line in metrics_of(tmp_path)] == [6]
    page = (tmp_path / "report.html").read_text()
    assert "failed: train/kl is inf at step 11" in page
    # The cause mended, the run goes on from there to the same end.
    monkeypatch.undo()
    train.train(tiny("vae"), epath.Path(tmp_path))
    assert metrics_of(tmp_path) == metrics_of(finished("vae"))


def test_nan_before_any_checkpoint(tmp_path, broken_from):
    broken_from(2)
    with pytest.raises(NonFiniteError, match="at step 2; no checkpoint was written before"):
        train.train(tiny("vae"), epath.Path(tmp_path))


def test_absurd_learning_rate_exits_1_on_one_line(tmp_path, capsys):
    with jax.debug_nans(False):
        code = main.main(command_line("vae", tmp_path, **{"optimizer.learning_rate": 1e30}))
    assert code == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: train/") and "at step 2" in last


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.steps_per_call", 0),
        ("train.batch_size", 0),
        ("sample.n", 0),
        ("checkpoint.keep", 0),
        ("seed", -1),
        ("log.every", -1),
        ("parallel", "'none'"),
        ("checkpoint.best_mode", "'most'"),
    ],
)
def test_impossible_values_are_refused(key, value, tmp_path, capsys):
    workdir = tmp_path / "run"
    assert main.main(command_line("vae", workdir, **{key: str(value).strip("'")})) == 2
    error = capsys.readouterr().err
    assert f"{key}={value}" in error and len(error.splitlines()) == 1
    assert not workdir.exists()


def test_whole_numbers_of_parameters_are_reported(tmp_path, capsys):
    never = {"log.every": 0, "sample.every": 0, "evaluate.every": 0, "checkpoint.every": 0}
    train.train(tiny("vae-gaussian", **never, **{"train.steps": 1}), epath.Path(tmp_path))
    assert "decoder: 13,408 parameters" in capsys.readouterr().err
    (line,) = metrics_of(tmp_path)  # the last step does everything all the same
    assert line["step"] == 1 and {"train/kl", "eval/kl"} <= line.keys()
    assert (tmp_path / "samples" / "00000001.png").exists()


def test_held_out_files_that_cannot_be_read_stop_a_run_before_its_first_step(tmp_path, capsys):
    """They surfaced at the first evaluation, after all steps before it."""
    for name in ("train/1.png", "train/2.png", "Val/1.png", "Val/2.png"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write(path, np.zeros((4, 4, 1), np.uint8))
    (tmp_path / "set" / "Val" / "2.png").write_bytes(path.read_bytes()[:40])
    changes = {"data.name": f"folder:{tmp_path}/set", "data.size": 28, "data.channels": 1}
    config = tiny("vae", **changes, **{"data.max_corrupt": 0})
    with pytest.raises(UserError, match=r"1 of 2 images cannot be read .*: 2\.png; .*mend"):
        train.train(config, epath.Path(tmp_path / "run"))
    error = capsys.readouterr().err
    assert "data: train on 2 pictures without classes, 2 are held out" in error
    assert "compiling" not in error and not metrics_of(tmp_path / "run")


@pytest.mark.parametrize("name", ["vae", pytest.param("cnn", marks=pytest.mark.slow)])
def test_nothing_held_out(name, tmp_path, capsys):
    """Such a run trains and samples; there is nothing to score, nor to draw pictures of."""
    rng, workdir = np.random.default_rng(0), epath.Path(tmp_path / "run")
    few = rng.integers(0, 256, (20, 28, 28), np.uint8)
    np.savez(tmp_path / "few.npz", x_train=few, y_train=np.arange(20) % 3)
    changes = {"data.name": f"npz:{tmp_path}/few.npz", "data.test_fraction": 0.0}
    train.train(tiny(name, **changes), workdir)
    assert not any(metric.startswith("eval/") for line in metrics_of(workdir) for metric in line)
    assert main.main([*command_line(name, workdir, **changes), "--mode=evaluate"]) == 2
    assert "nothing is held out" in capsys.readouterr().err
