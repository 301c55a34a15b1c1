"""What a step is said to average is what its compiled programs do; this file also compiles them.

python tests/speed/test_collectives.py FOLDER NAME [NAME ...]: compiles tiny steps for all the
devices that there are, and leaves the programs in FOLDER/NAME-MODE.
"""

import math
import re
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest

from genjax import rng, runs
from genjax.speed import collectives
from genjax.speed.collectives import Averaged, sent, size_text
from genjax.steps import step_function
from tests.launch import on_eight_devices
from tests.tiny import ROOT, kinds_first, tiny

NAMES = ("vae", "cnn", "dcgan")
MODES = ("jit", "pmap", "fsdp")
_BYTES = {"f32": 4}


def _state(run):
    key = rng.stream(0, rng.Stream.INIT)
    return jax.eval_shape(run.task.init, key, run.task.constants)


def _floats(tree, name: str = "") -> int:
    """Numbers in the arrays of a tree, or in those whose last key is `name`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return sum(math.prod(x.shape) for path, x in leaves if not name or path[-1].key == name)


def program_text(name: str, mode: str) -> str:
    """What XLA makes of the program of the tiny run `name`."""
    run = runs.build(tiny(name, parallel=mode))
    devices, batch, capacity = run.devices, run.task.images_per_step, 2
    state = devices.init(run.task.init, rng.stream(0, rng.Stream.INIT), run.task.constants)
    program = devices.chunk(step_function(run.task, run.config), capacity, state)
    images = np.zeros((batch, *run.dataset.shape), np.uint8)
    arrays = {"data": {"image": images, "label": np.zeros(batch, np.int32)}, "constants": {}}
    inputs = {"index": np.zeros((capacity, batch), np.int32)}
    placed = devices.place_arrays(arrays), devices.place_inputs(inputs)
    lower = program.lower if mode != "pmap" else jax.jit(program).lower
    lowered = lower(devices.from_global(state), *placed, 0, 1)
    return lowered.compile().as_text()


def _moved(text: str, operation: str) -> int:
    """Bytes of all results of a collective in the body of a program's loop, which is one step."""
    lines = re.findall(rf"^.* = .* {operation}(?:-start)?\(.*$", text, re.MULTILINE)
    results = [re.search(f"= (.*) {operation}", x)[1] for x in lines if "while/body" in x]
    arrays = [each for result in results for each in re.findall(r"(\w+)\[([\d,]*)\]", result)]
    return sum(
        _BYTES[kind] * math.prod(map(int, filter(None, shape.split(",")))) for kind, shape in arrays
    )


@pytest.fixture(scope="module")
def compiled(request, shared):
    """`compiled(name, mode)`: bytes that the program for eight devices averages a step.

    With a third argument, those that another collective moves.
    """
    selected = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and "compiled" in item.fixturenames
    }

    def make(folder):
        on_eight_devices(__file__, folder, *sorted(selected))

    folder = shared("collectives", make)
    return lambda name, mode, operation="all-reduce": _moved(
        (folder / f"{name}-{mode}").read_text(), operation
    )


@pytest.mark.parametrize("name", kinds_first(NAMES, ("vae",)))
def test_pmap_averages_what_is_said_to_the_byte(name, compiled):
    assert compiled(name, "pmap") == collectives.averaged(runs.build(tiny(name))).total


@pytest.mark.parametrize("name", kinds_first(NAMES, ("vae",)))
def test_jit_averages_the_same_but_for_what_its_compiler_does(name, compiled):
    run = runs.build(tiny(name))
    what, state = collectives.averaged(run), _state(run)
    expected = what.gradients + what.statistics
    # A scale's gradient and that of the variance are one sum; so are a bias's and the mean's.
    if name == "cnn":
        expected -= 8 * _floats(state.network["batch_stats"], "mean")
    twice = 0
    if name == "dcgan":
        expected -= 8 * _floats(state.generator["batch_stats"], "mean")
        # Gradients for the real and for the generated batch are added before they are averaged, or
        # averaged one by one: it depends on what the compiler makes of the convolutions.
        twice = 4 * _floats(state.discriminator["params"])
    # Of the metrics, some are of what was averaged already.
    rest = compiled(name, "jit") - expected
    assert 0 <= rest <= what.metrics or twice <= rest <= twice + what.metrics


@pytest.mark.parametrize("name", kinds_first(NAMES, ("vae",)))
def test_fsdp_gathers_parameters_and_moves_no_activations(name, compiled):
    """Beside what `jit` averages, the divided parameters: once, or more often where used again."""
    run = runs.build(tiny(name))
    what, state = collectives.averaged(run), _state(run)
    assert compiled(name, "fsdp") == compiled(name, "jit")
    gathered = compiled(name, "fsdp", "all-gather")
    assert 0 < gathered <= (1 if name == "vae" else 2) * what.gradients
    if name == "vae":  # of which the devices divide every array
        assert gathered == 4 * sum(_floats(n["params"]) for n in (state.encoder, state.decoder))
    for other in ("all-to-all", "collective-permute"):
        assert compiled(name, "fsdp", other) == 0


