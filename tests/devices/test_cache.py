"""Compiled programs on disk: a second process compiles nothing, and no trouble ends a run."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest

from genjax.devices import cache
from tests.tiny import ROOT

# Compiles two programs, and prints a result and how many came from the disk.
_PROGRAM = """
from genjax.devices import cache
cache.enable()
import jax, jax.numpy as jnp
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name.endswith("/cache_hits")))
x = jax.jit(lambda x: x * 2 + 1)(jnp.arange(3.0))
print(jax.jit(jnp.sum)(x), sum(hits))
"""


def _start(home, **environment) -> tuple[float, int, str]:
    """(result, programs from the disk, stderr) of a process with its caches below `home`."""
    kept = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=kept | {"XDG_CACHE_HOME": str(home), "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result, hits = done.stdout.split()
    return float(result), int(hits), done.stderr


def _programs(home):
    return sorted(home.rglob("*-cache"))


def test_a_second_start_compiles_nothing(tmp_path):
    first, second = _start(tmp_path), _start(tmp_path)
    assert first == (9.0, 0, "")
    assert second == (9.0, len(_programs(tmp_path)), "")
    assert {x.parent.parent for x in _programs(tmp_path)} == {tmp_path / "genjax" / "jax"}


def test_broken_programs_are_told_of_once_and_gone(tmp_path):
    _start(tmp_path)
    broken = _programs(tmp_path)
    for path in broken:
        path.write_bytes(path.read_bytes()[:40])
    result, hits, errors = _start(tmp_path)
    assert (result, hits) == (9.0, 0)
    assert errors.count("\n") == 1 and "deleted" in errors and str(tmp_path) in errors
    assert _start(tmp_path) == (9.0, len(broken), "")


def test_a_place_that_cannot_be_used_costs_time_only(tmp_path):
    (tmp_path / "genjax").write_text("not a folder")
    result, hits, errors = _start(tmp_path)
    assert (result, hits) == (9.0, 0)
    assert errors.count("\n") == 1 and "no compilation cache" in errors


def test_a_disk_that_takes_nothing_is_told_of_once(tmp_path):
    """Nothing can be made in /proc, for nobody; it looks like a folder that became read-only."""
    script = "import genjax.devices.cache as c; c.Path.mkdir = lambda *a, **k: None\n" + _PROGRAM
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={k: v for k, v in os.environ.items() if "CACHE" not in k}
        | {"XDG_CACHE_HOME": "/proc", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "9.0 0\n", done.stderr
    assert done.stderr.count("\n") == 1 and "compiled programs in /proc/" in done.stderr


def test_jax_is_in_charge(tmp_path):
    own, home = tmp_path / "own", tmp_path / "home"
    _start(home, JAX_ENABLE_COMPILATION_CACHE="false")
    assert not home.exists()
    _start(home, JAX_COMPILATION_CACHE_DIR=str(own))
    assert not home.exists() and _programs(own)


def test_what_was_used_longest_ago_goes_first(tmp_path):
    for i, name in enumerate("cab"):
        path = tmp_path / "host" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (1000 + i, 1000))  # read, written
    (tmp_path / "host" / "empty").touch()
    cache._prune(tmp_path, 250)
    assert sorted(x.name for x in (tmp_path / "host").iterdir()) == ["a", "b"]
    cache._prune(tmp_path, 250)
    assert len(list((tmp_path / "host").iterdir())) == 2


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are Linux's to choose")
def test_programs_for_other_cores_are_others(monkeypatch):
    names = set()
    for cores in ({0}, {0, 1}, {1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        names.add(cache._host())
    assert len(names) == 2


def test_a_number_is_measured_once_and_anew_where_it_cannot_be_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache.jax, "config", config := types.SimpleNamespace())
    config.jax_enable_compilation_cache, config.jax_compilation_cache_dir = True, str(tmp_path)
    measured = iter([1.5, 2.5, 3.5, 4.5, 5.5])

    def kept():
        return cache.kept("speed", lambda: next(measured))

    assert [kept(), kept()] == [1.5, 1.5]
    (path,) = tmp_path.glob("speed-*.txt")
    for expected, damage in ((2.5, "fast"), (3.5, "0"), (4.5, "")):
        path.write_text(damage)
        assert [kept(), kept()] == [expected, expected]
    config.jax_compilation_cache_dir = None
    assert kept() == 5.5
    assert not capsys.readouterr().err


def test_a_number_that_cannot_be_kept_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setattr(
        cache.jax,
        "config",
        types.SimpleNamespace(
            jax_enable_compilation_cache=True, jax_compilation_cache_dir=str(tmp_path / "file")
        ),
    )
    assert cache.kept("speed", lambda: 1.5) == 1.5
    assert "computed at every start" in capsys.readouterr().err


@pytest.mark.parametrize("left", [0, 1, 50, -1])
def test_arrays_that_are_cut_off_are_computed_anew(left, tmp_path, monkeypatch):
    config = types.SimpleNamespace(
        jax_enable_compilation_cache=True, jax_compilation_cache_dir=str(tmp_path)
    )
    monkeypatch.setattr(cache.jax, "config", config)
    made = iter([np.arange(3), np.arange(4)])

    def kept():
        return cache.kept_arrays("features", lambda: {"x": next(made)})["x"].tolist()

    assert [kept(), kept()] == [[0, 1, 2]] * 2
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:left])
    assert [kept(), kept()] == [[0, 1, 2, 3]] * 2
