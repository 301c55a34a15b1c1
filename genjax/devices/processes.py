"""Runs of several processes: how they start, exchange texts, and notice that one is gone.

JAX's runtime does the work (`jax.distributed`). Process 0 is the coordinator and keeps a small
key-value store that all processes can read. This module uses the store for what processes have to
agree on, for a heartbeat of each process, and for the error message of one that fails. JAX has no
public API for the store; `_client` is the only place that reaches for it.

In a run of a single process, nothing here does anything.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence

import jax

from genjax.errors import Interrupted, UserError, exit_code, one_line

AUTO = "auto"  # the coordinator that JAX finds by itself

START_SECONDS = 120  # for all processes to join: machines of a pod do not boot together
SILENCE_SECONDS = 30  # without a heartbeat before a process counts as gone
# How much later JAX's runtime notices that, which aborts all other processes: where a machine has
# much other work, `_watch` may be late.
_JAX_LATER_SECONDS = 60
_BEAT_SECONDS = 2  # between heartbeats
_EXCHANGE_SECONDS = 600  # for a slow process; one that is gone is noticed long before
_SHUTDOWN_SECONDS = 15  # short, because all processes end together, after the last exchange

_AGAIN = "start all processes again to go on from the newest checkpoint"

_exchanges = 0


def start(coordinator: str, processes: int | None, process_id: int | None) -> None:
    """Joins the processes of this run, before anything else uses JAX's devices.

    Args:
      coordinator: HOST:PORT of process 0, "auto" (Cloud TPU, Slurm, Open MPI and Kubernetes, which
        JAX finds by itself), or "" for a run of one process.
      processes: how many there are; None with "auto".
      process_id: which this is, from 0; None with "auto".

    Raises:
      UserError: an argument is missing or impossible, nothing answers at `coordinator`, or its
        port is taken.
    """
    if not coordinator:
        if processes is not None or process_id is not None:
            raise UserError("--processes and --process_id need --coordinator=HOST:PORT")
        return
    if coordinator == AUTO:
        if processes is not None or process_id is not None:
            raise UserError("--coordinator=auto finds --processes and --process_id by itself")
        _connect("all processes of this job came together", {})
        return
    if processes is None or process_id is None:
        raise UserError(f"--coordinator={coordinator} needs --processes and --process_id as well")
    if not 0 <= process_id < processes:
        raise UserError(
            f"--process_id={process_id} is not one of --processes={processes}: they count from 0"
        )
    _check_reachable(coordinator, process_id)
    arguments = {
        "coordinator_address": coordinator,
        "num_processes": processes,
        "process_id": process_id,
        "cluster_detection_method": "deactivate",
    }
    _connect(
        f"all of the {processes} processes came to {coordinator} (each needs the same "
        f"--coordinator and --processes, and its own --process_id from 0 to {processes - 1})",
        arguments,
    )


def count() -> int:
    """How many processes this run has."""
    return _state().num_processes


def index() -> int:
    """The number of this process, from 0; process 0 writes the reports."""
    return _state().process_id


def is_first() -> bool:
    """Whether this process is the one that writes reports."""
    return index() == 0


def exchange(text: str) -> list[str]:
    """Sends `text` to all processes; returns the texts of all, by process number.

    All processes have to make the same calls in the same order.
    """
    global _exchanges
    if count() == 1:
        return [text]
    _exchanges += 1
    topic = f"genjax/exchange/{_exchanges}"
    client = _client()
    client.key_value_set(f"{topic}/{index()}", text)
    patience = _EXCHANGE_SECONDS * 1000
    return [client.blocking_key_value_get(f"{topic}/{i}", patience) for i in range(count())]


def check_same(facts: dict) -> None:
    """Refuses to run where processes differ in what they are about to do.

    Args:
      facts: {name: JSON value} of this process, such as the config and the versions.

    Raises:
      UserError: in all processes, naming what differs.
    """
    told = [json.loads(text) for text in exchange(json.dumps(facts))]
    for i, other in enumerate(told):
        differing = [
            f"{name} ({told[0].get(name)!r} in process 0, {other.get(name)!r} in process {i})"
            for name in sorted(told[0].keys() | other.keys())
            if told[0].get(name) != other.get(name)
        ]
        if differing:
            raise UserError(
                f"the processes of this run differ: {', '.join(differing)}; "
                "start all with the same command and the same code"
            )


def run(function: Callable, *arguments) -> None:
    """Calls a function. If it fails in one of several processes, all the others end too.

    Otherwise the others would wait for the failed one in a collective, and it for them in JAX's
    joint shutdown. `Interrupted` is no failure: all processes raise it at the same step.
    """
    try:
        function(*arguments)
        exchange("done")  # waits for the slowest process, then all end together
    except Interrupted:
        exchange("interrupted")
        raise
    except (Exception, KeyboardInterrupt) as error:  # whatever it is, the others have to know
        if count() == 1:
            raise
        code = exit_code(error)
        if code is None:
            if isinstance(error, jax.errors.JaxRuntimeError):
                # Perhaps a collective failed because another process is gone: then `_watch` ends
                # this process with the actual reason.
                _wait_for_signs_of_life()
            traceback.print_exc()
        _leave(one_line(error), code or 1)


def _wait_for_signs_of_life() -> None:
    """Returns once all processes have sent a heartbeat; `_watch` ends this one if one does not."""
    deadline = time.monotonic() + SILENCE_SECONDS + _JAX_LATER_SECONDS
    silent = None
    while silent != set() and time.monotonic() < deadline:
        try:
            beats = set(_client().key_value_dir_get("genjax/beat/"))
            # What is read first may have been sent before the other process was gone.
            silent = beats if silent is None else silent & beats
        except jax.errors.JaxRuntimeError:
            pass  # the coordinator does not answer: that is for `_watch` to say
        time.sleep(_BEAT_SECONDS)


def _leave(last_words: str, code: int) -> None:
    """Ends this process at once, after telling people and the other processes why."""
    _client().key_value_set(f"genjax/ended/{index()}", json.dumps([last_words, code]), True)
    if is_first():
        time.sleep(2 * _BEAT_SECONDS)  # the store ends with this process: let the others read it
    _end(last_words, code)


def _connect(what: str, arguments: dict) -> None:
    # `StopRequest` handles SIGTERM; JAX's preemption service would catch it instead.
    jax.config.update("jax_enable_preemption_service", False)
    words = _LastWords(f"error: within {START_SECONDS} s not {what}")
    try:
        jax.distributed.initialize(
            **arguments,
            initialization_timeout=START_SECONDS,
            heartbeat_timeout_seconds=SILENCE_SECONDS + _JAX_LATER_SECONDS,
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        words.close()
        told = " ".join(str(error).split())
        raise UserError(
            f"the processes of this run cannot be joined ({told}): where JAX finds no cluster by "
            "itself, give --coordinator=HOST:PORT, --processes and --process_id"
        ) from error
    words.close()
    _LastWords(
        "error: JAX's runtime ended this process, as above: most likely process 0, the "
        f"coordinator, is gone; {_AGAIN}"
    )
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(over,), name="genjax-watch", daemon=True)
    watch.start()
    # At exit Python stops daemon threads by force, which aborts the process if one is inside JAX's
    # client. So the watch is told to end, then joined (`atexit` calls the last registered first).
    atexit.register(watch.join, 2 * _BEAT_SECONDS)
    atexit.register(over.set)


def _check_reachable(coordinator: str, process_id: int) -> None:
    """Tries the coordinator's address, because JAX's runtime aborts if the address is unusable."""
    host, colon, port = coordinator.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 2**16):
        raise UserError(f"--coordinator={coordinator} has to be HOST:PORT")
    address = (host.strip("[]"), int(port))
    if process_id == 0:
        try:
            socket.create_server(("", address[1])).close()
        except OSError as error:
            raise UserError(
                f"port {port} cannot be opened for --coordinator={coordinator} "
                f"({error.strerror}): choose another port"
            ) from None
        return
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(address, timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise UserError(
                    f"nothing answers at --coordinator={coordinator} ({error.strerror or error}): "
                    "is process 0 running on that host, and the port open?"
                ) from None
        time.sleep(0.5)


class _LastWords:
    """Prints a line on stderr if JAX's runtime aborts the process, as it does on fatal errors.

    No Python code runs after an abort. But Python's C handler of the signal SIGABRT still writes
    the signal's number into a pipe (`signal.set_wakeup_fd`). A small child process reads the pipe
    until this process ends, and prints the line if the number was there.
    """

    _READER = (
        "import signal, sys\n"
        "for name in (signal.SIGINT, signal.SIGTERM): signal.signal(name, signal.SIG_IGN)\n"
        "if int(signal.SIGABRT) in sys.stdin.buffer.read(): print(sys.argv[1], file=sys.stderr)"
    )

    def __init__(self, line: str):
        readable, self._writable = os.pipe()
        subprocess.Popen([sys.executable, "-Sc", self._READER, line], stdin=readable)
        os.close(readable)
        os.set_blocking(self._writable, False)
        signal.set_wakeup_fd(self._writable, warn_on_full_buffer=False)
        signal.signal(signal.SIGABRT, lambda *_: None)

    def close(self):
        signal.set_wakeup_fd(-1)
        os.close(self._writable)


def _watch(over: threading.Event) -> None:
    """Sends heartbeats and reads the others'; ends this process when another failed or is gone."""
    client, me, beat = _client(), index(), 0
    # {process: (its newest beat, when that was first seen)}
    heard = dict.fromkeys(range(count()), (None, time.monotonic()))
    answered = time.monotonic()
    while not over.wait(_BEAT_SECONDS):
        try:
            client.key_value_set(f"genjax/beat/{me}", str(beat), True)
            told = client.key_value_dir_get("genjax/beat/")
            ended = client.key_value_dir_get("genjax/ended/")
        except jax.errors.JaxRuntimeError as error:
            if time.monotonic() - answered > SILENCE_SECONDS:
                _end(f"error: the coordinator does not answer: {error}; {_AGAIN}", 1)
            continue
        for i, (words, code) in ((_number(key), json.loads(value)) for key, value in ended):
            if i != me:
                _end(f"process {i} of this run ended: {words}", code)
        now, beat = time.monotonic(), beat + 1
        answered = now
        heard |= {_number(k): (v, now) for k, v in told if heard[_number(k)][0] != v}
        silent = [i for i, (_, at) in heard.items() if now - at > SILENCE_SECONDS]
        if silent:
            _end(
                f"error: {_names(silent)} gone: no sign of life for {SILENCE_SECONDS} s; {_AGAIN}",
                1,
            )


def _end(line: str, code: int) -> None:
    # Not `sys.exit`: the main thread may be inside a collective that never returns.
    print(line, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


def _number(key: str) -> int:
    return int(key.rpartition("/")[2])


def _names(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"process {numbers[0]} of this run is"
    return f"processes {', '.join(map(str, numbers))} of this run are"


def _state():
    from jax._src.distributed import global_state

    return global_state


def _client():
    return _state().client
