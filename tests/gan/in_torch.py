"""StyleGAN2's and R3GAN's networks in PyTorch, as their papers' definitions say it.

Functions of the same parameters that genjax's networks have, {name: array} as Linen nests them, and
of images f[B, C, H, W], in float32 or float64 as they are given. They are as plain as can be: a
kernel for each example, zeros between pixels before a filter.
"""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

_FILTER = torch.tensor(np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64)


def tensors(tree, dtype=np.float32):
    """Arrays as tensors, convolutions' kernels f[k, k, Cin, Cout] as f[Cout, Cin, k, k]."""
    if isinstance(tree, dict):
        return {name: tensors(value, dtype) for name, value in tree.items()}
    x = torch.from_numpy(np.array(tree, dtype))
    return x.permute(3, 2, 0, 1).contiguous() if x.ndim == 4 else x


def images(x, dtype=np.float32):
    """f[B, H, W, C] -> f[B, C, H, W]."""
    return torch.from_numpy(np.array(x, dtype)).permute(0, 3, 1, 2)


def assert_close(ours, theirs, tolerance=1e-5):
    """Equal up to a share of the largest number."""
    theirs = theirs.detach().numpy()
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance)


def assert_discriminates_alike(judge, d, x, theirs):
    """Logits, and the gradient by the parameters of the mean square slope of logits.

    Args:
      judge: `(parameters, images f32[B, H, W, C]) -> logits`; d, x: what it is called with.
      theirs: the same in PyTorch, of `tensors(d)` and images f32[B, C, H, W].
    """

    def penalty(d):
        return jnp.square(jax.grad(lambda x: judge(d, x).sum())(x)).sum((1, 2, 3)).mean()

    logits, gradient = jax.jit(lambda d: (judge(d, x), jax.grad(penalty)(d)))(d)
    p, there = tensors(d), images(x).requires_grad_()
    for _, value in flat(p):
        value.requires_grad_()
    expected = theirs(p, there)
    assert_close(logits, expected)
    (slopes,) = torch.autograd.grad(expected.sum(), there, create_graph=True)
    (slopes**2).sum((1, 2, 3)).mean().backward()
    zeros = torch.zeros_like
    grads = {name: zeros(v) if v.grad is None else v.grad for name, v in flat(p)}
    scale = max(value.abs().max() for value in grads.values())
    for name, value in flat(tensors(gradient)):
        np.testing.assert_allclose(value / scale, grads[name] / scale, atol=1e-4, err_msg=str(name))


