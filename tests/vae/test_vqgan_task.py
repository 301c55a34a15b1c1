"""VQ-GAN's step against PyTorch, and what its task refuses."""

from types import SimpleNamespace
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.errors import UserError
from genjax.metrics import lpips
from genjax.nn import backend
from genjax.task import Inputs
from genjax.vae import vqgan_task
from tests.tiny import tiny

KEY, SIZE, RATE = jax.random.key(3), 16, 1e-2
START = 1  # the step from which on the discriminator has its say
PERCEPTUAL = 3.0
NETWORKS = ("encoder", "decoder", "discriminator")


def _config(**values):
    form = {"model.multipliers": (1, 2), "model.attention": (8,), "discriminator.layers": 2}
    of_step = {
        "quantizer.learned_by": "loss",
        "perceptual.weight": 1.0,
        "adversarial.weight": 0.8,
        "adversarial.start": START,
        "optimizer.learning_rate": RATE,
    }
    return tiny("vqgan", **(form | of_step | values))


def _build(config, size=SIZE):
    dataset = SimpleNamespace(shape=(size, size, 3), classes=1, train=None)
    return vqgan_task.build(config, Inputs(dataset, None))


def _distance(net, weights, a, b):
    """In the place of LPIPS, of pictures in [0, 1]."""
    return weights * jnp.square(a - b).mean((1, 2, 3))


@pytest.fixture(scope="module")
def step():
    """(the state before, batch of images, `step -> (state, metrics)` at a number of steps)."""
    random = np.random.default_rng(0)
    with (
        mock.patch.object(lpips, "load", lambda net: SimpleNamespace(weights=PERCEPTUAL)),
        mock.patch.object(lpips, "distance", _distance),
        backend.native(),  # which compiles sooner; tests/nn compares ours with these
    ):
        task = _build(_config())
        state = jax.jit(task.init)(KEY, {})
        moved = {
            name: jax.tree.map(
                lambda x: x + jnp.asarray(0.1 * random.normal(size=x.shape), x.dtype),
                getattr(state, name),
            )
            for name in (*NETWORKS, "quantizer")
        }
        state = state.replace(**moved)
        image = jnp.asarray(random.integers(0, 256, (4, SIZE, SIZE, 3)), jnp.uint8)
        batch = {"image": image, "lpips": jnp.float32(PERCEPTUAL)}
        compiled = jax.jit(lambda state: task.step(state, batch, KEY, None))
        found = {n: compiled(state.replace(step=jnp.int32(n))) for n in (START - 1, START)}
    return state, image, found


@pytest.mark.parametrize("started", [False, True])
def test_a_step_as_in_pytorch(step, started):
    """Losses, the adaptive weight, gradients (of which a first moment of Adam's is half) and the
    parameters after it."""
    torch = pytest.importorskip("torch")
    from tests.gan.in_torch import flat, images, tensors
    from tests.vae import vqgan_in_torch

    state, image, found = step
    after, metrics = found[START if started else START - 1]
    p = {name: tensors(getattr(state, name)["params"], np.float64) for name in NETWORKS}
    p["book"] = torch.from_numpy(np.array(state.quantizer["params"]["codes"], np.float64))
    leaves = dict(flat(p))
    for leaf in leaves.values():
        leaf.requires_grad_()
    losses, expected = vqgan_in_torch.losses(
        p,
        images(image, np.float64) / 127.5 - 1,
        form=(2, 1, 8),
        layers=2,
        distance=lambda x, y: PERCEPTUAL * (((x - y) / 2) ** 2).mean((1, 2, 3)),
        started=started,
    )
    for name, value in expected.items():
        assert float(metrics[name]) == pytest.approx(value.item(), rel=1e-4), name

    of_d = {name: leaf for name, leaf in leaves.items() if name[0] == "discriminator"}
    of_autoencoder = {name: leaf for name, leaf in leaves.items() if name not in of_d}
    moments = {
        **dict(zip(("encoder", "decoder", "book"), after.optimizer[0].mu, strict=True)),
        "discriminator": after.discriminator_optimizer[0].mu,
    }
    moments["book"] = moments["book"]["codes"]
    ours = dict(flat({name: tensors(tree, np.float64) for name, tree in moments.items()}))
    new = {name: tensors(getattr(after, name)["params"], np.float64) for name in NETWORKS}
    new["book"] = torch.from_numpy(np.array(after.quantizer["params"]["codes"], np.float64))
    new = dict(flat(new))
    for network, chosen in (("autoencoder", of_autoencoder), ("discriminator", of_d)):
        if network not in losses:
            continue
        grads = torch.autograd.grad(losses[network], list(chosen.values()), retain_graph=True)
        largest = max(grad.abs().max() for grad in grads)
        for (name, leaf), grad in zip(chosen.items(), grads, strict=True):
            difference = (2 * ours[name] - grad).abs().max() / largest
            assert difference < 1e-4, (name, difference)
            # Adam's first step is the rate, against the sign, where that is no rounding.
            clear = grad.abs() > 1e-3 * largest
            moved = leaf.detach() - RATE * grad.sign()
            assert torch.allclose(new[name][clear], moved[clear], atol=1e-3 * RATE), name


def test_before_its_start_the_discriminator_has_no_part(step):
    state, _, found = step
    after, metrics = found[START - 1]
    for name in ("discriminator", "discriminator_optimizer"):
        same = jax.tree.map(np.array_equal, getattr(state, name), getattr(after, name))
        assert all(jax.tree.leaves(same)), name
    assert all(float(metrics[name]) == 0 for name in ("g_loss", "d_loss", "adaptive_weight"))
    later, metrics = found[START]
    assert float(metrics["adaptive_weight"]) > 0 and float(metrics["d_grad_norm"]) > 0
    assert not np.allclose(*(x.decoder["params"]["last"]["kernel"] for x in (after, later)))


def test_what_it_refuses():
    with pytest.raises(UserError, match=r"perceptual.weight=0 or data.size=16"):
        _build(_config(**{"discriminator.layers": 1}), size=8)
    _build(_config(**{"discriminator.layers": 1, "perceptual.weight": 0.0}), size=8)
    with pytest.raises(
        UserError, match=r"quantizer.spread='code' is unknown; did you mean 'codes'"
    ):
        _build(_config(**{"quantizer.spread": "code"}))
    with pytest.raises(UserError, match=r"data.size to a multiple of 2"):
        _build(_config(), size=17)
    with pytest.raises(UserError, match=r"model.groups=3 does not divide all features, \(4, 8\)"):
        _build(_config(**{"model.groups": 3}))
