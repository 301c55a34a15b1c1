"""Runs a command and prints as JSON its `seconds`, `peak_memory_bytes` and exit `code`.

    python benchmarks/clock.py PROGRAM ARGUMENT ...

A process of its own, which imports next to nothing: Linux counts into the peak of a new process
what the one that started it held, and the benchmarks hold more than a small program needs. The
command's output goes to stderr.
"""

import json
import os
import subprocess
import sys
import time


def main(command: list[str]) -> None:
    """Does what the command line above says."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": seconds, "peak_memory_bytes": peak, "code": process.returncode}))


if __name__ == "__main__":
    main(sys.argv[1:])
