"""Proof that a PyTorch peer computes what genjax computes.

    python -m benchmarks.parity --config=FILE[:ARG] [--config.KEY=VALUE ...] [--float64]

prints one line of JSON, {quantity: relative error}. Both sides begin with genjax's initial
parameters and get the same batches and noise: genjax's, recomputed from its keys. Compared are

- `outputs/…`: what each network makes of the first batch, in training mode;
- `gradients/…`: each network's gradients, read from Adam's first moments after the first step (a
  multiple of them from a state of zeros), or the picture's gradient, which a style state carries;
- `losses/…`: each loss over ten training steps, ours from the program that the loop runs. L-BFGS
  has another line search in PyTorch, and goes other ways: there the peer computes the objective at
  the images of our ten steps.

The relative error of an array, and of the ten values of a loss, is max |ours - theirs| / max
|theirs|; of networks with many arrays, the largest. A number of its own for each of the ten losses
would divide by losses that cross zero.

Gradients jump where a ReLU's input or a pool's lead changes sign. Among a million activations some
are closer to that than float32's rounding, and one of them changes an entry of a gradient by 1e-2
of the largest; Adam's first steps, which are nearly signs, carry that into the losses. So gradients
and losses are compared at small widths and batches, and outputs at any.

`--float64` adds the errors of both sides against the peer in float64, as `{quantity: [ours,
theirs]}`: rounding alone when they are alike.
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
from genjax.errors import OptionParser, UserError, one_line


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
    exact = follow(run, trace, peers.Variant("float64", dtype=torch.float64))
    ours, theirs = (
        compare(account, exact) for account in (trace.account, follow(run, trace, peers.EAGER))
    )
    return {name: [ours[name], theirs[name]] for name in ours}


def compare(ours: Account, theirs: Account) -> dict[str, float]:
    """{quantity: relative error}, as the module says.

    Raises:
      ValueError: the accounts are not of the same arrays.
    """
    errors = {}
    for kind, mine in ours._asdict().items():
        other = getattr(theirs, kind)
        if mine.keys() != other.keys():
            raise ValueError(f"{kind} of {sorted(mine)} and of {sorted(other)}")
        for name, value in mine.items():
            errors[f"{kind}/{name}"] = relative_error(value, other[name])
    return errors


def relative_error(ours, theirs) -> float:
    """max |ours - theirs| / max |theirs| of an array; the largest of the arrays of a dict."""
    if isinstance(ours, Mapping):
        if ours.keys() != theirs.keys():
            raise ValueError(f"parameters {sorted(ours)} and {sorted(theirs)}")
        return max(relative_error(ours[name], theirs[name]) for name in ours)
    ours, theirs = (np.asarray(x, np.float64) for x in (ours, theirs))
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes {ours.shape} and {theirs.shape}")
    difference, size = np.abs(ours - theirs).max(), np.abs(theirs).max()
    return float(difference / size) if size else float(difference)


def follow(run: runs.Run, trace: Trace, variant: peers.Variant) -> Account:
    """What the peer computes from the same state, batches and noise."""
    device = "gpu" if jax.default_backend() == "gpu" else "cpu"
    peer = peers.make(run.config, variant, device)
    peer.load(trace.states[0])
    if run.config.task == "style":
        return _follow_style(run.config, trace, peer)
    outputs = peer.outputs(trace.batches[0], trace.noises[0])
    peer.load(trace.states[0])  # the running statistics have moved
    steps, gradients = [], None
    for batch, noise in zip(trace.batches, trace.noises, strict=True):
        steps.append(peer.step(batch, noise))
        gradients = gradients or peer.moments()
    names = trace.account.losses
    return Account(outputs, gradients, {k: np.array([x[k] for x in steps]) for k in names})


def _follow_style(config, trace: Trace, peer) -> Account:
    outputs = peer.outputs({}, {})
    gradients = {"image": {"gradient": peer.objective()["gradient"]}}
    losses = []
    for state in trace.states[1:]:
        if config.optimizer.name == "lbfgs":
            peer.load(state)
            losses.append(peer.objective()["loss"])
        else:
            losses.append(peer.step({}, {})["loss"])
    return Account(outputs, gradients, {"loss": np.array(losses)})


def main(argv: list[str]) -> None:
    """Prints the JSON line.

    Raises:
      UserError: an argument or the config is wrong.
    """
    parser = OptionParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--float64", action="store_true")
    options, arguments = parser.parse_known_args(argv)
    config = config_lib.read(options.config, arguments)
    print(json.dumps(check(config) | ({"float64": witness(config)} if options.float64 else {})))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(one_line(error))
