"""Each family's tiny config, and workloads of GANs: the peer computes what genjax computes."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from benchmarks import parity, peers, workloads
from benchmarks.trace import Account, record
from genjax import config as config_lib
from genjax.devices import parallel
from genjax.errors import UserError
from tests import rounding
from tests.tiny import VARIANTS, arguments, tiny

# What is slow has the layers or the losses of one that is not.
NAMES = ["sngan", "vae", "cnn", "style-adam"]
SLOW = ["dcgan", "wgan-gp", "r1", "vae-conv", "vae-gaussian", "style-lbfgs"]
SLOW += ["resnet-32", "biggan-32", "stylegan2-32", "r3gan-32", "iwae-50", "vqvae", "vdvae-small"]
SLOW += ["style-wasserstein-256", "style-tiled-1024", "style-fast-128", "style-adain-96"]
NAMES += [pytest.param(name, marks=pytest.mark.slow) for name in SLOW]


def _config(name):
    """Of a tiny variant, or what the parity of a workload compares."""
    if name in workloads.BY_NAME and name not in VARIANTS:
        return config_lib.read(*workloads.arguments(workloads.BY_NAME[name]))
    # Which codes are dead is decided by a threshold, and no peer has that.
    return tiny(name, **({"quantizer.revive": 0.0} if name == "vqvae" else {}))


@pytest.mark.parametrize("name", NAMES)
def test_outputs_gradients_and_ten_losses_agree(name, monkeypatch):
    """As far as rounding lets them.

    That is what moving the initial parameters by a last place changes in ours, or what computing in
    float64 changes in the peer, whichever is more: a first gradient depends little on the former.
    """
    run, trace = record(_config(name))
    peer = parity.follow(run, trace, peers.EAGER)
    exact = parity.follow(run, trace, peers.Variant("float64", dtype=torch.float64))
    errors = parity.compare(trace.account, peer)
    assert {quantity.split("/")[0] for quantity in errors} == {"outputs", "gradients", "losses"}
    start, changes = parallel.Jit.init, [parity.compare(peer, exact)]
    for i in range(rounding.MOVED):
        move = rounding.mover(np.random.default_rng(i))
        monkeypatch.setattr(parallel.Jit, "init", lambda *a, move=move: move(start(*a)))
        changes.append(parity.compare(record(_config(name))[1].account, trace.account))
    pixels = trace.batches[0]["image"].size if run.dataset else 1  # of which losses are sums
    rounding.assert_within(
        {
            name: error / rounding.allowed([each[name] for each in changes], 1, pixels)
            for name, error in errors.items()
        }
    )


def test_relative_error():
    assert parity.relative_error([1.0, -3.0], [1.0, -4.0]) == 0.25
    assert parity.relative_error({"a": [1.0], "b": [2.0]}, {"a": [2.0], "b": [2.0]}) == 0.5
    assert parity.relative_error([0.0], [0.0]) == 0
    # Rounding beside a gradient of 100 is compared with a thousandth of it.
    assert parity.relative_error({"a": [0.001], "b": [1.0]}, {"a": [0.002], "b": [100.0]}) == 0.99
    assert parity.relative_error({"a": [0.001], "b": [100.0]}, {"a": [0.002], "b": [100.0]}) == 0.01


def test_nothing_is_left_out():
    ours = Account({"g": np.ones(2)}, {"g": {"w": np.ones(2)}}, {"loss": np.ones(10)})
    assert parity.compare(ours, ours) == {"outputs/g": 0, "gradients/g": 0, "losses/loss": 0}
    # A loss beside larger ones as a gradient beside larger ones.
    both = [ours._replace(losses={"kl": np.full(10, x), "loss": np.ones(10)}) for x in (2e-6, 1e-6)]
    assert parity.compare(*both)["losses/kl"] == pytest.approx(1e-3)
    with pytest.raises(ValueError, match="outputs"):
        parity.compare(ours, ours._replace(outputs={}))
    with pytest.raises(ValueError, match="parameters"):
        parity.compare(ours, ours._replace(gradients={"g": {}}))
    with pytest.raises(ValueError, match="losses"):
        parity.compare(ours, ours._replace(losses={}))
    with pytest.raises(ValueError, match="losses"):
        parity.compare(ours._replace(losses={}), ours)
    with pytest.raises(ValueError, match="shapes"):
        parity.compare(ours, ours._replace(losses={"loss": np.ones(9)}))


def test_parity_is_of_float32():
    with pytest.raises(UserError, match="bfloat16"):
        parity.check(tiny("vae", precision="bfloat16"))


def test_the_command_prints_one_line(capsys, monkeypatch):
    config_file, values = arguments("vae", {})
    monkeypatch.setattr(parity, "check", lambda config: {"latent": config.model.latent})
    options = [f"--config.{key}={value}" for key, value in values.items()]
    parity.report(["parity", f"--config={config_file}", *options])
    assert json.loads(capsys.readouterr().out) == {"latent": values["model.latent"]}


@pytest.mark.parametrize("arguments", [[], ["--confg=x"]])
def test_wrong_arguments(arguments):
    with pytest.raises(UserError, match="conf"):
        parity.report(["parity", *arguments])
