"""The peers train, and their variants are the same program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks import peers, workloads  # noqa: E402  (it imports torch)
from benchmarks.peers import opened, weights  # noqa: E402
from benchmarks.peers.base import Data, to_numpy  # noqa: E402
from benchmarks.peers.gan import ema_decay  # noqa: E402
from benchmarks.peers.layers import SpectralNorm  # noqa: E402
from genjax import config as config_lib  # noqa: E402
from genjax import data, rng, runs  # noqa: E402
from genjax.nn import ema  # noqa: E402
from genjax.scores import likelihoods  # noqa: E402
from tests.tiny import tiny  # noqa: E402

VARIANTS = peers.variants("cpu", "float32")


GANS = ["resnet-32", "biggan-32", "stylegan2-32", "r3gan-32"]


def _config(name):
    """Of a tiny variant, or what the parity of a workload compares."""
    if name in GANS:
        return config_lib.read(*workloads.arguments(workloads.BY_NAME[name]))
    return tiny(name)


def _make(config, variant="eager"):
    return peers.make(config, VARIANTS[variant], "cpu")


def _given(peer):
    """A batch and noise of the peer's own, in numpy and NHWC."""
    image, label = peer.data.draw()
    noise = {name: to_numpy(x) for name, x in peer._noise(image).items()}
    return {"image": to_numpy(image), "label": label.numpy()}, noise


@pytest.mark.parametrize(
    "name", ["dcgan", "sngan", "wgan-gp", "vae", "vae-conv", "cnn", "adain", *GANS]
)
def test_memory_formats_give_the_same_numbers(name):
    eager, other = (_make(_config(name), variant) for variant in ("eager", "eager channels_last"))
    for kind, network in eager.networks.items():
        other.networks[kind].load_state_dict(network.state_dict())
    for batch, noise in [_given(eager), _given(eager)]:
        ours, theirs = eager.step(batch, noise), other.step(batch, noise)
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["sngan", "vae", "vae-conv"])
def test_dense_layers_beside_pictures_know_their_order_in_memory(name):
    """Pictures with several channels: another order of pixels in each memory format."""
    config = tiny(name, **{"data.channels": 3, "data.size": 16})
    eager, other = (_make(config, variant) for variant in ("eager", "eager channels_last"))
    for kind, network in eager.networks.items():
        other.networks[kind].load_state_dict(network.state_dict())
        read = [
            weights.read(peer.networks[kind], lambda parameter: parameter)
            for peer in (eager, other)
        ]
        assert all(np.array_equal(read[0][key], read[1][key]) for key in read[0])
    random = np.random.default_rng(0)
    z, pictures = random.standard_normal((4, config.model.latent)), random.random((4, 16, 16, 3))
    kinds = {"generator": z, "discriminator": pictures, "encoder": pictures, "decoder": z}
    inputs = {kind: kinds[kind] for kind in eager.networks if kind in kinds}
    ours, theirs = eager.outputs(inputs), other.outputs(inputs)
    assert len(ours) == 2
    for kind in ours:
        np.testing.assert_allclose(ours[kind], theirs[kind], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["style-adam", "style-lbfgs"])
def test_a_style_falls_alike_in_both_memory_formats(name):
    losses = []
    for variant in ("eager", "eager channels_last"):
        peer = _make(tiny(name), variant)
        before = peer.loss()
        made = peer.evaluations
        peer.run(3)
        assert peer.evaluations - made >= 3
        losses.append(peer.loss())
        assert losses[-1] < 0.9 * before
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_lbfgs_evaluates_no_point_twice_where_a_round_ends():
    once, thrice = (_make(tiny("style-lbfgs"), "eager") for _ in range(2))
    once.run(3)
    for _ in range(3):
        thrice.run(1)
    assert once.evaluations == thrice.evaluations > 3
    assert once.loss() == thrice.loss()


def test_a_vae_trains():
    peer = _make(tiny("vae", **{"optimizer.learning_rate": 0.01}))
    first = peer.step(*_given(peer))["negative_elbo"]
    peer.run(20)
    assert peer.step(*_given(peer))["negative_elbo"] < 0.9 * first


