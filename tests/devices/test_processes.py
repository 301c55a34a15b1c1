"""Several processes equal one, stop and go on together, and none waits for one that is gone."""

import json
import shutil
import signal
import socket

import numpy as np
import PIL.Image
import pytest
from etils import epath

import main
from genjax.devices import processes
from genjax.train import train
from tests.eight_devices import overrides
from tests.launch import PATIENCE, finish, free_port, launched, run
from tests.many_processes import OTHERS, on_pictures
from tests.rounding import assert_close
from tests.tiny import (
    ROOT,
    STATES,
    STEPS,
    assert_same_state,
    command_line,
    metrics_of,
    tiny,
)

DEFAULT = ("vae-jit", "dcgan-pmap", "style-adam-jit", *OTHERS)  # of 2 processes x 2 devices
# Each task in both modes, and of its further networks most in the one that test_devices.py has not.
# What compiles longest is compared there alone. Four processes compile everything four times: fewer
# runs for them.
MODES = {name: ("jit", "pmap") for name in STATES} | {
    "sngan": ("jit",),
    "wgan-gp": ("pmap",),
    "dcgan-memory": ("pmap",),
    "biggan": ("jit",),  # spectral norms of a generator
    "stylegan2": (),
    "r3gan": (),
    "vae-conv": ("jit",),
    "vae-gaussian": ("pmap",),
    "vamp": ("pmap",),
    "iwae-iaf": ("jit",),
    "factor-vae": ("pmap",),
    "vqgan": (),
    "vdvae": (),
    "cnn-airbench": ("jit",),
    "fast-style": ("pmap",),
    "fast-video": (),  # the task of fast-style
    "video": (),  # one picture, which several processes cannot share
    "adain": (),  # by step 6 the norm of its gradient is two bounds off, its losses within one
}
EVERY = [(f"{name}-{mode}", 2, 2) for name in STATES for mode in MODES[name]]
EVERY += [
    (run, 4, 1)
    for run in ("dcgan-jit", "vae-pmap", "cnn-jit", "style-lbfgs-jit", "style-adam-pmap")
]
ENDLESS = {"train.steps": 1_000_000}
QUICK = "processes.SILENCE_SECONDS = 5; "


@pytest.fixture(scope="module")
def pictures(shared):
    """A folder of small pictures."""

    def draw(folder):
        numbers = np.random.default_rng(0)
        for i in range(40):
            pixels = numbers.integers(0, 256, (9, 9), np.uint8)
            PIL.Image.fromarray(pixels).save(folder / f"{i:02}.png")

    return shared("pictures", draw)


@pytest.fixture(scope="module")
def many(shared, pictures):
    """`many(count, devices, runs)`: the folder of what `many_processes.py` made of the runs."""

    def make(folder, count: int, devices: int, runs: tuple[str, ...]):
        program, place = ROOT / "tests" / "many_processes.py", f"127.0.0.1:{free_port()}"
        commands = [[program, folder, pictures, place, count, i, *runs] for i in range(count)]
        with launched(commands, folder / "processes", devices) as started:
            for process in started:
                assert process.wait(4 * PATIENCE) == 0, process.errors()
        (folder / "said").write_text("\n".join(process.output() for process in started[1:]))

    def made(*arguments):
        count, devices, runs = arguments
        name = f"{count}x{devices}-{'default' if runs == DEFAULT else len(runs)}"
        folder = epath.Path(shared(name, lambda folder: make(folder, *arguments)))
        failed = list(folder.glob("*.failed-*"))
        assert not failed, failed[0].read_text()
        return folder

    return made


@pytest.mark.parametrize("made", DEFAULT[:3])
def test_two_processes_equal_one(made, many, finished, bound):
    _assert_equal(made, many(2, 2, DEFAULT), finished, bound)


def _assert_equal(made: str, folder, finished, bound):
    name = made.rpartition("-")[0]
    same = overrides(name)
    assert_close(bound(name, **same), folder / made, finished(name, **same))


@pytest.mark.slow
@pytest.mark.parametrize("made, count, devices", EVERY)
def test_every_task_in_either_mode(made, count, devices, many, finished, bound, request):
    """Those of one topology are made together, as many of them as are asked for."""
    every = [x for x in request.session.items if x.originalname == request.node.originalname]
    asked = [x.callspec.params for x in every]
    runs = [x["made"] for x in asked if (x["count"], x["devices"]) == (count, devices)]
    _assert_equal(made, many(count, devices, tuple(runs)), finished, bound)


def test_streamed_pictures_are_read_once(many, pictures, finished, bound):
    """Each process reads its half of each batch; the numbers are those of one with all on hand."""
    folder, same = many(2, 2, DEFAULT), on_pictures(pictures, "resident")
    assert_close(bound("vae", **same), folder / "streamed", finished("vae", **same))
    first, second = (json.loads((folder / f"read-by-{i}.json").read_text()) for i in range(2))
    assert len(first) == len(second) == STEPS
    for ours, theirs in zip(first, second, strict=True):
        assert len(ours) == len(theirs) == 4
        assert len({*ours, *theirs}) >= 7  # an epoch may end within the batch, and begin anew


