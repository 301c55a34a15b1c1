"""The GANs in PyTorch: the layers of `genjax.gan.dcgan` and `sngan`, and the round of both."""

import contextlib
import copy
import itertools
import math
from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
from benchmarks.peers.layers import Conv, Float, FromPicture, ToPicture, radford, relu, up

# What each logit costs (the discriminator of a real image, of a generated one, the generator):
# `genjax.gan.losses`.
LOSSES = {
    "non_saturating": (lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x)),
    "hinge": (lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), torch.neg),
    "wasserstein": (torch.neg, lambda x: x, torch.neg),
}


def _dcgan(model, shape) -> tuple[nn.Module, nn.Module]:
    size, _, channels = shape
    levels, width = size.bit_length() - 4, model.width
    features = [width << level for level in reversed(range(levels + 1))]
    generator = [nn.Unflatten(1, (model.latent, 1, 1)), up(model.latent, features[0], 4)]
    for inputs, outputs in zip(features, [*features[1:], channels], strict=True):
        generator += [nn.BatchNorm2d(inputs), relu(), up(inputs, outputs, 4, 2, 1)]
    discriminator = [Conv(channels, width, 4, 2, 1), relu(0.2)]
    for inputs in features[:0:-1]:
        discriminator += [Conv(inputs, 2 * inputs, 4, 2, 1), nn.BatchNorm2d(2 * inputs), relu(0.2)]
    discriminator += [Conv(width << levels, 1, 4), Float(), nn.Flatten(0)]
    generator = nn.Sequential(*generator, Float(), nn.Tanh())
    return radford(generator), radford(nn.Sequential(*discriminator))


def _sngan(model, shape, doubles_early: bool = False) -> tuple[nn.Module, nn.Module]:
    size, _, channels = shape
    features = [model.width << level for level in range(size.bit_length() - 2)]
    smallest, spectral = (features[-1], 4, 4), model.norm == "spectral"
    generator = [ToPicture(model.latent, smallest, bias=False), nn.BatchNorm2d(smallest[0]), relu()]
    for outputs in features[-2::-1]:
        generator += [up(2 * outputs, outputs, 4, 2, 1), nn.BatchNorm2d(outputs), relu()]
    generator += [Conv(features[0], channels, 3, 1, 1, bias=True), Float(), nn.Tanh()]
    layer = partial(Conv, bias=True, spectral=spectral)
    discriminator = [layer(channels, features[0], 3, 1, 1), relu(0.1)]
    for inputs, outputs in itertools.pairwise(features):
        halved = outputs if doubles_early else inputs
        discriminator += [layer(inputs, halved, 4, 2, 1), relu(0.1)]
        discriminator += [layer(halved, outputs, 3, 1, 1), relu(0.1)]
    discriminator += [FromPicture(smallest, 1, spectral), Float(), nn.Flatten(0)]
    return nn.Sequential(*generator), nn.Sequential(*discriminator)


# Options that no peer has, and their values where they are off.
_WITHOUT = {
    "own_batch": False,
    "accumulate": 1,
    "augment.name": "none",
    "lecam.weight": 0.0,
    "consistency.name": "none",
    "path_length.weight": 0.0,
    "path_length.interval": 1,
    "clip": 0.0,
    "orthogonal": 0.0,
    "schedule.name": "constant",
    "regularizer.interval": 1,
    "optimizer.name": "adam",
    "optimizer.discriminator_factor": 1.0,
}

# Each makes (generator, discriminator) for images of a shape (H, W, C).
NETWORKS = {
    "dcgan": _dcgan,
    "sngan": _sngan,
    "chainer_gan_lib": partial(_sngan, doubles_early=True),
}


