"""Runs in which numbers go bad at chosen steps: they stop, or skip those steps and go on."""

import itertools
import math
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

import main
from genjax import rng, runs, steps, train
from genjax.devices import parallel
from genjax.errors import Interrupted
from genjax.report import meter
from genjax.task import Task
from tests.rounding import assert_within, lines_excess
from tests.tiny import (
    STEPS,
    assert_same_state,
    command_line,
    kinds_first,
    metrics_of,
    state_of,
    tiny,
)

# Which metric is named for each, and what goes bad. An infinite target makes a loss infinite.
FAMILIES = {
    "dcgan": ("d_loss", math.nan),
    "vae": ("kl", math.nan),
    "cnn": ("loss", math.nan),
    "style-lbfgs": ("loss", math.nan),
    "style-adam": ("loss", math.inf),
}
SKIP = {"train.on_nonfinite": "skip", "train.max_skipped": 2}
SLOW = [pytest.mark.slow]
BAD = (3, 8, 9)  # counted from 1, as messages do
MODES = {"jit": parallel.Jit, "pmap": parallel.Pmap}
CASES = [
    pytest.param(*case, marks=[] if case in {("vae", "pmap"), ("dcgan", "jit")} else SLOW)
    for case in itertools.product(FAMILIES, MODES)
]


@pytest.fixture
def poison(monkeypatch):
    """`poison(*steps)`: at these steps, counted from 1, every task computes with bad numbers."""
    build = runs.build
    with jax.debug_nans(False):
        yield lambda *steps, value=math.nan: monkeypatch.setattr(
            runs,
            "build",
            lambda *arguments, **options: (run := build(*arguments, **options))._replace(
                task=_poisoned(run.task, run.config.seed, steps, value)
            ),
        )


def _poisoned(task: Task, seed: int, steps, value: float) -> Task:
    """The same task, all of whose numbers are `value` when a step begins that is one of `steps`.

    Where the picture is the parameter, its target is: only the objective can tell the optimiser.
    """
    stream = rng.stream(seed, rng.Stream.STEP)
    keys = jnp.stack([jax.random.fold_in(stream, step - 1) for step in steps])

    def step(state, batch, key, axis_name):
        bad = (jax.random.key_data(keys) == jax.random.key_data(key)[None]).all(axis=1).any()

        def spoil(x):
            return jnp.where(bad, value, x) if jnp.issubdtype(x.dtype, jnp.floating) else x

        if task.state_is_batch:
            target = jax.tree.map(spoil, batch["style_target"])
            return task.step(state, batch | {"style_target": target}, key, axis_name)
        return task.step(jax.tree.map(spoil, state), batch, key, axis_name)

    return task._replace(step=step)


def _train(workdir, name: str, **overrides) -> epath.Path:
    workdir = epath.Path(workdir)
    train.train(tiny(name, **overrides), workdir)
    return workdir


@pytest.mark.parametrize("name", kinds_first(FAMILIES))
def test_the_first_bad_number_stops_the_run(name, tmp_path, poison, capsys):
    metric, value = FAMILIES[name]
    poison(11, value=value)
    assert main.main(command_line(name, tmp_path)) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    cause = f"train/{metric} is {value} at step 11"
    advice = "go on with a lower optimizer.learning_rate or with train.on_nonfinite=skip"
    if name == "style-lbfgs":
        advice = "begin anew with smaller weights of the losses or with optimizer.name=adam"
    assert error == f"error: {cause}; checkpoint 8 is good: {tmp_path}; {advice}"
    trained = runs.open_trained(tiny(name), epath.Path(tmp_path))
    assert trained.step == 8
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(trained.state))


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_a_skipped_step_is_as_if_it_had_not_been(name, mode, tmp_path, poison, monkeypatch):
    """Both runs have the same program, of one step a call; in one of them bad steps are not run."""
    _, value = FAMILIES[name]
    poison(*BAD, value=value)
    options = SKIP | {"parallel": mode, "train.steps_per_call": 1}
    skipped = _train(tmp_path / "skipped", name, **options)
    assert [line["train/skipped"] for line in metrics_of(skipped)] == [1, 2]

    devices = MODES[mode]
    compile_chunk = devices.chunk

    def chunk(*arguments):
        program, metrics = compile_chunk(*arguments), {}

        def call(state, arrays, inputs, first, n):
            if first + 1 in BAD:
                return state, metrics
            state, new = program(state, arrays, inputs, first, n)
            metrics.update(new)
            return state, new

        return call

    monkeypatch.setattr(devices, "chunk", chunk)
    without = _train(tmp_path / "without", name, **options)
    assert [line["train/skipped"] for line in metrics_of(without)] == [0, 0]
    assert_same_state(skipped, without)
    assert all(np.isfinite(x).all() for x in state_of(skipped).values())


def test_skipping_changes_nothing_where_all_is_well(tmp_path, finished, bound):
    lines = metrics_of(_train(tmp_path, "vae", **SKIP))
    assert [line.pop("train/skipped") for line in lines] == [0, 0]
    assert_within(lines_excess(bound("vae"), lines, metrics_of(finished("vae"))))


@pytest.mark.slow
def test_an_interrupted_run_with_skips_ends_as_one_that_was_not(tmp_path, poison, monkeypatch):
    """Stopped at step 8, between two lines and in the middle of the row of skipped steps."""
    poison(*BAD)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    _train(whole, "vae", **SKIP)
    add = meter.Meter.add

    def add_and_ask(self, last_step, *arguments):
        add(self, last_step, *arguments)
        if last_step == 6:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(meter.Meter, "add", add_and_ask)
        with pytest.raises(Interrupted, match="at step 8"):
            _train(cut, "vae", **SKIP)
    _train(cut, "vae", **SKIP)
    assert_same_state(cut, whole)
    assert metrics_of(cut) == metrics_of(whole)
    assert [line["train/skipped"] for line in metrics_of(cut)] == [1, 2]