@pytest.mark.parametrize(
    ("name", "networks", "applied"),
    [
        ("vae", ("encoder", "decoder"), {}),
        ("vae-conv", ("encoder", "decoder"), {"encoder": 1, "decoder": 1}),
        ("cnn", ("network",), {"network": 1}),
        ("dcgan", ("generator", "discriminator"), {"generator": 1, "discriminator": 3}),
    ],
)
def test_the_averages_follow_from_the_parameter_count(name, networks, applied):
    """4 bytes a parameter; for each application of BatchNorm, 2 numbers a feature each way."""
    larger = {"data.size": 16} if name == "dcgan" else {}  # its discriminator then has BatchNorm
    run = runs.build(tiny(name, **larger))
    what, state = collectives.averaged(run), _state(run)
    assert what.gradients == 4 * sum(_floats(getattr(state, n)["params"]) for n in networks)
    assert what.statistics == 4 * sum(
        times * 4 * _floats(getattr(state, n)["batch_stats"], "mean")
        for n, times in applied.items()
    )


def test_the_batch_makes_no_difference():
    small, large = (runs.build(tiny("cnn", **{"train.batch_size": n})) for n in (8, 64))
    assert collectives.averaged(small) == collectives.averaged(large)


def test_pictures_that_are_parameters_share_only_metrics():
    what = collectives.averaged(runs.build(tiny("style-adam")))
    assert what.gradients == what.statistics == 0 and 0 < what.metrics < 100


@pytest.mark.parametrize(
    ("mode", "devices", "expected"),
    [("jit", 1, 0), ("jit", 2, 112), ("pmap", 8, 196), ("fsdp", 1, 0), ("fsdp", 2, 162)],
)
def test_what_a_device_sends(mode, devices, expected):
    assert sent(Averaged(gradients=100, statistics=8, metrics=4), mode, devices) == expected


def _in_a_loop(kind):
    """A jaxpr that averages f32[3] in a loop: three times, or until something happens."""

    def scan(x):
        return jax.lax.scan(lambda c, _: (jax.lax.pmean(c, "data"), None), x, length=3)[0]

    def until(x):
        return jax.lax.while_loop(lambda c: c[0] < 1, lambda c: jax.lax.pmean(c, "data"), x)

    def other(x):
        return jax.lax.all_gather(x, "data")

    function = {"scan": scan, "while": until, "all_gather": other}[kind]
    return jax.make_jaxpr(function, axis_env=[("data", 2)])(np.zeros(3, np.float32))


def test_averages_in_loops_count_each_time():
    assert sum(count for count, _ in collectives._averages(_in_a_loop("scan"), "")) == 36


def test_averages_in_a_loop_of_unknown_length_count_once_and_are_marked():
    ((count, scope),) = collectives._averages(_in_a_loop("while"), "")
    assert count == 12 and collectives._LOOP in scope


def test_what_cannot_be_counted_is_not_passed_over():
    with pytest.raises(NotImplementedError):
        list(collectives._averages(_in_a_loop("all_gather"), ""))


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (2145536, "2.15 MB"), (4e9, "4 GB")]
)
def test_sizes_for_people(count, text):
    assert size_text(count) == text


def test_a_line_for_the_report():
    run = runs.build(tiny("vae"))
    assert collectives.describe(run) == "nothing: one device"
    size = size_text(sent(collectives.averaged(run), "jit", 4))
    run = run._replace(devices=types.SimpleNamespace(device_count=4))
    assert collectives.describe(run) == f"each of 4 devices sends {size} a step"


def _print(capsys, *arguments) -> tuple[int, str, str]:
    code = collectives.main(["collectives", *arguments])
    return code, *capsys.readouterr()


@pytest.mark.slow
def test_the_tables_in_the_docs_are_what_is_printed(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    docs = (ROOT / "docs" / "cloud.md").read_text()
    commands = re.findall(r"^python -m genjax.speed.collectives (--.*)$", docs, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        code, output, _ = _print(capsys, *command.split())
        assert code == 0
        assert output.splitlines()[0] in docs
    assert _print(capsys, *commands[0].split())[1] in docs


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--config=configs/dgan.py"], "does not exist; did you mean configs/"),
        (["--config=configs/dcgan.py", "--devices=8,none"], "--devices=8,none has to be numbers"),
        (["--config=configs/dcgan.py", "--devices=0"], "--devices=0 has to be numbers"),
        (["--config=configs/dcgan.py", "--steps=5"], "'--steps=5' is not understood"),
    ],
)
def test_mistakes_are_one_line(arguments, line, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, output, errors = _print(capsys, *arguments)
    assert code == 2 and not output
    assert line in errors and errors.count("\n") == 1


if __name__ == "__main__":
    for each in sys.argv[2:]:
        for way in MODES:
            Path(sys.argv[1], f"{each}-{way}").write_text(program_text(each, way))
