"""Measures this project and PyTorch side by side, and writes a report.

    python -m benchmarks [--suite=quick|full|smoke] [--only=NAME,...] [--peer=torch|none]
                         [--out=DIR]

Suites: quick takes minutes, full some hours on two cores, smoke is for tests. A report goes to
benchmarks/reports/DEVICE/, or with --only to runs/benchmarks/DEVICE/. Ctrl-C keeps what was
measured. docs/benchmarks.md says what is measured, and how to read it.
"""

import argparse
import importlib.util
import sys
from functools import partial
from pathlib import Path

from benchmarks import machine, report, suite, workloads
from genjax.errors import Interrupted, OptionParser, UserError, run_program

PEERS = ("torch", "none")


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[workloads.Workload]]:
    """The options of a command line, and the workloads that they choose.

    Raises:
      UserError: an option or a value is unknown, or PyTorch is wanted and not installed.
    """
    parser = OptionParser()
    parser.add_argument("--suite", default="quick")
    parser.add_argument("--only", default="")
    parser.add_argument("--peer", default="torch")
    parser.add_argument("--out", default="")
    options = parser.parse_args(argv[1:])
    chosen = workloads.select(options.suite, options.only)
    if options.peer not in PEERS:
        raise UserError(f"--peer={options.peer} is none of {', '.join(PEERS)}")
    if options.peer == "torch" and importlib.util.find_spec("torch") is None:
        raise UserError('PyTorch is not installed: pip install -e ".[bench]", or use --peer=none')
    if not Path("configs").is_dir() or not Path("main.py").is_file():
        raise UserError("run it from the repository's root, where main.py and configs/ are")
    return options, chosen


def measure(options: argparse.Namespace, chosen: list[workloads.Workload]):
    """Measures, saves whenever there is more, and writes the report; also after Ctrl-C."""
    device, matmul = suite.find_device()
    if options.peer == "torch" and device["platform"] not in ("cpu", "gpu"):
        raise UserError(f"PyTorch's side knows no {device['platform']}: use --peer=none")
    parent = "runs/benchmarks" if options.only else "benchmarks/reports"
    folder = Path(options.out or f"{parent}/{machine.slug(device)}")
    results = {
        "schema": report.SCHEMA,
        "suite": options.suite,
        "peer": options.peer,
        "status": "interrupted",
        "environment": machine.describe(device),
        "matmul": matmul,
        "rows": [],
        "parity": [],
        "scaling": [],
    }
    report.save(results, folder)  # whoever may not write there hears of it now
    try:
        for _ in suite.run(chosen, results, partial(print, flush=True)):
            report.save(results, folder)
        results["status"] = "complete"
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted: {len(results['rows'])} rows are kept") from None
    finally:
        report.save(results, folder)
        report.write(results, folder)
        print(f"{results['status']}: {folder}/report.html")


def main(argv: list[str]) -> int:
    """Runs a command line and returns its exit code."""
    return run_program(argv, __doc__, lambda argv: measure(*parse(argv)))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
