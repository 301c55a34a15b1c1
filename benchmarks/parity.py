"""Proof that a PyTorch peer computes what genjax computes.

    python -m benchmarks.parity --config=FILE[:ARG] [--config.KEY=VALUE ...] [--float64]

prints one line of JSON, {quantity: relative error}: of `outputs/NETWORK`, `gradients/NETWORK` and
`losses/NAME`, as docs/benchmarks.md says. `--float64` adds the errors of both sides against the
peer in float64, {quantity: [ours, theirs]}: rounding alone when they are alike.
"""

import json
import sys
from collections.abc import Mapping, Sequence

import jax
import numpy as np
import torch

from benchmarks import peers
from benchmarks.trace import Account, Trace, record
from genjax import config as config_lib
from genjax import runs
from genjax.errors import OptionParser, run_program

# What is 0 but for rounding has no relative error of its own, such as the gradient of a bias before
# a BatchNorm, or a KL divergence as a training begins: a gradient that is less than this share of
# its network's largest, and a loss of the largest loss, is compared with that.
_NOTHING = 1e-3


def measure(config: str, arguments: Sequence[str]) -> dict[str, float]:
    """`check` of the config that `genjax.config.read` makes of these."""
    return check(config_lib.read(config, arguments))


def check(config) -> dict[str, float]:
    """{quantity: relative error} of genjax against the eager peer, in float32.

    Raises:
      UserError: the config is wrong, or of another precision.
    """
    run, trace = record(config)
    return compare(trace.account, follow(run, trace, peers.EAGER))


def witness(config) -> dict[str, list[float]]:
    """{quantity: [genjax' error, the float32 peer's]} against the peer in float64."""
    run, trace = record(config)
    peer = follow(run, trace, peers.EAGER)
    exact = follow(run, trace, peers.Variant("float64", dtype=torch.float64))
    ours, theirs = compare(trace.account, exact), compare(peer, exact)
    return {name: [ours[name], theirs[name]] for name in ours}


def follow(run: runs.Run, trace: Trace, variant: peers.Variant) -> Account:
    """What the peer computes from the same state, batches and noise."""
    device = "gpu" if jax.default_backend() == "gpu" else "cpu"
    peer = peers.make(run.config, variant, device)
    peer.load(trace.start)
    outputs = peer.outputs(trace.inputs)
    peer.load(trace.start)  # the running statistics have moved
    steps, gradients = [], None
    for batch, noise in zip(trace.batches, trace.noises, strict=True):
        steps.append(peer.step(batch, noise))
        gradients = gradients or peer.gradients()
    losses = {name: np.array([step[name] for step in steps]) for name in steps[0]}
    return Account(outputs, gradients, losses)


def compare(ours: Account, theirs: Account) -> dict[str, float]:
    """{quantity: relative error} of all that the peer has.

    Raises:
      ValueError: it lacks an output or a gradient, has a loss that we lack, or has none.
    """
    errors = {}
    for kind, found in theirs._asdict().items():
        mine = getattr(ours, kind)
        unlike = found.keys() - mine.keys() if kind == "losses" else found.keys() ^ mine.keys()
        if unlike or not found:
            raise ValueError(f"{kind} of {sorted(mine)} and of {sorted(found)}")
        least = _NOTHING * max(map(_largest, found.values())) if kind == "losses" else 0.0
        errors |= {
            f"{kind}/{name}": relative_error(mine[name], x, least) for name, x in found.items()
        }
    return errors


def relative_error(ours, theirs, least: float = 0.0) -> float:
    """max |ours - theirs| / max |theirs| of an array; the largest of the arrays of a dict.

    Args:
      least: the divisor of an array is at least this much.
    """
    if isinstance(ours, Mapping):
        if ours.keys() != theirs.keys():
            raise ValueError(f"parameters {sorted(ours)} and {sorted(theirs)}")
        least = _NOTHING * max(map(_largest, theirs.values()))
        return max(relative_error(ours[name], theirs[name], least) for name in ours)
    ours, theirs = (np.asarray(x, np.float64) for x in (ours, theirs))
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes {ours.shape} and {theirs.shape}")
    difference, size = np.abs(ours - theirs).max(), max(np.abs(theirs).max(), least)
    return float(difference / size) if size else float(difference)


def _largest(x) -> float:
    return float(np.abs(x).max())


def report(argv: list[str]) -> None:
    """Prints the JSON line of a command line."""
    parser = OptionParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--float64", action="store_true")
    options, arguments = parser.parse_known_args(argv[1:])
    config = config_lib.read(options.config, arguments)
    print(json.dumps(check(config) | ({"float64": witness(config)} if options.float64 else {})))


if __name__ == "__main__":
    sys.exit(run_program(sys.argv, __doc__, report))
