"""VQ-GAN's step in PyTorch, as Esser et al. 2021 (arXiv:2012.09841) define it.

Functions of the same parameters that genjax's networks have, {name: tensor} as Linen nests them, of
images f[B, C, H, W] in [-1, 1].
"""

import itertools

import torch
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

GROUPS, BETA, FACTOR, DELTA = 2, 0.25, 0.8, 1e-4


def _counted(p):
    """`next_of(kind)`: the parameters of the next layer of a kind, as Linen numbers them."""
    counts = {}

    def next_of(kind):
        return p[f"{kind}_{next(counts.setdefault(kind, itertools.count()))}"]

    return next_of


def _conv(p, x, stride=1, padding=None):
    kernel = p["kernel"]
    padding = kernel.shape[-1] // 2 if padding is None else padding
    return F.conv2d(x, kernel, p.get("bias"), stride, padding)


def _norm(p, x):
    return F.group_norm(x, GROUPS, p["scale"], p["bias"], eps=1e-6)


def _residual(p, x):
    of = _counted(p)
    y = _conv(of("Conv"), F.silu(_norm(of("GroupNorm"), x)))
    y = _conv(of("Conv"), F.silu(_norm(of("GroupNorm"), y)))
    return y + (x if x.shape[1] == y.shape[1] else _conv(of("Conv"), x))


def _attention(p, x):
    """Of each pixel over all, one picture after the other."""
    y = _norm(p["GroupNorm_0"], x)
    q, k, v = (_conv(p[name], y).flatten(2) for name in "qkv")
    pictures = []
    for queries, keys, values in zip(q, k, v, strict=True):
        weights = torch.softmax(queries.T @ keys / len(queries) ** 0.5, dim=1)
        pictures.append(values @ weights.T)
    return x + _conv(p["out"], torch.stack(pictures).reshape(x.shape))


def _middle(of, x):
    x = _residual(of("Residual"), x)
    return _residual(of("Residual"), _attention(of("Attention"), x))


def _level(of, x, blocks, attention):
    for _ in range(blocks):
        x = _residual(of("Residual"), x)
        if x.shape[2] == attention:
            x = _attention(of("Attention"), x)
    return x


def encoded(p, x, levels, blocks, attention):
    of = _counted(p)
    x = _conv(of("Conv"), x)
    for i in range(levels):
        if i:
            x = _conv(of("Conv"), F.pad(x, (0, 1, 0, 1)), stride=2, padding=0)
        x = _level(of, x, blocks, attention)
    x = _conv(of("Conv"), F.silu(_norm(of("GroupNorm"), _middle(of, x))))
    return _conv(of("Conv"), x)


def decoded(p, z, levels, blocks, attention):
    of = _counted(p["inner"])
    z = _conv(of("Conv"), z)
    x = _middle(of, _conv(of("Conv"), z))
    for i in range(levels):
        if i:
            x = _conv(of("Conv"), F.interpolate(x, scale_factor=2, mode="nearest"))
        x = _level(of, x, blocks + 1, attention)
    return _conv(p["last"], F.silu(_norm(of("GroupNorm"), x)))


def quantized(book, z):
    """(the nearest vectors with z's gradient, what they cost)."""
    flat = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
    index = torch.cdist(flat, book).argmin(1)
    e = book[index].reshape(len(z), *z.shape[2:], -1).permute(0, 3, 1, 2)
    cost = BETA * ((z - e.detach()) ** 2).mean() + ((e - z.detach()) ** 2).mean()
    return z + (e - z).detach(), cost


def judged(p, x, layers):
    """The logits of patches."""
    of = _counted(p)
    x = F.leaky_relu(_conv(of("Conv"), x, 2, 1), 0.2)
    for n in range(1, layers + 1):
        x, norm = _conv(of("Conv"), x, 2 if n < layers else 1, 1), of("BatchNorm")
        x = F.batch_norm(x, None, None, norm["scale"], norm["bias"], training=True)
        x = F.leaky_relu(x, 0.2)
    return _conv(of("Conv"), x, 1, 1)


def losses(p, x, form, layers, distance, started):
    """({"autoencoder": loss, "discriminator": loss}, the metrics of genjax by their names).

    Args:
      p: {"encoder", "decoder", "book", "discriminator": parameters}.
      form: (levels, blocks, attention); layers: of the discriminator.
      distance: `(x, y) -> f[B]`, in the place of LPIPS.
    """
    z, of_codes = quantized(p["book"], encoded(p["encoder"], x, *form))
    y = decoded(p["decoder"], z, *form)
    l1, perceptual = (x - y).abs().mean(), distance(x, y).mean()
    found = {"l1": l1, "perceptual": perceptual, "commitment": of_codes}
    reconstruction = l1 + perceptual
    found["loss"] = reconstruction + of_codes
    if not started:
        return {"autoencoder": found["loss"]}, found
    fooling = -judged(p["discriminator"], y, layers).mean()
    kernel = p["decoder"]["last"]["kernel"]
    slopes = [
        torch.autograd.grad(loss, kernel, retain_graph=True)[0].norm()
        for loss in (reconstruction, fooling)
    ]
    weight = FACTOR * torch.clamp(slopes[0] / (slopes[1] + DELTA), 0, 1e4).detach()
    on_real, on_fake = (judged(p["discriminator"], each.detach(), layers) for each in (x, y))
    of_d = 0.5 * (F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean())
    found |= {"g_loss": fooling, "adaptive_weight": weight, "d_loss": of_d}
    return {"autoencoder": found["loss"] + weight * fooling, "discriminator": of_d}, found