def test_likelihoods_are_those_of_genjax():
    """Of the same networks and pictures, to what 2,000 samples leave to chance; in one part."""
    config = tiny("vae", **{"score.k": 2000, "train.batch_size": 8, "binarize": "grey"})
    run, key = runs.build(config), rng.stream(0, rng.Stream.INIT)
    state = run.devices.init(run.task.init, key, run.task.constants)
    batch = data.examples(run.dataset.test, 8)
    ours = jax.jit(likelihoods.of_batch(run.task, 2000, run.dataset.shape))(state, batch, key)
    peer = _make(config)
    peer.load(state)
    found = peer.log_likelihoods(peer.tensor(batch["image"]))
    np.testing.assert_allclose(found, ours, atol=1.0)


def test_a_round_of_a_gan():
    """Samples come from an average, which after the first round is the generator."""
    config = tiny("wgan-gp")
    peer = _make(config)
    assert peer.images_per_step == config.n_dis * config.train.batch_size
    peer.run(1)
    averages, values = (
        peer.networks["average"].state_dict(),
        peer.networks["generator"].state_dict(),
    )
    assert all(torch.equal(averages[k], x) for k, x in values.items() if x.is_floating_point())
    pictures = peer.sample(4)
    assert pictures.shape == (4, 8, 8, 1) and pictures.dtype == np.uint8
    assert peer.peak_memory_bytes() > 0


def test_every_epoch_visits_each_example_once():
    config = tiny("vae", **{"train.batch_size": 2250})
    peer = _make(config)
    batches = Data(peer, opened.given(config), 2250)
    epoch = torch.cat([batches.draw()[1] for _ in range(2)])
    assert epoch.bincount().tolist() == [450] * 10


def test_shifts():
    """A picture with one bright pixel: where it may go."""
    config = tiny("vae", **{"data.shift": 1})
    for variant in ("eager", "eager channels_last"):
        batches = _make(config, variant).data
        image = torch.zeros(400, 1, 4, 6, dtype=torch.uint8)
        image[:, :, 1, 1] = 255
        found = batches.augment(image)
        assert found.shape == image.shape
        assert found.sum(dim=(1, 2, 3)).unique().tolist() == [255]
        rows, columns = found[:, 0].nonzero()[:, 1:].T
        assert rows.unique().tolist() == [0, 1, 2]
        assert columns.unique().tolist() == [0, 1, 2]


def test_the_average_decays_as_genjax_says():
    for step in (0, 3, 1000):
        average = ema.update(jnp.float32(1), jnp.float32(0), jnp.int32(step), 8, 5000.0, 0.05)
        assert ema_decay(step, 8, 5000.0, 0.05) == pytest.approx(float(average), rel=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_spectral_norm_finds_the_largest_singular_value(layout):
    weight = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    normalize = SpectralNorm(weight)
    for _ in range(100):
        normalised = normalize(weight.to(memory_format=layout))
    assert torch.linalg.matrix_norm(normalised.flatten(1), 2) == pytest.approx(1, rel=1e-4)
    normalize.eval()
    assert torch.equal(normalize(weight.to(memory_format=layout)), normalised)


def test_variants():
    assert list(VARIANTS) == [
        "eager",
        "eager channels_last",
        "compile",
        "compile channels_last",
    ]
    assert not any(variant.tf32 or variant.autocast for variant in VARIANTS.values())
    gpu = peers.variants("gpu", "float32")
    assert {variant.compile for variant in gpu.values()} == {"", "default", "reduce-overhead"}
    assert all(variant.tf32 for variant in gpu.values())
    assert all(variant.autocast for variant in peers.variants("gpu", "bfloat16").values())


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("dcgan", "loss", "minimax"),
        ("dcgan", "model.name", "airbench"),
        ("r1", "regularizer.name", "r2"),
        ("r1", "augment.name", "ada"),
        ("stylegan2", "model.mixing", 0.5),
        ("r3gan", "model.condition", "projection"),
        ("vae", "binarize", "static"),
        ("vae", "likelihood", "laplace"),
        ("style-adam", "features.name", "vgg19"),
        ("style-adam", "style_loss.kind", "nearest"),
        ("style-adam", "style_loss.gram", "chw"),
        ("style-adam", "normalize_gradients", True),
        ("style-adam", "style", "coffee,astronaut"),
        ("style-adam", "content", "coffee,coffee"),
        ("adain", "variant", "lua"),
    ],
)
def test_what_has_no_peer_is_refused(name, key, value):
    with pytest.raises(ValueError, match="no peer") as caught:
        _make(tiny(name, **{key: value}))
    assert "\n" not in str(caught.value)