def test_begun_by_two_processes_and_ended_by_one(many, finished, bound, tmp_path):
    workdir = _begun(many(2, 2, DEFAULT) / "vae-jit", tmp_path)
    train(tiny("vae"), workdir)
    assert_close(bound("vae"), workdir, finished("vae"))


@pytest.mark.slow
@pytest.mark.parametrize("count, devices", [(1, 1), (1, 8), (4, 2)])
def test_goes_on_with_other_processes_and_devices(count, devices, many, finished, bound, tmp_path):
    workdir = _begun(many(2, 4, ("vae-jit",)) / "vae-jit", tmp_path)
    finish(command_line("vae", workdir)[1:], tmp_path, count, devices)
    assert_close(bound("vae"), workdir, finished("vae"))


def test_only_the_first_writes_scores_and_samples(many):
    folder = many(2, 2, DEFAULT)
    workdir = folder / "vae-jit"
    scores = [json.loads(x) for x in (workdir / "scores.jsonl").read_text().splitlines()]
    assert len(scores) == len({score["metric"] for score in scores}) > 0
    evaluated = {k: v for k, v in metrics_of(workdir)[-1].items() if k.startswith("eval/")}
    (kid,) = [score for score in scores if score["metric"] == "kid_lite0"]
    assert (kid["n_fake"], kid["n_real"], kid["devices"]) == (20, 4500, 4)
    scores.remove(kid)
    assert {score["metric"]: pytest.approx(score["value"]) for score in scores} == evaluated
    assert np.load(workdir / "samples.npz")["images"].shape == (8, 28, 28, 1)
    said = (folder / "said").read_text()  # Gloo speaks in any
    assert "eval/" not in said and "samples of step" not in said


def test_a_signal_to_any_process_saves_in_all(many, tmp_path):
    workdir, options = tmp_path / "run", {"processes": 2, "devices": 2}
    arguments = command_line("vae", workdir)[1:]

    def change(i):
        return "at_chunk(2, lambda: os.kill(os.getpid(), signal.SIGTERM))" if i == 1 else "pass"

    with run(arguments, tmp_path / "first", change=change, **options) as started:
        codes = [process.wait() for process in started]
        words = [process.last_words() for process in started]
    assert codes == [75, 75], words
    status = f"interrupted at step 6 of {STEPS}: run the same command to go on"
    assert words == [f"stopped with another process: {status}", f"SIGTERM: {status}"]
    assert max(int(path.name) for path in (workdir / "checkpoints").iterdir()) == 6
    finish(arguments, tmp_path / "second", **options)
    reference = many(2, 2, DEFAULT) / "vae-jit"
    assert_same_state(workdir, reference)
    assert metrics_of(workdir) == metrics_of(reference)


@pytest.mark.slow
def test_a_second_signal_ends_at_once(tmp_path):
    """The checkpoint before it stays whole: the run goes on to the bits of the undisturbed one."""
    arguments, reference = command_line("vae", tmp_path / "run")[1:], tmp_path / "reference"
    twice = "at_chunk(3, lambda: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(2)])"

    def change(i):
        return QUICK + (twice if i == 1 else "")

    with run(arguments, tmp_path / "first", 2, change=change) as started:
        assert [process.wait() for process in started] == [1, -signal.SIGTERM]
    finish(arguments, tmp_path / "second", 2)
    finish(command_line("vae", reference)[1:], tmp_path / "undisturbed", 2)
    assert_same_state(tmp_path / "run", reference)
    assert metrics_of(tmp_path / "run") == metrics_of(reference)


def _begun(workdir, tmp_path):
    """A copy of a run, without what came after the checkpoint before the last."""
    copy = epath.Path(shutil.copytree(workdir, tmp_path / "copy"))
    shutil.rmtree(copy / "checkpoints" / str(STEPS))
    return copy


def _kill(victim: int, tmp_path, others: str = ""):
    """The exit code and the stderr of the process that is left; the victim kills itself.

    Args:
      others: Python code that is run first in the other process.
    """
    arguments = command_line("vae", tmp_path / "run", **ENDLESS)[1:]

    def change(i):
        kill = "at_chunk(5, lambda: os.kill(os.getpid(), signal.SIGKILL))"
        return QUICK + (kill if i == victim else others)

    with run(arguments, tmp_path, 2, change=change) as started:
        assert started[victim].wait() == -signal.SIGKILL
        code = started[1 - victim].wait(60)
        return code, started[1 - victim].last_words()


