"""Trains, evaluates, samples, stylises: one experiment config, one workdir, any number of devices.

    python main.py --config=configs/NAME.py[:ARG] [--workdir=DIR] [--mode=MODE] [--config.KEY=X ...]
                   [--step=N|latest|best]
                   [--coordinator=HOST:PORT --processes=N --process_id=I | --coordinator=auto]
    python main.py --mode=stylize --workdir=DIR --input=FILE|DIR|FRAMES|run:DIR --output=FILE|DIR
    python main.py --mode=score --real=PICTURES --fake=PICTURES [--net=NET] [--metrics=A,B,...]
                   [--n=N] [--size=PX] [--workdir=DIR]
    python main.py --mode=compare SCORES.jsonl SCORES.jsonl ...

Modes:
  train     trains from the start, or goes on from the workdir's newest checkpoint (default)
  evaluate  scores a checkpoint on held-out data and its samples beside the data: scores.jsonl
  sample    draws pictures from a checkpoint, without the data: samples.npz and samples.png; with
            --config.sample.kind, a truncation, an interpolation or a projection (docs/gan.md)
  stylize   paints pictures, frames in quotes ("frames/*.png") or another run's samples with a
            trained network; --config.stylize.KEY=X says how (docs/style.md)
  score     compares two sets of pictures and appends to scores.jsonl in --workdir (runs/score)
  compare   prints scores side by side, where they measured the same

ARG is key=value,key=value; the files in configs/ say which keys each has, and what every config key
means. --workdir defaults to runs/NAME. Ctrl-C or SIGTERM saves and ends with exit code 75; the same
command goes on. Other exit codes: 0 done; 2 yours to mend, one line says what; 1 anything else.
PICTURES are a folder, a .npz with `images`, a data set's split such as mnist:test, or run:WORKDIR;
NET is lite0, vgg16, cnn:WORKDIR or inception:PATH; docs/scores.md says more of both and of metrics.
A run over several processes is this command in each, with the place to meet: see docs/cloud.md.
"""

import gc
import importlib
import sys

from genjax import command
from genjax.errors import run_program


def _run(argv):
    gc.set_threshold(100_000, 20, 100)  # what is imported and traced stays: a tenth of a start
    asked = command.parse(argv)
    importlib.import_module("genjax.devices.cache").enable()  # heavy imports, once needed
    processes = importlib.import_module("genjax.devices.processes")
    processes.start(*asked.start)
    verb = getattr(importlib.import_module(f"genjax.{asked.mode}"), asked.mode)
    processes.run(verb, *asked.arguments)


def main(argv) -> int:
    """Runs a command line and returns its exit code."""
    return run_program(argv, __doc__, _run)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
