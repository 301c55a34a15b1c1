"""Whole commands: sides in turn, with programs that only pretend, and what is kept of them."""

import json
import signal
import time

import pytest

from benchmarks import commands, suite
from benchmarks.children import SideError
from benchmarks.workloads import BY_NAME
from genjax.errors import UserError
from tests.tiny import tiny


@pytest.fixture
def runs(monkeypatch):
    """(the (program, compilation cache) of each process that would have been timed, in order; the
    seconds that those of a program take in turn, of which one without any fails)."""
    runs = []
    seconds = {"main.py": [6.0, 3.0], "-m": [4.5]}
    monkeypatch.setattr(commands, "last_scores", lambda workdir: {"eval/loss": 1.0})

    def timed(command, variables, log):
        runs.append((command[0], variables["JAX_COMPILATION_CACHE_DIR"]))
        times = seconds[command[0]]
        if not times:
            raise SideError("no memory")
        return {
            "seconds": times[(len(runs) - 1) % 3 % len(times)],
            "peak_memory_bytes": 10**8 * len(runs),
        }

    def settings(config, arguments, place, folder):
        file = folder / "settings.json"
        file.write_text('{"variant": "eager"}')
        return file

    monkeypatch.setattr(commands, "timed", timed)
    monkeypatch.setattr(commands, "_settings", settings)
    return runs, seconds


def _measured(folder, peer="torch") -> list[dict]:
    contest = commands.training("configs/vae.py", [], "cpu", peer, folder)
    return list(commands.measure(contest, 2, folder))


def test_sides_take_turns_and_each_round_has_a_cache_of_its_own(runs, tmp_path):
    found, (asked, _) = _measured(tmp_path), runs
    first, second = (str(tmp_path / f"cache-{i}") for i in range(2))
    assert asked == [
        *[("main.py", first)] * 2,
        ("-m", first),
        *[("main.py", second)] * 2,
        ("-m", second),
    ]
    assert [len(x["sides"]["PyTorch"]["rounds"]) for x in found] == [1, 2]
    sides = found[-1]["sides"]
    assert sides["PyTorch"]["variant"] == "eager"
    assert sides["empty cache"]["memory_bytes"] == {"median": 2.5e8, "low": 1e8, "high": 4e8}
    assert sides["warm cache"]["scores"] == {"eval/loss": 1.0}
    assert found[0]["ratios"]["empty cache"]["median"] == 0.75
    assert found[0]["ratios"]["warm cache"]["median"] == 1.5


def test_what_fails_is_said_and_the_others_go_on(runs, tmp_path):
    runs[1]["-m"] = []
    found = _measured(tmp_path)[-1]
    assert found["sides"]["PyTorch"] == {"error": "no memory"}
    assert len(found["sides"]["warm cache"]["rounds"]) == 2
    assert found["ratios"] == {}


def test_a_peer_that_cannot_be_prepared_is_said(runs, tmp_path, monkeypatch):
    def settings(*arguments):
        raise UserError("the package with the weights is missing")

    monkeypatch.setattr(commands, "_settings", settings)
    found = _measured(tmp_path)[-1]
    assert found["sides"]["PyTorch"] == {"error": "the package with the weights is missing"}
    assert len(runs[0]) == 4


def test_without_a_peer(runs, tmp_path):
    found = _measured(tmp_path, peer="none")[-1]
    assert [*found["sides"]] == ["empty cache", "warm cache"] and found["ratios"] == {}


def test_a_row_grows_so_that_an_interruption_keeps_its_rounds(runs, monkeypatch):
    workload = BY_NAME["command-vae"]
    results = {"suite": "quick", "peer": "torch", "matmul": {}, "rows": [], "parity": []}
    results["environment"] = {"device": {"platform": "cpu"}, "commit": "", "date": ""}
    said, lengths = [], []
    for _ in suite.run([workload], results | {"scaling": []}, said.append):
        (row,) = results["rows"]
        lengths.append(len(row["sides"]["empty cache"]["rounds"]))
    assert lengths == [1, 2, 3]
    assert row["name"] == "command-vae, float32"
    assert row["goals"] == {"empty cache": 1.0, "warm cache": 1.2}
    assert "ratio, warm cache" in said[-1]


def test_a_process_is_timed_to_its_end_with_its_memory(tmp_path):
    code = "import os, time; x = b'x' * 400_000_000; print(os.environ['A']); time.sleep(0.2)"
    found = commands.timed(["-c", code], {"A": "hello"}, tmp_path / "log.txt")
    assert found["seconds"] > 0.2
    assert 4e8 < found["peak_memory_bytes"] < 4.5e8
    assert (tmp_path / "log.txt").read_text() == "hello\n"
    with pytest.raises(SideError, match=r"the process ended with 3: oh"):
        commands.timed(["-c", "print('oh'); raise SystemExit(3)"], {}, tmp_path / "log.txt")


def test_ctrl_c_ends_the_process_that_is_timed(tmp_path):
    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    late = tmp_path / "late"
    code = f"import pathlib, time; time.sleep(1); pathlib.Path({str(late)!r}).touch()"
    try:
        with pytest.raises(KeyboardInterrupt):
            commands.timed(["-c", code], {}, tmp_path / "log.txt")
    finally:
        signal.signal(signal.SIGALRM, before)
    time.sleep(1.2)
    assert not late.exists()


def test_settings_have_every_value_of_the_config_and_the_files_that_it_lacks(tmp_path):
    config = tiny("style-lbfgs")
    found = json.loads(commands.write_settings(config, "cpu", "eager", tmp_path).read_text())
    assert found["config"] == json.loads(config.to_json())
    assert {*found["paths"]} == {"content", "style", "weights"}
    assert all(str(tmp_path) in path for path in found["paths"].values())