def test_the_others_end_with_one_that_is_killed(tmp_path):
    code, words = _kill(1, tmp_path)
    assert code == 1
    assert words == (
        "error: process 1 of this run is gone: no sign of life for 5 s; start all processes again "
        "to go on from the newest checkpoint"
    )


@pytest.mark.slow
def test_jax_does_not_abort_before_a_slow_watch_has_noticed(tmp_path):
    """As on a machine with much other work, where 5 seconds of silence are noticed after 14."""
    later = "at_chunk(2, lambda: setattr(processes, 'SILENCE_SECONDS', 14))"
    code, words = _kill(1, tmp_path, others=later)
    assert (code, words.partition(";")[0]) == (
        1,
        "error: process 1 of this run is gone: no sign of life for 14 s",
    )


@pytest.mark.slow
def test_the_others_end_with_the_coordinator(tmp_path):
    code, words = _kill(0, tmp_path)
    assert code in (-signal.SIGABRT, 1)
    assert "coordinator, is gone; start all processes again" in words


def test_an_error_in_one_process_ends_all(tmp_path, pictures):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "pictures").symlink_to(pictures)  # process 1 has none in its folder
    data = {"data.name": "folder:pictures", "data.size": 8, "data.channels": 1}
    arguments = command_line("vae", tmp_path / "run", **data)[1:]
    with run(arguments, tmp_path, 2) as started:
        codes = [process.wait() for process in started]
        words = [process.last_words() for process in started]
    error = "error: folder:pictures: there is no such folder"
    assert codes == [2, 2], words
    assert words[0].startswith(f"process 1 of this run ended: {error}")
    assert words[1].startswith(error)


def test_processes_that_differ_are_refused(tmp_path):
    arguments = command_line("vae", tmp_path / "run")[1:]

    def change(i):
        return f"genjax.__version__ = '{i}.0'"

    with run(
        arguments, tmp_path, 2, change=change, others=lambda i: [f"--config.seed={i}"]
    ) as started:
        codes = [process.wait() for process in started]
        words = [process.last_words() for process in started]
    assert codes == [2, 2], words
    for line in words:
        assert "error: the processes of this run differ: genjax ('0.0 " in line
        assert "'1.0 " in line and "seed (0 in process 0, 1 in process 1); start all" in line
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
def test_workdirs_that_are_not_one_folder_are_refused(tmp_path):
    arguments = command_line("vae", "run")[1:]  # relative: each has another
    with run(
        arguments,
        tmp_path,
        2,
        change="from genjax.workdir import enter; enter.SHARING_SECONDS = 1",
    ) as started:
        codes = [process.wait() for process in started]
        words = [process.last_words() for process in started]
    assert codes == [2, 2], words
    for line in words:
        assert "process 1 does not see what process 0 writes into" in line, line


@pytest.mark.slow
def test_too_few_processes(tmp_path):
    arguments = command_line("vae", tmp_path / "run")[1:]
    change = "processes.START_SECONDS = 5"
    with run(arguments, tmp_path, 3, change=change, joined=2) as started:
        for process in started:
            assert process.wait(90) != 0
            words = process.last_words()
            assert (
                words.startswith("error: ") and "3 processes" in words and "--process_id" in words
            ), process.errors()


def _refusal(capsys, *options) -> str:
    """The one line that `main.py` says to options which cannot be."""
    assert main.main(["main.py", f"--config={ROOT}/configs/vae.py", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_nothing_listens_at_the_coordinator(capsys, monkeypatch):
    monkeypatch.setattr(processes, "START_SECONDS", 1)
    place = f"127.0.0.1:{free_port()}"
    line = _refusal(capsys, f"--coordinator={place}", "--processes=2", "--process_id=1")
    assert line.startswith(f"error: nothing answers at --coordinator={place}")


def test_the_coordinators_port_is_taken(capsys):
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        place = f"--coordinator=127.0.0.1:{port}"
        line = _refusal(capsys, place, "--processes=2", "--process_id=0")
    assert f"port {port} cannot be opened" in line and "choose another port" in line


@pytest.mark.parametrize(
    "options, expected",
    [
        (["--processes=2"], "need --coordinator=HOST:PORT"),
        (["--process_id=0"], "need --coordinator=HOST:PORT"),
        (["--coordinator=h:1"], "needs --processes and --process_id as well"),
        (["--coordinator=h:1", "--processes=2", "--process_id=2"], "they count from 0"),
        (["--coordinator=h:1", "--processes=2", "--process_id=-1"], "they count from 0"),
        (["--coordinator=h", "--processes=2", "--process_id=0"], "has to be HOST:PORT"),
        (["--coordinator=h:99999", "--processes=2", "--process_id=1"], "has to be HOST:PORT"),
        (["--coordinator=auto", "--processes=2"], "by itself"),
    ],
)
def test_options_that_cannot_be(options, expected, capsys):
    assert expected in _refusal(capsys, *options)