def flat(tree, path=()):
    """((name, ...), value) of each leaf of nested dictionaries."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, (*path, name))
        else:
            yield (*path, name), value


def leaky(x):
    return F.leaky_relu(x, 0.2)


def _filtered(x, before, after, gain=1.0, stride=1):
    x = F.pad(x, (before, after, before, after))
    kernel = (gain * _FILTER).to(x.dtype).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(x, kernel, stride=stride, groups=x.shape[1])


def up(x):
    b, c, h, w = x.shape
    wide = torch.zeros(b, c, h, 2, w, 2, dtype=x.dtype)
    wide[:, :, :, 0, :, 0] = x
    return _filtered(wide.reshape(b, c, 2 * h, 2 * w), 2, 1, gain=4)


def down(x):
    return _filtered(x, 1, 1, stride=2)


def _one_hot(label, kernel):
    """As many classes as a kernel has rows, in its type."""
    return F.one_hot(label, len(kernel)).to(kernel.dtype)


# StyleGAN2


def _dense(p, x, rate=1.0):
    kernel = p["kernel"] * rate / x.shape[1] ** 0.5
    return x @ kernel + p["bias"] * rate


def _conv(p, x, resample=""):
    _, inputs, k, _ = p["kernel"].shape
    kernel = p["kernel"] / (inputs * k * k) ** 0.5
    if resample == "down" and k == 3:
        x = F.conv2d(_filtered(x, 2, 2), kernel, stride=2)
    elif resample == "down":
        x = F.conv2d(down(x), kernel)
    elif resample == "up":
        x = up(F.conv2d(x, kernel))
    else:
        x = F.conv2d(x, kernel, padding=k // 2)
    return x + p["bias"][:, None, None] if "bias" in p else x


def modulated(x, kernel, style, demodulate=True, doubled=False):
    """Each example's own kernel, and its own convolution."""
    outputs = []
    for image, s in zip(x, style, strict=True):
        own = kernel * s[None, :, None, None]
        if demodulate:
            own = own * torch.rsqrt((own**2).sum((1, 2, 3), keepdim=True) + 1e-8)
        if doubled:
            y = F.conv_transpose2d(image[None], own.transpose(0, 1), stride=2)
            y = _filtered(y, 1, 1, gain=4)
        else:
            y = F.conv2d(image[None], own, padding=kernel.shape[-1] // 2)
        outputs.append(y)
    return torch.cat(outputs)


def _normalised(x):
    return x * torch.rsqrt((x**2).mean(1, keepdim=True) + 1e-8)


def mapping(p, z, label=None):
    inputs = [] if z is None else [_normalised(z)]
    if "embed" in p:
        one_hot = _one_hot(label, p["embed"]["kernel"])
        inputs.append(_normalised(_dense(p["embed"], one_hot)))
    w = torch.cat(inputs, 1)
    for i in range(sum(name.startswith("layer") for name in p)):
        w = leaky(_dense(p[f"layer{i}"], w, 0.01)) * 2**0.5
    return w


def _styled(p, x, w, noise, doubled=False, gain=1.0):
    y = modulated(x, p["kernel"], _dense(p["affine"], w), doubled=doubled)
    y = y + p["noise_strength"] * noise + p["bias"][:, None, None]
    return leaky(y) * 2**0.5 * gain


def _pixels(p, x, w):
    style = _dense(p["affine"], w) / x.shape[1] ** 0.5
    return modulated(x, p["kernel"], style, demodulate=False) + p["bias"][:, None, None]


def synthesis(p, noise, ws, size, residual):
    """`noise`: {layer: {"noise": f[H, W] or f[B, 1, H, W]}}."""
    x = p["const"].permute(2, 0, 1)[None].expand(len(ws), -1, -1, -1)
    x = _styled(p["conv_4"], x, ws[:, 0], noise["conv_4"]["noise"])
    index, image = 1, None if residual else _pixels(p["pixels_4"], x, ws[:, 1])
    side = 8
    while side <= size:
        conv, double = f"conv_{side}", f"up_{side}"
        gain = 0.5**0.5 if residual else 1.0
        y = _styled(p[double], x, ws[:, index], noise[double]["noise"], doubled=True)
        y = _styled(p[conv], y, ws[:, index + 1], noise[conv]["noise"], gain=gain)
        x = y + _conv(p[f"shortcut_{side}"], x, "up") * 0.5**0.5 if residual else y
        index += 2
        if not residual or side == size:
            pixels = _pixels(p[f"pixels_{side}"], x, ws[:, index])
            image = pixels if image is None else up(image) + pixels
        side *= 2
    return image


def deviation(x, group):
    n, c, h, w = x.shape
    g = min(group, n)
    y = x.reshape(g, n // g, c, h, w)
    y = ((y - y.mean(0)) ** 2).mean(0).add(1e-8).sqrt().mean((1, 2, 3))
    return torch.cat([x, y.reshape(-1, 1, 1, 1).repeat(g, 1, h, w)], 1)


def stylegan2_discriminator(p, x, size, group, label=None):
    x = leaky(_conv(p["pixels"], x)) * 2**0.5
    while size > 4:
        y = leaky(_conv(p[f"conv_{size}"], x)) * 2**0.5
        y = leaky(_conv(p[f"down_{size}"], y, "down")) * 2**0.5
        if f"shortcut_{size}" in p:
            y = (y + _conv(p[f"shortcut_{size}"], x, "down")) * 0.5**0.5
        x, size = y, size // 2
    x = leaky(_conv(p["conv_4"], deviation(x, group))) * 2**0.5
    x = x.permute(0, 2, 3, 1).flatten(1)  # the order of genjax's parameters
    x = leaky(_dense(p["dense"], x)) * 2**0.5
    x = _dense(p["logit"], x)
    if "mapping" not in p:
        return x[:, 0]
    return (x * mapping(p["mapping"], None, label)).sum(1) / x.shape[1] ** 0.5


# R3GAN


def _pointwise(p, x):
    return F.conv2d(x, p["kernel"])


def _block(p, x, groups):
    y = leaky(_pointwise(p["expand"], x) + p["bias0"][:, None, None])
    y = F.conv2d(y, p["grouped"], padding=1, groups=groups)
    return x + _pointwise(p["contract"], leaky(y + p["bias1"][:, None, None]))


def _blocks(p, x, side, groups):
    for i in range(sum(name.startswith("block") and name.endswith(f"_{side}") for name in p)):
        x = _block(p[f"block{i}_{side}"], x, groups)
    return x


def _embedded(p, label):
    return _one_hot(label, p["kernel"]) @ p["kernel"]


def r3gan_generator(p, z, groups, label):
    if "embed" in p:
        z = torch.cat([z, _embedded(p["embed"], label)], 1)
    x = p["basis"].permute(2, 0, 1) * (z @ p["latent"]["kernel"])[:, :, None, None]
    for i, parts in enumerate(groups):
        if i:
            if f"width_{4 << i}" in p:
                x = _pointwise(p[f"width_{4 << i}"], x)
            x = up(x)
        x = _blocks(p, x, 4 << i, parts)
    return _pointwise(p["pixels"], x)


def r3gan_discriminator(p, x, groups, label):
    x = _pointwise(p["pixels"], x)
    for i, parts in reversed(list(enumerate(groups))):
        x = _blocks(p, x, 4 << i, parts)
        if i:
            x = down(x)
            if f"width_{4 << i}" in p:
                x = _pointwise(p[f"width_{4 << i}"], x)
    x = F.conv2d(x, p["basis"].permute(2, 0, 1)[:, None], groups=x.shape[1])[:, :, 0, 0]
    x = x @ p["logit"]["kernel"]
    return (x * _embedded(p["embed"], label)).sum(1) if "embed" in p else x[:, 0]
