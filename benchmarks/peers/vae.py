"""The VAEs in PyTorch: the layers of `genjax.vae.mlp` and `conv`, and both bounds."""

import contextlib
import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
from benchmarks.peers.layers import Conv, Float, FromPicture, ToPicture, lecun, relu, up


def _mlp(model, shape) -> tuple[nn.Sequential, nn.Sequential]:
    height, width, channels = shape
    picture, sizes = (channels, height, width), [*model.hidden, 2 * model.latent]
    activation = ACTIVATIONS[model.activation]
    encoder = [FromPicture(picture, sizes[0])]
    for inputs, outputs in itertools.pairwise(sizes):
        encoder += [activation(), nn.Linear(inputs, outputs)]
    sizes, decoder = [model.latent, *reversed(model.hidden)], []
    for inputs, outputs in itertools.pairwise(sizes):
        decoder += [nn.Linear(inputs, outputs), activation()]
    decoder += [ToPicture(sizes[-1], picture)]
    encoder += [Float(), LogVariance(SPREADS[model.spread])]
    return nn.Sequential(*encoder), nn.Sequential(*decoder, Float())


class LogVariance(nn.Module):
    """The second half of the last layer's numbers times a factor, 2 for those of deviations."""

    def __init__(self, factor: int):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        if self.factor == 1:
            return x
        mean, spread = x.chunk(2, dim=1)
        return torch.cat([mean, self.factor * spread], dim=1)


