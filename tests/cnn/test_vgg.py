import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.cnn import vgg
from genjax.errors import UserError
from genjax.nn import backend
from genjax.nn.conv import conv


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
    assert largest.shape == mean.shape == (1, 17, 18, 128)
    assert not np.allclose(largest, mean)


def test_input_of_caffe_by_hand():
    """BGR from 0 to 255 less its mean, at the middle of kernels that pick one channel each."""
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1] = np.eye(3)
    weights = {"conv1_1": {"kernel": kernel, "bias": np.zeros(3, np.float32)}}
    x = jnp.array([1.0, 0.5, 0.25]).reshape(1, 1, 1, 3)
    found = vgg.apply(weights, x, ("relu1_1",), lineage="caffe")["relu1_1"]
    blue_green_red = [0.0, 127.5 - 116.779, 255 - 123.68]  # 63.75 - 103.939 is below 0
    np.testing.assert_allclose(found.ravel(), blue_green_red, rtol=1e-5)


def test_input_of_caffe_with_weights_made_for_it(weights):
    """The same network, its first layer rewritten for the other input, gives the same features.

    But at the border: the zeros around it are another grey.
    """
    first = weights["conv1_1"]
    per_level = first["kernel"] / (255 * np.array(vgg.IMAGENET_STD))[:, None]
    # What the two means differ by, in levels of RGB.
    shift = np.array(vgg.CAFFE_MEAN[::-1]) - 255 * np.array(vgg.IMAGENET_MEAN)
    bias = first["bias"] + np.einsum("hwio,i->o", per_level, shift)
    theirs = weights | {"conv1_1": {"kernel": np.float32(per_level[:, :, ::-1]), "bias": bias}}
    with backend.native():
        ours, theirs = (
            jax.jit(lambda w, x, kind=kind: vgg.apply(w, x, ("relu2_1",), lineage=kind))(w, _ramp())
            for w, kind in ((weights, "torchvision"), (theirs, "caffe"))
        )
    inside = (slice(None), slice(3, -3), slice(3, -3))
    ours, theirs = ours["relu2_1"][inside], theirs["relu2_1"][inside]
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(ours.max()))


@pytest.mark.parametrize("pool", vgg.POOLS)
@pytest.mark.parametrize(("height", "width"), [(111, 111), (127, 127), (97, 65)])
def test_no_border_is_left_out(pool, height, width):
    """The gradient at the last row and column is as large as at those beside them."""
    random, channels, weights = np.random.default_rng(0), 3, {}
    for name in vgg.layer_names("vgg16")[:11]:
        kernel = random.normal(size=(3, 3, channels, 4), scale=np.sqrt(2 / 9 / channels))
        weights[name] = {"kernel": np.float32(kernel), "bias": np.zeros(4, np.float32)}
        channels = 4
    x = jnp.asarray(random.uniform(size=(1, height, width, 3)), jnp.float32)
    taps = tuple(f"relu{block}_1" for block in (2, 3, 4, 5))  # behind one pool to behind four

    @jax.jit
    @backend.native()
    def slopes(x):
        found, pull = jax.vjp(lambda x: vgg.apply(weights, x, taps, pool=pool), x)
        zeros = jax.tree.map(jnp.zeros_like, found)
        return {tap: pull(zeros | {tap: found[tap]})[0] for tap in taps}

    for tap, slope in slopes(x).items():
        rows, columns = (np.sqrt(np.mean(np.square(slope), axis=a)) for a in ((0, 2, 3), (0, 1, 3)))
        for size in (rows, columns):
            assert size[-1] > 0.3 * size[-9:-1].mean(), (tap, size[-9:])


def test_a_border_that_is_repeated(weights):
    """What the first layer sees is a larger picture, of which it leaves the border out."""
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 5, 7, 3)), jnp.float32)
    larger = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    found = vgg.apply(weights, x, ("relu1_1",), border="replicate")["relu1_1"]
    expected = vgg.apply(weights, larger, ("relu1_1",))["relu1_1"][:, 1:-1, 1:-1]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_border_that_is_reflected(weights):
    """In each layer what is at the edge comes again inside out, as PyTorch's "reflect" has it."""
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(1, 5, 7, 3)), jnp.float32)
    inputs = {"conv1_1": vgg.INPUTS["torchvision"](x)}
    expected = {}
    with backend.native():
        found = vgg.apply(weights, x, ("relu1_1", "relu1_2"), border="reflect")
        inputs["conv1_2"] = found["relu1_1"]
        for name, seen in inputs.items():
            wide = np.pad(np.asarray(seen), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
            summed = conv(jnp.asarray(wide), jnp.asarray(weights[name]["kernel"]))
            expected[name] = jax.nn.relu(summed + weights[name]["bias"][None, None, None])
    for name, picture in expected.items():
        tap = found[name.replace("conv", "relu")]
        np.testing.assert_allclose(tap, picture, rtol=1e-4, atol=1e-5)


def test_vgg19_has_the_published_count():
    counts = [9 * taken * given + given for taken, given in vgg.channels("vgg19").values()]
    assert sum(counts) == 20_024_384


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
