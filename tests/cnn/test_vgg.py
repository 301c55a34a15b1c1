import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.cnn import vgg
from genjax.errors import UserError
from genjax.nn import backend


@pytest.fixture(scope="module")
def weights():
    return vgg.load("vgg16")


def _ramp():
    """The picture of the known answers, f32[1, 64, 96, 3] in [0, 1]."""
    x, y = np.meshgrid(np.linspace(0, 1, 96), np.linspace(0, 1, 64))
    blue = 0.5 + 0.5 * np.sin(12 * x) * np.cos(9 * y)
    return jnp.asarray(np.stack([x, y, blue], axis=-1)[None], jnp.float32)


def test_the_weights_are_the_published_ones(weights):
    assert sum(a.size for layer in weights.values() for a in layer.values()) == 14_714_688
    kernel, bias = weights["conv1_1"]["kernel"], weights["conv1_1"]["bias"]
    np.testing.assert_allclose(kernel[0, :, 0, 0], [-0.5537306, 0.1427047, 0.5289615], rtol=1e-6)
    np.testing.assert_allclose(bias[:4], [0.403388, 0.377794, 0.464362, -0.322764], rtol=1e-5)


def test_known_answers(weights):
    """Means and traces of Gram / HW, from two independent forward passes."""
    known = {
        "relu1_2": (0.844137, 347.232),
        "relu2_2": (1.098746, 1172.838),
        "relu3_3": (1.163630, 4069.522),
        "relu4_3": (0.336302, 1402.665),
        "relu5_3": (0.131421, 203.248),
    }
    with backend.native():  # which compiles sooner
        taps = jax.jit(lambda w, x: vgg.apply(w, x, tuple(known)))(weights, _ramp())
    for name, (mean, trace) in known.items():
        np.testing.assert_allclose(taps[name].mean(), mean, rtol=1e-5)
        second_moments = jnp.square(taps[name]).mean(axis=(0, 1, 2))
        np.testing.assert_allclose(second_moments.sum(), trace, rtol=1e-5)


def test_only_what_is_asked_for(weights):
    taps = jax.eval_shape(lambda x: vgg.apply(weights, x, ("relu2_1", "relu1_1")), _ramp())
    assert {name: x.shape for name, x in taps.items()} == {
        "relu1_1": (1, 64, 96, 64),
        "relu2_1": (1, 32, 48, 128),
    }


def test_pools_differ_and_odd_sizes_work(weights):
    x = _ramp()[:, :33, :35]
    with backend.native():
        largest, mean = (
            jax.jit(lambda w, x, p=p: vgg.apply(w, x, ("relu2_1",), pool=p))(weights, x)["relu2_1"]
            for p in vgg.POOLS
        )
    assert largest.shape == mean.shape == (1, 16, 17, 128)
    assert not np.allclose(largest, mean)


def test_vgg19_has_the_published_count():
    counts, channels = 0, 3
    for name in vgg.layer_names("vgg19"):
        features = vgg.FEATURES[int(name[4]) - 1]
        counts += 9 * channels * features + features
        channels = features
    assert counts == 20_024_384


def _file(tmp_path, change):
    """A .npz of VGG16's layers up to conv1_2, with one array changed."""
    arrays = {
        "conv1_1/kernel": np.zeros((3, 3, 3, 64), np.float32),
        "conv1_1/bias": np.zeros(64, np.float32),
        "conv1_2/kernel": np.zeros((3, 3, 64, 64), np.float32),
    }
    np.savez(tmp_path / "weights.npz", **(arrays | change))
    return str(tmp_path / "weights.npz")


def test_wrong_files_are_one_line(tmp_path):
    with pytest.raises(UserError, match="has no array conv1_2/bias"):
        vgg.load("vgg16", _file(tmp_path, {}))
    with pytest.raises(UserError, match=r"conv1_1/bias has shape \(63,\), not \(64,\)"):
        vgg.load("vgg16", _file(tmp_path, {"conv1_1/bias": np.zeros(63)}))
    with pytest.raises(UserError, match=r"name a file, vgg19:PATH\.npz"):
        vgg.load("vgg19")
