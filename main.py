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

import importlib
import sys

from absl import flags
from etils import epath
from ml_collections import config_flags

from genjax import config as config_lib
from genjax import errors


def parse(argv):
    """(config, workdir, mode) of a command line."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=values)
    flags.DEFINE_string("workdir", "", "where the run lives", flag_values=values)
    modes = ("train", "evaluate", "sample")
    flags.DEFINE_enum("mode", "train", modes, "what to do", flag_values=values)
    try:
        unused = values(argv)[1:]
        if values.config is None:
            raise errors.UserError("--config is missing: try --config=configs/dcgan.py, or --help")
        config = values.config.copy_and_resolve_references()  # a config that failed says so here
    except (flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise errors.UserError(str(error)) from None
    if unused:
        raise errors.UserError(f"argument {unused[0]!r} is not understood: options start with --")
    workdir = values.workdir or config_lib.default_workdir(values["config"].config_filename)
    return config, epath.Path(workdir), values.mode


def main(argv) -> int:
    """Runs a command line and returns its exit code."""
    if {"--help", "-help", "-h"} & set(argv):
        print(__doc__)
        return 0
    try:
        config, workdir, mode = parse(argv)
        verb = importlib.import_module(f"genjax.{mode}")  # heavy imports, once they are needed
        getattr(verb, mode)(config, workdir)
    except Exception as error:
        if errors.exit_code(error) is None:
            raise
        print(errors.one_line(error), file=sys.stderr)
        return errors.exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