def _conv(model, shape) -> tuple[nn.Sequential, nn.Sequential]:
    height, width, channels = shape
    encoder, features = [], [channels, *(model.width << level for level in range(4))]
    for inputs, outputs in itertools.pairwise(features):
        encoder += [Conv(inputs, outputs, 4, 2, 1), nn.BatchNorm2d(outputs), relu()]
    encoder += [FromPicture((features[-1], height // 16, width // 16), 2 * model.latent)]
    small = (8 * model.width, height // 4, width // 4)
    decoder = [ToPicture(model.latent, small, bias=False), nn.BatchNorm2d(small[0]), relu()]
    for outputs in (4 * model.width, 2 * model.width):
        decoder += [up(2 * outputs, outputs, 4, 2, 1), nn.BatchNorm2d(outputs), relu()]
    decoder += [Conv(2 * model.width, channels, 3, 1, 1, bias=True)]
    return nn.Sequential(*encoder, Float()), nn.Sequential(*decoder, Float())


FULL_RATE_INPUTS = 784  # up to which a dense layer has the full rate: `genjax.vae.optimizer`

ACTIVATIONS = {"relu": relu, "tanh": nn.Tanh}
SPREADS = {"log_variance": 1, "log_sigma": 2}

# What no peer does besides the bound, and the value that is none of it.
_NONE = {
    "gradient": "plain",
    "beta": 1,
    "warmup": 0,
    "capacity": 0,
    "free_bits": 0,
    "total_correlation": 0,
}

_VALUES = 2**21  # pixels that are decoded together for a likelihood, as genjax does


def _summed(costs, z, noise, log_variance):
    """f[B], the log of the sum of k weights, of -log p(x | z) of each pixel f[B k, ...] and samples
    z of noise, f[B, k, L] each."""
    each = costs.flatten(1).sum(1).unflatten(0, z.shape[:2])
    ratio = 0.5 * (noise.square() - z.square() + log_variance[:, None]).sum(-1)
    return torch.logsumexp(ratio - each, dim=1)


# Each makes (encoder, decoder) for images of a shape (H, W, C).
NETWORKS = {"mlp": _mlp, "conv": _conv}


class Peer(base.Peer):
    """The negative bound of both networks, minimised by one Adam."""

    def __init__(self, config, variant, device, examples: base.Examples):
        super().__init__(config, variant, device)
        base.require(config, "model.name", NETWORKS)
        base.require(config, "likelihood", ("bernoulli", "gaussian"))
        base.require(config, "binarize", ("grey", "dynamic"))
        base.require(config, "bound.name", ("elbo", "iwae"))
        for key, value in _NONE.items():
            base.require(config, f"bound.{key}", (value,))
        base.require(config, "optimizer.name", ("adam",))
        base.require(config, "optimizer.drops.steps", ((),))
        if config.model.name == "mlp":
            base.require(config, "model.activation", ACTIVATIONS)
            for key in ("posterior", "prior"):
                base.require(config, f"model.{key}", ("normal",))
        model, shape = config.model, self.hold(examples, config.train.batch_size)
        networks = map(lecun, NETWORKS[model.name](model, shape))
        self.encoder, self.decoder = map(self.place, networks)
        self.is_gaussian = config.likelihood == "gaussian"
        own = {"log_sigma": nn.Parameter(torch.tensor(0.0))} if self.is_gaussian else {}
        self.likelihood = self.place(nn.ParameterDict(own))
        self.networks = {name: getattr(self, name) for name in ("encoder", "decoder", "likelihood")}
        self.optimizers = {"all": self.adam(*self.networks, shares=self._shares())}
        self._loss = self.compiled(self._losses)
        self._decode = self.compiled(self._means)
        self._weighed = self.compiled(self._weights)

    def _shares(self) -> dict[nn.Parameter, float]:
        """The rates of dense layers, which `genjax.vae.optimizer` divides by their inputs."""
        inputs = {
            nn.Linear: lambda weight: weight.shape[1],
            FromPicture: lambda weight: weight[0].numel(),
            ToPicture: len,
        }
        layers = [module for x in (self.encoder, self.decoder) for module in x.modules()]
        return {
            layer.weight: min(1.0, FULL_RATE_INPUTS / inputs[type(layer)](layer.weight))
            for layer in layers
            if type(layer) in inputs
        }

    def _prepared(self, image, noise):
        """The pixels that are modelled: grey levels, or 0 and 1 that are drawn of them."""
        x = self.to_float(image)
        return (noise["uniform"] < x).to(x.dtype) if self.config.binarize == "dynamic" else x

    def _losses(self, image, noise):
        """The negative ELBO and its two terms, means over the batch in nats; and "loss", the
        importance-weighted bound where that is minimised."""
        x = self._prepared(image, noise)
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        z = mean[:, None] + torch.exp(0.5 * log_variance)[:, None] * noise["z"]
        answer = self.decoder(z.flatten(0, 1))
        k = z.shape[1]
        x = x.repeat_interleave(k, 0) if k > 1 else x
        weighted = self.config.bound.name == "iwae"
        # One sum over all pixels is faster, where one of each picture is not wanted.
        costs = self._costs(x, answer, "none" if weighted else "sum")
        reconstruction = costs.sum() / len(answer)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        kl = divergence.sum() / len(mean)
        losses = {"negative_elbo": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}
        if weighted:
            losses["loss"] = -(_summed(costs, z, noise["z"], log_variance) - math.log(k)).mean()
        return losses

    def _costs(self, x, answer, reduction: str):
        """-log p(x | z) of each pixel, or their sum."""
        if not self.is_gaussian:
            return F.binary_cross_entropy_with_logits(answer, x, reduction=reduction)
        log_sigma = self.likelihood.log_sigma
        squares = 0.5 * ((x - answer) * torch.exp(-log_sigma)).square()
        constant = log_sigma + 0.5 * math.log(2 * math.pi)
        if reduction == "none":
            return squares + constant
        return squares.sum() + x.numel() * constant

    def log_likelihoods(self, image):
        with torch.no_grad(), self._at_rest():
            x, total = self._prepared(image, self._noise(image)), None
            mean, log_variance = self.encoder(x).chunk(2, dim=1)
            k, together = self.config.score.k, max(1, _VALUES // x.numel())
            for first in range(0, k, together):
                samples = len(x), min(together, k - first), mean.shape[1]
                weights = self._weighed(x, mean, log_variance, self.random(torch.randn, *samples))
                total = weights if total is None else torch.logaddexp(total, weights)
            return total - math.log(k)

    def _weights(self, x, mean, log_variance, noise):
        """f[B], the log of the sum of the weights of samples z, of noise f[B, k, L]."""
        z = mean[:, None] + torch.exp(0.5 * log_variance)[:, None] * noise
        x = x.repeat_interleave(z.shape[1], 0)
        costs = self._costs(x, self.decoder(z.flatten(0, 1)), "none")
        return _summed(costs, z, noise, log_variance)

    def _noise(self, image):
        shape = len(image), self.config.bound.k, self.config.model.latent
        noise = {"z": self.random(torch.randn, *shape)}
        if self.config.binarize == "dynamic":
            noise["uniform"] = self.as_laid(self.random(torch.rand, *image.shape))
        return noise

    def _train(self, image, label, noise):
        losses = self._loss(image, noise)
        losses["loss" if "loss" in losses else "negative_elbo"].backward()
        self.descend("all")
        return losses

    def _means(self, z):
        """The most likely picture of each latent."""
        answer = self.decoder(z)
        return answer if self.is_gaussian else torch.sigmoid(answer)

    def _pictures(self, n: int):
        with self._at_rest():
            return self._decode(self.random(torch.randn, n, self.config.model.latent))

    def scores(self, image, label):
        with torch.no_grad(), self._at_rest():
            return self._loss(image, self._noise(image))

    def shown(self, image, label):
        """Rows of images, each above its reconstructions; and walks between pairs of latents."""
        columns = base.COLUMNS
        with torch.no_grad(), self._at_rest():
            x = self._prepared(image, self._noise(image))
            z = self.encoder(x).chunk(2, dim=1)[0]
            walked = min(columns, len(z) // 2)
            ends = z[:: len(z) // (2 * walked)][: 2 * walked].unflatten(0, (2, walked, 1))
            share = torch.linspace(0, 1, columns, device=z.device)[:, None]
            walks = ((1 - share) * ends[0] + share * ends[1]).flatten(0, 1)
            seen, decoded, between = map(self.to_uint8, (x, self._means(z), self._means(walks)))
        pairs = np.stack([base.in_rows(seen), base.in_rows(decoded)], axis=1)
        return {
            "reconstructions": pairs.reshape(-1, columns, *seen.shape[1:]),
            "interpolations": base.in_rows(between),
        }

    @contextlib.contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Within it, both networks use their running statistics."""
        for network in (self.encoder, self.decoder):
            network.eval()
        yield
        for network in (self.encoder, self.decoder):
            network.train()