def test_a_line_of_which_every_step_was_skipped(tmp_path, poison):
    poison(*range(7, STEPS + 1))
    workdir = _train(tmp_path, "vae", **SKIP | {"train.max_skipped": 6})
    first, last = metrics_of(workdir)
    assert first["train/skipped"] == 0 and first["train/kl"] > 0
    assert last["train/skipped"] == 6
    assert [name for name in last if name.startswith("train/")] == ["train/skipped"]
    # The state is that of step 6.
    assert {k: v for k, v in last.items() if "eval" in k} == {
        k: v for k, v in first.items() if "eval" in k
    }
    assert "done: 12 steps" in (workdir / "report.html").read_text()


def test_too_many_in_a_row_stop_the_run(tmp_path, poison, capsys):
    poison(5, 6, 7)
    assert main.main(command_line("vae", tmp_path, **SKIP)) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    cause = "train/kl is nan at step 7, and train.max_skipped=2 steps before it were skipped"
    advice = "go on with a lower optimizer.learning_rate or with a higher train.max_skipped"
    assert error == f"error: {cause}; checkpoint 4 is good: {tmp_path}; {advice}"


def test_a_state_that_its_own_step_spoilt_is_not_saved(tmp_path, capsys):
    """The metrics of a step are of the state before it."""
    values = {"optimizer.learning_rate": 1e39, "checkpoint.every": 1}
    with jax.debug_nans(False):
        assert main.main(command_line("vae", tmp_path, **values)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "is not finite after step 1; no checkpoint was written before" in last
    assert not list((tmp_path / "checkpoints").glob("[0-9]*"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.on_nonfinite", "skp", "did you mean 'skip'? (known: stop, skip)"),
        ("train.max_skipped", -1, "train.max_skipped=-1 has to be at least 0"),
    ],
)
def test_impossible_values_are_refused(key, value, message, tmp_path, capsys):
    assert main.main(command_line("vae", tmp_path / "run", **{key: value})) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "advice",
    [("train.on_nonfinite", "skip"), ("optimizer.learning_rate", 1e-4)],
    ids=lambda pair: pair[0],
)
def test_a_run_goes_on_with_what_the_message_advises(advice, tmp_path, poison, capsys):
    poison(11)
    assert main.main(command_line("vae", tmp_path)) == 1
    if advice[0] != "train.on_nonfinite":
        poison(99)  # a lower rate avoids it
    assert main.main(command_line("vae", tmp_path, **dict([advice]))) == 0
    assert f"from step 8 on: {advice[0]}" in capsys.readouterr().err


@pytest.mark.parametrize(("bad", "skipped"), [((), False), ((1,), True), ((0, 1), True)])
def test_devices_decide_alike(bad, skipped):
    """Two mapped devices of which some see a NaN: all keep what they had, or none does."""
    run_step = _counting("skip")
    share = np.array([np.nan if device in bad else 3.0 for device in range(2)], np.float32)
    state = {"x": jnp.float32(1), "n": jnp.int32(5), "key": jax.random.key(7)}
    with jax.debug_nans(False):
        new, metrics = jax.vmap(
            lambda by: run_step(state, {"data": {}, "constants": {"by": by}}, {}, 0, "devices"),
            axis_name="devices",
        )(share)
    np.testing.assert_array_equal(new["x"], [1, 1] if skipped else [4, 4])
    np.testing.assert_array_equal(new["n"], [5, 5] if skipped else [6, 6])
    expected = state["key"] if skipped else jax.random.fold_in(state["key"], 1)
    assert (jax.random.key_data(new["key"]) == jax.random.key_data(expected)[None]).all()
    assert jnp.isnan(metrics["by"]).all() == skipped


def test_a_run_that_stops_pays_nothing():
    """Its step is the task's own: nothing in it asks for what is finite."""
    arguments = (
        {"x": jnp.float32(1), "n": jnp.int32(5), "key": jax.random.key(7)},
        {"data": {}, "constants": {"by": jnp.float32(1)}},
    )

    def program(on_nonfinite):
        return str(jax.make_jaxpr(lambda *x: _counting(on_nonfinite)(*x, {}, 0, None))(*arguments))

    assert "is_finite" in program("skip") and "is_finite" not in program("stop")


def _counting(on_nonfinite: str):
    """The step function of a task with a number, a count and a key, and no data set."""

    def step(state, batch, key, axis_name):
        updated = {
            "x": state["x"] + batch["by"],
            "n": state["n"] + 1,
            "key": jax.random.fold_in(state["key"], 1),
        }
        return updated, {"by": batch["by"], "fine": jnp.float32(0)}

    config = tiny("style-adam", **{"train.on_nonfinite": on_nonfinite})
    return steps.step_function(Task(init=None, step=step, images_per_step=1), config)


def test_the_norm_of_several_pictures_is_the_mean_of_theirs(tmp_path):
    pictures = {"content": "coffee,astronaut", "content_fit": "crop"}
    workdir = _train(tmp_path, "style-adam", **pictures, **{"train.steps": 1})
    gradient = state_of(workdir)["at/gradient"]
    norms = [np.linalg.norm(each.ravel()) for each in gradient]
    (line,) = metrics_of(workdir)
    np.testing.assert_allclose(line["train/grad_norm"], np.mean(norms), rtol=1e-5)
