"""The lock of a workdir, against real second processes."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from etils import epath

from genjax import lock
from genjax.errors import UserError
from genjax.lock import hold
from tests.tiny import ROOT

# Holds the workdir until it is killed. With "fork" it leaves a child behind, which prints its
# number and waits for the end of the standard input.
_HOLDER = """
import os, sys, time
from genjax.lock import hold
with hold(sys.argv[1]):
    child = os.fork() if "fork" in sys.argv else None
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path) / "run"


@pytest.fixture
def holder(workdir):
    """`holder(*words)`: a second process that holds `workdir`."""
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, workdir, *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


@pytest.fixture
def lease(monkeypatch):
    """A file system without locks, and no waiting for others that are not there."""
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.01)

    def lockf(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", lockf)


def test_a_second_process_is_refused_in_one_line(workdir, holder):
    process = holder()
    with pytest.raises(UserError) as refused, hold(workdir):
        pass
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith(
        f"{workdir} is in use by process {process.pid} on {socket.gethostname()}"
    )
    assert re.search(r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line)
    assert "wait for it, stop it, or choose another --workdir" in line and "--coordinator" in line


def test_kill_9_ends_the_hold(workdir, holder):
    process = holder()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with hold(workdir):
        pass


def test_a_child_that_outlives_the_holder_holds_nothing(workdir, holder):
    process = holder("fork")
    process.send_signal(signal.SIGKILL)
    process.wait()
    # The child has the other end of the pipe: it is alive as long as it reads.
    with hold(workdir):
        pass
    process.stdin.write("x")
    process.stdin.flush()  # or this would raise BrokenPipeError


def test_twice_in_one_process(workdir):
    for _ in range(2):
        with hold(workdir) as held:
            held.check()
            with (
                pytest.raises(UserError, match=f"in use by process {os.getpid()}"),
                hold(f"{workdir}/../run"),
            ):
                pass
            refused = "from genjax.lock import hold; import sys\nwith hold(sys.argv[1]): pass"
            other = subprocess.run(
                [sys.executable, "-c", refused, workdir], cwd=ROOT, capture_output=True, text=True
            )
            assert "UserError" in other.stderr, "the inner attempt dropped the lock"
    assert (workdir / lock.LOCK_FILE).read_text() == ""


def test_it_ends_with_an_error_too(workdir):
    with pytest.raises(KeyboardInterrupt), hold(workdir):
        raise KeyboardInterrupt
    with hold(workdir):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), hold(tmp_path / "file" / "run"):
        pass


def write_lease(workdir, **changes):
    process = {"host": "elsewhere", "pid": 1, "since": "long ago", "token": "theirs"}
    workdir.mkdir(exist_ok=True)
    (workdir / lock.LOCK_FILE).write_text(json.dumps(process | {"renewed": time.time()} | changes))


def test_a_lease_is_renewed_and_given_back(workdir, lease):
    path = workdir / lock.LOCK_FILE
    with hold(workdir) as held:
        first = json.loads(path.read_text())
        while json.loads(path.read_text())["renewed"] == first["renewed"]:
            time.sleep(0.01)
        held.check()
        with pytest.raises(UserError, match="in use"), hold(workdir):
            pass
    assert not path.exists()


def test_the_lease_of_another_host_is_respected_until_it_is_stale(workdir, lease):
    write_lease(workdir)
    message = r"process 1 on elsewhere since long ago.* within 60 s"
    with pytest.raises(UserError, match=message), hold(workdir):
        pass
    write_lease(workdir, renewed=time.time() - 61)
    with hold(workdir):
        pass


def test_the_lease_of_a_dead_process_of_this_host_does_not_wait(workdir, lease):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):  # and of one that had this process's number
        write_lease(workdir, host=socket.gethostname(), pid=pid)
        with hold(workdir):
            pass
    write_lease(workdir, host=socket.gethostname(), pid=os.getppid())
    with pytest.raises(UserError, match="in use"), hold(workdir):
        pass


def test_a_lost_lease_is_noticed_and_left_to_its_new_owner(workdir, lease):
    with hold(workdir) as held:
        write_lease(workdir)
        with pytest.raises(UserError, match="in use by process 1 on elsewhere"):
            held.check()
    assert json.loads((workdir / lock.LOCK_FILE).read_text())["token"] == "theirs"


def test_of_two_that_take_a_lease_at_once_one_wins(workdir, lease, monkeypatch):
    """Both have seen that it is free before either writes; this one writes first."""

    def the_other_writes(_):
        write_lease(workdir)

    monkeypatch.setattr(lock.time, "sleep", the_other_writes)
    with pytest.raises(UserError, match="in use by process 1 on elsewhere"), hold(workdir):
        pass


def test_a_store_that_fails_for_a_while_does_not_end_the_renewing(workdir, lease, monkeypatch):
    failed = threading.Event()
    write = lock.write_atomically

    def fail(*_):
        failed.set()
        raise ConnectionError

    with hold(workdir):
        monkeypatch.setattr(lock, "write_atomically", fail)
        failed.wait()
        monkeypatch.setattr(lock, "write_atomically", write)
        path = workdir / lock.LOCK_FILE
        before = json.loads(path.read_text())["renewed"]
        while json.loads(path.read_text())["renewed"] == before:
            time.sleep(0.01)
