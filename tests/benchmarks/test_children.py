"""Sides in processes of their own: a clean pipe, errors in one line, and an end."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.children import SideError, nursery
from tests.tiny import ROOT


@pytest.fixture
def child(monkeypatch):
    monkeypatch.chdir(ROOT)
    with nursery() as start:
        yield start()


def test_what_fails_is_one_line_and_the_process_goes_on(child):
    for _ in range(2):
        with pytest.raises(SideError, match=r"^AttributeError: 'Server' object has no attribute"):
            child.ask("dance")


def test_a_side_that_dies_leaves_its_last_words(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with nursery() as start, pytest.raises(SideError, match="the process ended with 1: no message"):
        start().call("benchmarks.machine:device")


def test_the_end_ends_all_processes(monkeypatch):
    monkeypatch.chdir(ROOT)
    with nursery() as start:
        child, process = start(), start()._process
        child.close()
        assert child._process.returncode is not None
        assert process.poll() is None
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_nothing_else_writes_on_the_pipe():
    code = """
import os
from benchmarks import worker

def loud(self):
    print("a library says hello")
    os.system("echo and so does a program")
    return 42

worker.Server.loud = loud
worker.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input='{"do": "loud"}\n{"do": "loud"}\n',
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"answer": 42}] * 2
    assert done.stderr.count("a library says hello") == 2
