"""Trains, evaluates and samples: one experiment config, one workdir, any number of devices.

    python main.py --config=configs/NAME.py[:ARG] [--workdir=DIR] [--mode=MODE] [--config.KEY=X ...]
                   [--step=N|latest|best]
                   [--coordinator=HOST:PORT --processes=N --process_id=I | --coordinator=auto]

Modes:
  train     trains from the start, or goes on from the workdir's newest checkpoint (default)
  evaluate  scores a checkpoint on held-out data and appends to scores.jsonl
  sample    draws pictures from a checkpoint, without the data: samples.npz and samples.png

ARG is key=value,key=value; the files in configs/ say which keys each has, and what every config key
means. --workdir defaults to runs/NAME. Ctrl-C or SIGTERM saves and ends with exit code 75; the same
command goes on. Other exit codes: 0 done; 2 yours to mend, one line says what; 1 anything else.
A run over several processes is this command in each, with the place to meet: see docs/cloud.md.
"""

import argparse
import gc
import importlib
import sys

from genjax import config as config_lib
from genjax.errors import OptionParser, UserError, run_program
from genjax.files import place

MODES = ("train", "evaluate", "sample")
OPTIONS = dict(config=str, workdir=str, mode=str, step=str) | dict(
    coordinator=str, processes=int, process_id=int
)


def parse(argv):
    """(config, workdir, the other options) of a command line."""
    parser = OptionParser()
    for name, kind in OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind)
    options, others = parser.parse_known_args(argv[1:], argparse.Namespace(mode="train"))
    config_lib.choose("--mode", options.mode, dict.fromkeys(MODES))
    if options.step is not None and options.mode == "train":
        raise UserError("--step is for evaluate and sample; to train, set init_from=WORKDIR@STEP")
    if not options.config and not options.workdir:
        raise UserError("--config is missing: try --config=configs/dcgan.py, or --help")
    workdir = place(options.workdir or config_lib.default_workdir(options.config))
    if options.config:
        return config_lib.read(options.config, others), workdir, options
    config_file = importlib.import_module("genjax.workdir.config_file")
    return config_lib.overridden(config_file.load(workdir), others), workdir, options


def _run(argv):
    gc.set_threshold(100_000, 20, 100)  # what is imported and traced stays: a tenth of a start
    config, workdir, options = parse(argv)
    importlib.import_module("genjax.devices.cache").enable()  # heavy imports, once needed
    processes = importlib.import_module("genjax.devices.processes")
    processes.start(options.coordinator, options.processes, options.process_id)
    verb = getattr(importlib.import_module(f"genjax.{options.mode}"), options.mode)
    processes.run(verb, config, workdir, *([options.step] if options.step else []))


def main(argv) -> int:
    """Runs a command line and returns its exit code."""
    return run_program(argv, __doc__, _run)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
