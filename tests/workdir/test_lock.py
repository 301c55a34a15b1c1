"""The lock of a workdir, against real second processes."""

import contextlib
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

from genjax.errors import UserError
from genjax.files import partial_name
from genjax.workdir import hold, lock
from tests.rivals import rivals
from tests.tiny import ROOT

# Holds the workdir until it is killed. With "fork" it leaves a child behind, which prints its
# number and waits for the end of the standard input.
_HOLDER = """
import os, sys, time
from genjax.workdir import hold
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
    """A file system without locks, where a lease is renewed often."""
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
            refused = "from genjax.workdir import hold; import sys\nwith hold(sys.argv[1]): pass"
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
    (workdir / lock.LEASE_FILE).write_text(json.dumps(process | {"renewed": time.time()} | changes))


def until_renewed(workdir):
    path = workdir / lock.LEASE_FILE
    before = os.stat(path).st_mtime_ns
    while os.stat(path).st_mtime_ns == before:
        time.sleep(0.01)


def test_a_lease_is_renewed_and_given_back(workdir, lease):
    with hold(workdir) as held:
        until_renewed(workdir)
        record = json.loads((workdir / lock.LEASE_FILE).read_text())
        assert record["pid"] == os.getpid() and time.time() - record["renewed"] < 10
        held.check()
        with pytest.raises(UserError, match="in use"), hold(workdir):
            pass
    assert not [path.name for path in workdir.iterdir() if path.name != lock.LOCK_FILE]


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
        (workdir / lock.LEASE_FILE).unlink()
        write_lease(workdir)
        with pytest.raises(UserError, match="in use by process 1 on elsewhere"):
            held.check()
    assert json.loads((workdir / lock.LEASE_FILE).read_text())["token"] == "theirs"


@pytest.mark.parametrize("before", ["none", "stale"])
def test_of_two_that_find_no_lease_or_the_same_stale_one_one_wins(
    workdir, lease, before, monkeypatch
):
    """Both have seen that they may; then the other takes it first."""
    workdir.mkdir()
    if before == "stale":
        write_lease(workdir, renewed=0)
    is_alive = lock._is_alive
    with contextlib.ExitStack() as stack:

        def the_other_takes_it(found):
            monkeypatch.setattr(lock, "_is_alive", is_alive)
            assert not is_alive(found)
            stack.enter_context(other)
            return False

        other = lock._Lease(workdir / lock.LEASE_FILE)
        monkeypatch.setattr(lock, "_is_alive", the_other_takes_it)
        with pytest.raises(UserError, match=f"in use by process {os.getpid()}"), hold(workdir):
            pass
        other.check()
        until_renewed(workdir)
        other.check()
    assert not [path.name for path in workdir.iterdir() if path.name != lock.LOCK_FILE]


@pytest.mark.parametrize("before", ["none", "stale"])
def test_of_two_processes_at_once_one_wins(workdir, before):
    with rivals(workdir) as race:
        for _ in range(20):
            if before == "stale":
                write_lease(workdir, renewed=0)
            assert race() < 1  # second: nobody waits to see who came last


def test_a_lease_that_is_being_written_is_nobodys_to_take(workdir, lease):
    workdir.mkdir()
    (workdir / lock.LEASE_FILE).write_text("")
    with pytest.raises(UserError, match="in use by another process"), hold(workdir):
        pass
    os.utime(workdir / lock.LEASE_FILE, (0, 0))  # its process died, long ago
    with hold(workdir):
        pass


@pytest.mark.parametrize("found", ["nothing", "another's"])
def test_who_lost_the_lease_between_looking_and_renewing_leaves_the_place_alone(workdir, found):
    """The worst moment: it has just read that the lease is its own."""
    workdir.mkdir()
    path = workdir / lock.LEASE_FILE
    write_lease(workdir)
    file = lock._File(path)
    record, seen = file.read()
    path.unlink()
    if found == "another's":
        write_lease(workdir, token="another's")
    there = path.read_bytes() if path.exists() else None
    for act in (lambda: file.renew(record, seen), lambda: file.drop(seen)):
        with contextlib.suppress(FileNotFoundError):
            act()
        assert (path.read_bytes() if path.exists() else None) == there
    assert not file.take(record, seen)
    assert [each.name for each in workdir.iterdir()] == [path.name] * bool(there)


def test_who_died_while_it_replaced_a_stale_lease_is_not_in_the_way(workdir, lease):
    write_lease(workdir, renewed=0)
    heir = partial_name(workdir / lock.LEASE_FILE, "heir")
    heir.write_text("")
    with pytest.raises(UserError, match="in use"), hold(workdir):
        pass
    os.utime(heir, (0, 0))
    with hold(workdir) as held:
        held.check()
        assert not heir.exists()


def test_a_store_that_fails_for_a_while_does_not_end_the_renewing(workdir, lease, monkeypatch):
    failed = threading.Event()
    renew = lock._File.renew

    def fail(*_):
        failed.set()
        raise ConnectionError

    with hold(workdir):
        monkeypatch.setattr(lock._File, "renew", fail)
        failed.wait()
        monkeypatch.setattr(lock._File, "renew", renew)
        until_renewed(workdir)
