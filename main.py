"""Trains, evaluates and samples: one experiment config, one workdir, any number of devices.

    python main.py --config=configs/NAME.py[:ARG] [--workdir=DIR] [--mode=MODE]
                   [--config.KEY=VALUE ...]

Modes:
  train     trains from the start, or goes on from the workdir's newest checkpoint (default);
            style transfer by optimisation trains too: the image is the parameter
  evaluate  scores the newest checkpoint on held-out data and appends to scores.jsonl
  sample    draws pictures from the newest checkpoint: samples.npz and samples.png

ARG is key=value,key=value; the files in configs/ say which keys each has, and what every config key
means. --workdir defaults to runs/NAME. Ctrl-C or SIGTERM saves and ends with exit code 75; the same
command goes on. Other exit codes: 0 done; 2 yours to mend, one line says what; 1 anything else.
"""

import argparse
import importlib
import sys

from etils import epath

from genjax import config as config_lib
from genjax.errors import UserError, exit_code, one_line

MODES = ("train", "evaluate", "sample")


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UserError(f"{message} (see --help)")


def parse(argv):
    """(config, workdir, mode) of a command line."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for name, default in (("config", ""), ("workdir", ""), ("mode", "train")):
        parser.add_argument(f"--{name}", default=default)
    options, others = parser.parse_known_args(argv[1:])
    config_lib.choose("--mode", options.mode, dict.fromkeys(MODES))
    if not options.config:
        raise UserError("--config is missing: try --config=configs/dcgan.py, or --help")
    for other in others:
        if not (other.startswith("--config.") and "=" in other):
            raise UserError(f"argument {other!r} is not understood: --KEY=VALUE is (see --help)")
    overrides = dict(other.removeprefix("--config.").split("=", 1) for other in others)
    config = config_lib.read(options.config, overrides)
    workdir = options.workdir or config_lib.default_workdir(options.config)
    return config, epath.Path(workdir), options.mode


def main(argv) -> int:
    """Runs a command line and returns its exit code."""
    if {"--help", "-help", "-h"} & set(argv):
        print(__doc__)
        return 0
    try:
        config, workdir, mode = parse(argv)
        verb = importlib.import_module(f"genjax.{mode}")  # heavy imports, once they are needed
        getattr(verb, mode)(config, workdir)
    except (Exception, KeyboardInterrupt) as error:
        if exit_code(error) is None:
            raise
        print(one_line(error), file=sys.stderr)
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
