"""Processes that take one workdir at the same moment, time after time."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator

from tests.tiny import ROOT

# At each word on the standard input it tries; at the next one it lets go.
_RIVAL = """
import errno, fcntl, sys, time
def lockf(*_):
    raise OSError(errno.ENOLCK, "")
fcntl.lockf = lockf
from genjax.errors import UserError
from genjax.files import place
from genjax.workdir import hold
workdir = place(sys.argv[1])
print("ready", flush=True)
for _ in sys.stdin:
    began = time.monotonic()
    try:
        with hold(workdir) as held:
            took = time.monotonic() - began
            held.check()
            print("held", took, flush=True)
            sys.stdin.readline()
            held.check()
    except UserError as error:
        print("refused:", error, flush=True)
        sys.stdin.readline()
    print("over", flush=True)
"""


@contextlib.contextmanager
def rivals(workdir, **options) -> Iterator[Callable[[], float]]:
    """`race()`: two processes try to take `workdir`, where there are no locks, and let go of it.

    Exactly one has to get it; how many seconds that took is returned.
    """
    command = [sys.executable, "-c", _RIVAL, workdir]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pair = [subprocess.Popen(command, **pipes, **options) for _ in range(2)]

    def tell_both(word: str) -> list[str]:
        for process in pair:
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
        return [process.stdout.readline() for process in pair]

    def race() -> float:
        held, refused = sorted(tell_both("take it"))
        assert held.startswith("held ") and refused.startswith("refused: "), (held, refused)
        assert " is in use by " in refused
        assert tell_both("let go") == ["over\n"] * 2
        return float(held.split()[1])

    try:
        assert [process.stdout.readline() for process in pair] == ["ready\n"] * 2
        yield race
    finally:
        for process in pair:
            process.kill()
            process.communicate()