class Peer(base.Peer):
    """A round as genjax's (`genjax.gan.round`): `n_dis` updates of the discriminator, then one of
    the generator, on images of which the last of these updates saw a share."""

    low = -1

    def __init__(self, config, variant, device, examples: base.Examples):
        super().__init__(config, variant, device)
        base.require(config, "model.name", NETWORKS)
        base.require(config, "loss", LOSSES)
        base.require(config, "regularizer.name", ("none", "gradient_penalty", "r1"))
        for key, value in _WITHOUT.items():
            base.require(config, key, (value,))
        model, shape = config.model, self.hold(examples, config.n_dis * config.train.batch_size)
        generator, self.discriminator = map(self.place, NETWORKS[model.name](model, shape))
        self.networks = {"generator": generator, "discriminator": self.discriminator}
        self.optimizers = {name: self.adam(name) for name in self.networks}
        average = copy.deepcopy(generator).eval().requires_grad_(False)
        self.networks["average"] = average
        # Parameters and running statistics, without BatchNorm's counter of batches.
        self._averaged = [
            [x for x in network.state_dict().values() if x.is_floating_point()]
            for network in (average, generator)
        ]
        self._norms = [m for m in generator if isinstance(m, nn.BatchNorm2d)]
        self._mixes = any(isinstance(m, nn.BatchNorm2d) for m in self.discriminator)
        self._rounds = 0
        self._generate = self.compiled(generator)
        self._sample = self.compiled(average)
        self._d_losses = self.compiled(self._discriminator_losses)
        self._g_loss = self.compiled(self._generator_loss)

    def _discriminator_losses(self, image, fake, noise):
        """{name: loss} on as many real images as generated ones; their sum is minimised."""
        if self.config.dequantize:
            real = (image.to(self.variant.dtype) + noise["uniform"]) / 128 - 1
        else:
            real = self.to_float(image)
        if self._mixes:
            on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        else:  # no example knows of another, so that one pass does for both batches
            on_real, on_fake = self.discriminator(torch.cat([real, fake])).chunk(2)
        of_real, of_fake, _ = LOSSES[self.config.loss]
        losses = {"d_loss": (of_real(on_real) + of_fake(on_fake)).mean()}
        if self.config.regularizer.name != "none":
            losses["penalty"] = self.config.regularizer.weight * self._penalty(real, fake, noise)
        return losses

    def _penalty(self, real, fake, noise):
        """The mean of `genjax.gan.regularizers`, in float32 in any case."""
        x = real
        if self.config.regularizer.name == "gradient_penalty":
            alpha = noise["alpha"].view(-1, 1, 1, 1)
            x = alpha * real + (1 - alpha) * fake
        self.discriminator.eval()  # spectral norms took their step with the loss
        with torch.autocast(self.device.type, enabled=False):
            squares = self._slope(x).square().sum(dim=(1, 2, 3))
        self.discriminator.train()
        if self.config.regularizer.name == "r1":
            return 0.5 * squares.mean()
        return (squares.clamp(min=1e-24).sqrt() - 1).square().mean()

    def _slope(self, x):
        """The gradient of the sum of logits by the images x, differentiable."""
        if self.variant.compile:
            # A compiled function has no second derivative; this is a first one to the compiler.
            return torch.func.grad(lambda x: self.discriminator(x).sum())(x)
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.discriminator(x).sum(), x, create_graph=True)[0]

    def _generator_loss(self, fake):
        return LOSSES[self.config.loss][2](self.discriminator(fake)).mean()

    def _noise(self, image):
        config = self.config
        batch, latent = config.train.batch_size, config.model.latent
        noise = {
            "z": self.random(torch.randn, config.generator_batch * batch, latent),
            "earlier_z": self.random(torch.randn, config.n_dis - 1, batch, latent),
        }
        if config.dequantize:
            noise["uniform"] = self.random(torch.rand, *image.shape)
        if config.regularizer.name == "gradient_penalty":
            noise["alpha"] = self.random(torch.rand, config.n_dis, batch)
        return noise

    def _train(self, image, label, noise):
        last = self.config.n_dis - 1
        for i in range(last):
            fake = self._throwaway(noise["earlier_z"][i])
            self._update_discriminator(i, image, fake, noise)

        fake = self._generate(noise["z"])
        shown = fake.detach()[:: self.config.generator_batch]
        losses = self._update_discriminator(last, image, shown, noise)

        # The generator's backward stops at the images, and spectral norms keep their vectors.
        self.discriminator.requires_grad_(False)
        if not self._mixes:
            self.discriminator.eval()
        g_loss = self._g_loss(fake)
        g_loss.backward()
        self.discriminator.requires_grad_(True).train()
        self.descend("generator", self._decayed(self._rounds))

        ema = self.config.ema
        decay = ema_decay(self._rounds, self.config.train.batch_size, ema.half_life, ema.ramp)
        with torch.no_grad():
            torch._foreach_lerp_(*self._averaged, 1 - decay)
        self._rounds += 1
        return losses | {"g_loss": g_loss}

    def _throwaway(self, z):
        """Images for an earlier update: no gradient, and no trace in the running statistics."""
        with torch.no_grad(), _untracked(self._norms):
            return self._generate(z)

    def _update_discriminator(self, i: int, image, fake, noise):
        """The i-th update of a round, on every n_dis-th image from the i-th on; its losses."""
        n_dis = self.config.n_dis
        shares = {"uniform": slice(i, None, n_dis), "alpha": i}
        own = {name: noise[name][share] for name, share in shares.items() if name in noise}
        losses = self._d_losses(image[i::n_dis], fake, own)
        torch.autograd.backward(tuple(losses.values()))
        self.descend("discriminator", self._decayed(self._rounds + i / n_dis))
        return losses

    def _decayed(self, rounds: float) -> float:
        """The share of the learning rate that is left after so many rounds."""
        end = self.config.optimizer.linear_decay
        return 1 - min(rounds / end, 1) if end else 1

    def to_uint8(self, image):
        """Pictures [B, C, H, W] in [-1, 1] as u8[B, H, W, C]: `genjax.gan.round.to_pictures`."""
        if not self.config.dequantize:
            return super().to_uint8(image)
        levels = (image.float() + 1).mul_(128).floor_().clamp_(0, 255)
        return base.to_numpy(levels.to(torch.uint8))

    def _pictures(self, n: int):
        return self._sample(self.random(torch.randn, n, self.config.model.latent))

    def scores(self, image, label):
        """Losses, and the shares of logits above 0, of held-out images and as many samples.

        As in training, a batch is judged by its own statistics, which leave no trace.
        """
        norms = [m for m in self.discriminator if isinstance(m, nn.BatchNorm2d)]
        with torch.no_grad(), _untracked(norms):
            fake = self._pictures(len(image))
            on_real, on_fake = self.discriminator(self.to_float(image)), self.discriminator(fake)
        of_real, of_fake, of_generator = LOSSES[self.config.loss]
        return {
            "d_loss": (of_real(on_real) + of_fake(on_fake)).mean(),
            "g_loss": of_generator(on_fake).mean(),
            "d_real": (on_real > 0).float().mean(),
            "d_fake": (on_fake > 0).float().mean(),
        }


@contextlib.contextmanager
def _untracked(norms: Iterable[nn.BatchNorm2d]) -> Iterator[None]:
    """Within it, the running statistics of these stay as they are."""
    for module in norms:
        module.track_running_stats = False
    yield
    for module in norms:
        module.track_running_stats = True


def ema_decay(step: int, batch_size: int, half_life: float, ramp: float) -> float:
    """The decay of a moving average after `step` rounds: `genjax.nn.ema.update`."""
    effective = min(half_life, ramp * batch_size * step)
    return math.exp2(-batch_size / max(effective, 1e-8))
