"""Very deep VAEs in PyTorch: the layers of `genjax.vae.vdvae`, and their likelihood."""

import itertools
import math
import re

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
from benchmarks.peers.layers import Conv, Named, full

_BOTTLENECK = 4  # inner layers of a block have a quarter of its features
_HALF = 1 / 255  # of a level's interval, of channels in [-1, 1]


def blocks(text: str) -> list[tuple[str, int, str, int]]:
    """(name, side, "x", "d" or "m", the number behind it) of each block of a description."""
    found = []
    for word in text.split(","):
        side, kind, number = re.fullmatch(r"(\d+)([xdm])(\d+)", word).groups()
        again, shown = (int(number), side) if kind == "x" else (1, word)
        found += [(shown, int(side), kind, int(number))] * again
    return [(f"block{i}_{name}", *rest) for i, (name, *rest) in enumerate(found)]


class Block(nn.Module):
    """Four convolutions, each after a GELU; the last kernel begins with a share of the variance.
    With `added`, x is added."""

    def __init__(self, inputs: int, inner: int, features: int, side: int, share=1.0, added=False):
        super().__init__()
        size, self.added = 3 if side > 2 else 1, added
        self.conv1 = Conv(inputs, inner, 1, bias=True)
        self.conv2 = Conv(inner, inner, size, padding=size // 2, bias=True)
        self.conv3 = Conv(inner, inner, size, padding=size // 2, bias=True)
        self.conv4 = Conv(inner, features, 1, bias=True)
        self.conv4.share = share

    def forward(self, x):
        y = x
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            y = layer(F.gelu(y))
        return x + y if self.added else y


class Encoder(Named):
    """[B, C, S, S] -> {side: [B, width, side, side]}."""

    def __init__(self, model, channels: int):
        super().__init__()
        self.input = Conv(channels, model.width, 3, padding=1, bias=True)
        self.parts = blocks(model.encoder)
        for name, side, _, _ in self.parts:
            share = 1 / len(self.parts)
            inner = model.width // _BOTTLENECK
            block = Block(model.width, inner, model.width, side, share, added=True)
            self.add_module(name, block)

    def forward(self, x):
        x, found = self.input(x), {}
        for name, _, kind, number in self.parts:
            x = self.get_submodule(name)(x)
            if kind == "d":
                x = F.avg_pool2d(x, number)
            found[x.shape[2]] = x
        return found


class LatentBlock(nn.Module):
    """One latent: its prior, posterior and projection, and a residual block."""

    def __init__(self, model, side: int, share: float):
        super().__init__()
        width, inner, latent = model.width, model.width // _BOTTLENECK, model.latent
        self.prior = Block(width, inner, 2 * latent + width, side, 0.0)
        self.posterior = Block(2 * width, inner, 2 * latent, side)
        self.project = Conv(latent, width, 1, bias=True)
        self.project.share = share
        self.residual = Block(width, inner, width, side, share, added=True)
        self.latent = latent

    def forward(self, x, seen, noise):
        """(features, KL(q || p) [B] in nats, 0 of the prior's samples)."""
        said = self.prior(x)
        mean_p, log_p = full(said[:, : 2 * self.latent]).chunk(2, 1)
        kl = torch.zeros(len(x), dtype=mean_p.dtype)
        if seen is None:
            z = mean_p + log_p.exp() * noise
        else:
            mean_q, log_q = full(self.posterior(torch.cat([x, seen], 1))).chunk(2, 1)
            z = mean_q + log_q.exp() * noise
            squares = (2 * log_q).exp() + (mean_q - mean_p).square()
            kl = log_p - log_q + 0.5 * (squares * (-2 * log_p).exp() - 1)
            kl = kl.sum((1, 2, 3))
        x = x + said[:, 2 * self.latent :] + self.project(z)
        return self.residual(x), kl


class Decoder(Named):
    """Noise [B, numbers] -> the likelihood's numbers of each pixel [B, outputs, S, S], the KL."""

    def __init__(self, model, outputs: int):
        super().__init__()
        self.parts, width = blocks(model.decoder), model.width
        for side in sorted({side for _, side, _, _ in self.parts}):
            self.register_parameter(f"start{side}", nn.Parameter(torch.zeros(width, side, side)))
        for name, side, _, _ in self.parts:
            self.add_module(name, LatentBlock(model, side, 1 / len(self.parts)))
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.output = Conv(width, outputs, 1, bias=True)
        sizes = [model.latent * side**2 for _, side, _, _ in self.parts]
        self.ends = list(itertools.accumulate(sizes, initial=0))

    @property
    def numbers(self) -> int:
        return self.ends[-1]

    def forward(self, noise, seen=None):
        features, divergence = {}, 0
        for i, (name, side, kind, coarse) in enumerate(self.parts):
            own = noise[:, self.ends[i] : self.ends[i + 1]]
            own = own.unflatten(1, (side, side, -1)).permute(0, 3, 1, 2)
            if side not in features:
                start = self.get_parameter(f"start{side}")
                features[side] = start.expand(len(noise), *start.shape)
            x = features[side]
            if kind == "m":
                x = x + F.interpolate(features[coarse], size=(side, side), mode="nearest")
            at = None if seen is None else seen[side]
            features[side], kl = self.get_submodule(name)(x, at, own)
            divergence = divergence + kl
        x = torch.addcmul(self.bias[:, None, None], features[side], self.gain[:, None, None])
        return full(self.output(x)), divergence


@torch.no_grad()
def begun(network: nn.Module) -> nn.Module:
    """The network, begun as the authors': kernels as PyTorch's, some smaller; no biases."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.mul_(getattr(module, "share", 1.0) ** 0.5)
            module.bias.zero_()
    return network


def log_prob(outputs, x, mixtures: int):
    """log p(x) [B] in nats of pixels [B, C, H, W] in [-1, 1], C being 1 or 3."""
    channels, values = x.shape[1], x[:, :, None]
    logits, rest = outputs[:, :mixtures], outputs[:, mixtures:]
    rest = rest.unflatten(1, (channels, -1, mixtures))
    means, log_scales = rest[:, :, 0], rest[:, :, 1].clamp(min=-7)
    if channels == 3:
        of_green, of_blue, of_both = rest[:, :, 2].tanh().unbind(1)
        red, green = values[:, 0], values[:, 1]
        shifts = [torch.zeros_like(of_green), of_green * red, of_blue * red + of_both * green]
        means = means + torch.stack(shifts, 1)
    inverse, centred = (-log_scales).exp(), values - means
    upper, lower = inverse * (centred + _HALF), inverse * (centred - _HALF)
    middle, share = inverse * centred, upper.sigmoid() - lower.sigmoid()
    density = middle - log_scales - 2 * F.softplus(middle) + math.log(2 * _HALF)
    inner = torch.where(share > 1e-5, share.clamp(min=1e-12).log(), density)
    level = torch.where(values > 0.999, -F.softplus(lower), inner)
    level = torch.where(values < -0.999, -F.softplus(-upper), level)
    return torch.logsumexp(level.sum(1) + logits.log_softmax(1), 1).sum((1, 2))


class Peer(base.Peer):
    """Distortion and rate of a dimension, minimised by AdamW, and the average of the networks."""

    low = -1

    def __init__(self, config, variant, device, examples: base.Examples):
        super().__init__(config, variant, device)
        model, options = config.model, config.optimizer
        shape = self.hold(examples, config.train.batch_size)
        self.dimensions, self.steps = math.prod(shape), 0
        outputs = (1 + (3 if shape[2] == 3 else 2) * shape[2]) * model.mixtures
        encoder, decoder = begun(Encoder(model, shape[2])), begun(Decoder(model, outputs))
        self.encoder, self.decoder = self.place(encoder), self.place(decoder)
        self.networks = {"encoder": self.encoder, "decoder": self.decoder}
        self.parameters = [p for x in self.networks.values() for p in x.parameters()]
        self.average = [p.detach().clone() for p in self.parameters]
        adam = torch.optim.AdamW(
            self.parameters,
            lr=options.learning_rate,
            betas=(options.b1, options.b2),
            weight_decay=options.weight_decay,
            fused=True,
        )
        self.optimizers = {"all": adam}
        self._loss = self.compiled(self._losses)

    def load(self, state) -> None:
        super().load(state)
        torch._foreach_copy_(self.average, self.parameters)

    def outputs(self, inputs):
        """Of the encoder, its features of the least side; of the decoder, a sample of the prior."""
        with torch.no_grad():
            seen = self.encoder(self.tensor(inputs["encoder"]))
            drawn, _ = self.decoder(self.tensor(inputs["decoder"]))
        found = {"encoder": seen[min(seen)], "decoder": drawn}
        return {name: base.to_numpy(x) for name, x in found.items()}

    def _losses(self, image, noise):
        options = self.config.input
        seen = (image.to(self.variant.dtype) - options.mean) / options.deviation
        outputs, rate = self.decoder(noise, self.encoder(seen))
        with torch.autocast(noise.device.type, enabled=False):
            distortion = -log_prob(outputs, self.to_float(image), self.config.model.mixtures)
            distortion, rate = (x.mean() / self.dimensions for x in (distortion, rate))
        bits = (distortion + rate) / math.log(2)
        return {"bits_per_dim": bits, "distortion": distortion, "rate": rate}

    def _noise(self, image):
        return {"z": self.random(torch.randn, len(image), self.decoder.numbers)}

    def _train(self, image, label, noise):
        losses, options = self._loss(image, noise["z"]), self.config.optimizer
        (losses["distortion"] + losses["rate"]).backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, options.clip)
        warm = min(1.0, self.steps / options.warmup) if options.warmup else 1.0
        self.optimizers["all"].param_groups[0]["lr"] = options.learning_rate * warm
        if norm < options.skip:  # nor is it less where it is no number
            self.optimizers["all"].step()
            torch._foreach_lerp_(self.average, self.parameters, 1 - self.config.ema.decay)
        self.optimizers["all"].zero_grad(set_to_none=True)
        self.steps += 1
        return losses
