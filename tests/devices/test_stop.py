import signal
import subprocess
import sys

import pytest

from genjax.devices import StopRequest
from tests.tiny import ROOT

_TWICE = """
import signal
from genjax.devices import StopRequest
with StopRequest() as stop:
    signal.raise_signal(signal.{first})
    print(stop.requested, flush=True)
    signal.raise_signal(signal.{second})
    print("still here")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_wish(number):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with StopRequest() as stop:
        assert stop.requested == ""
        signal.raise_signal(number)
        assert stop.requested == number.name
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


@pytest.mark.parametrize("first", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_the_second_ends_the_process_at_once(first, second):
    done = subprocess.run(
        [sys.executable, "-c", _TWICE.format(first=first, second=second)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.stdout == f"{first}\n"
    assert done.returncode == -getattr(signal, second)
