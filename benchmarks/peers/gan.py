"""The GANs in PyTorch: the layers of `genjax.gan.dcgan` and `sngan`, and the round of both."""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
from benchmarks.peers.layers import Conv, Float, FromPicture, ToPicture, conv, norm, relu, up
from genjax import data

# What each logit costs (the discriminator of a real image, of a generated one, the generator):
# `genjax.gan.losses`.
LOSSES = {
    "non_saturating": (lambda x: F.softplus(-x), F.softplus, lambda x: F.softplus(-x)),
    "minimax": (lambda x: F.softplus(-x), F.softplus, lambda x: -F.softplus(x)),
    "least_squares": (
        lambda x: 0.5 * (x - 1).square(),
        lambda x: 0.5 * x.square(),
        lambda x: 0.5 * (x - 1).square(),
    ),
    "hinge": (lambda x: F.relu(1 - x), lambda x: F.relu(1 + x), torch.neg),
    "wasserstein": (torch.neg, lambda x: x, torch.neg),
}


def _dcgan(model, shape) -> tuple[nn.Module, nn.Module]:
    size, _, channels = shape
    levels, width = size.bit_length() - 4, model.width
    features = [width << level for level in reversed(range(levels + 1))]
    generator = [nn.Unflatten(1, (model.latent, 1, 1)), up(model.latent, features[0], 4)]
    for inputs, outputs in zip(features, [*features[1:], channels], strict=True):
        generator += [norm(inputs), relu(), up(inputs, outputs, 4, 2, 1)]
    discriminator = [conv(channels, width, 4, 2, 1), relu(0.2)]
    for inputs in features[:0:-1]:
        discriminator += [conv(inputs, 2 * inputs, 4, 2, 1), norm(2 * inputs), relu(0.2)]
    discriminator += [conv(width << levels, 1, 4), Float(), nn.Flatten(0)]
    return nn.Sequential(*generator, Float(), nn.Tanh()), nn.Sequential(*discriminator)


def _sngan(model, shape) -> tuple[nn.Module, nn.Module]:
    size, _, channels = shape
    levels, width, spectral = size.bit_length() - 3, model.width, model.norm == "spectral"
    smallest = (width << levels, 4, 4)
    generator = [ToPicture(model.latent, smallest, bias=False), norm(smallest[0]), relu()]
    discriminator = [Conv(channels, width, 3, padding=1, spectral=spectral), relu(0.1)]
    for level in reversed(range(levels)):
        outputs = width << level
        generator += [up(2 * outputs, outputs, 4, 2, 1), norm(outputs), relu()]
    for level in range(1, levels + 1):
        features = width << level
        discriminator += [
            *(Conv(features // 2, features, 4, 2, 1, spectral=spectral), relu(0.1)),
            *(Conv(features, features, 3, padding=1, spectral=spectral), relu(0.1)),
        ]
    generator += [conv(width, channels, 3, 1, 1, bias=True), Float(), nn.Tanh()]
    discriminator += [FromPicture(smallest, 1, spectral=spectral), Float(), nn.Flatten(0)]
    return nn.Sequential(*generator), nn.Sequential(*discriminator)


# Each makes (generator, discriminator) for images of a shape (H, W, C).
NETWORKS = {"dcgan": _dcgan, "sngan": _sngan}


class Peer(base.Peer):
    """A round as genjax's (`genjax.gan.round`): `n_dis` updates of the discriminator, then one of
    the generator, on images of which the last of these updates saw a share."""

    low = -1

    def __init__(self, config, variant, device):
        super().__init__(config, variant, device)
        dataset = data.open_dataset(config.data)
        made = NETWORKS[config.model.name](config.model, dataset.shape)
        generator, self.discriminator = map(self.place, made)
        average = copy.deepcopy(generator).eval().requires_grad_(False)
        self.networks |= {"generator": generator, "discriminator": self.discriminator}
        self.networks["average"] = average
        self.optimizers = {name: self.adam(name) for name in ("generator", "discriminator")}
        self.images_per_step = config.n_dis * config.train.batch_size
        self.data = base.Data(self, dataset, self.images_per_step)
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
        """(what is minimised, the loss, the penalty or None) on as many real and generated."""
        regularizer = self.config.regularizer
        real = self.to_float(image)
        if self.config.dequantize:
            real = real + noise["uniform"] / 128
        on_real, on_fake = self._logits(real, fake)
        of_real, of_fake, _ = LOSSES[self.config.loss]
        loss = (of_real(on_real) + of_fake(on_fake)).mean()
        if regularizer.name == "none":
            return loss, loss, None
        penalty = regularizer.weight * self._penalty(real, fake, noise)
        return loss + penalty, loss, penalty

    def _logits(self, real, fake):
        """(of real images, of generated ones), as training has them."""
        if self._mixes:
            return self.discriminator(real), self.discriminator(fake)
        # No example knows of another, so that one pass does for both batches.
        logits = self.discriminator(torch.cat([real, fake]))
        return logits[: len(real)], logits[len(real) :]

    def _penalty(self, real, fake, noise):
        """The mean of `genjax.gan.regularizers`, in float32 in any case."""
        x = real
        if self.config.regularizer.name == "gradient_penalty":
            alpha = noise["alpha"].view(-1, 1, 1, 1)
            x = alpha * real + (1 - alpha) * fake
        self.discriminator.eval()  # spectral norms took their step with the loss
        with torch.autocast(self.device.type, enabled=False):
            slope = self._slope(x)
        self.discriminator.train()
        squares = slope.square().sum(dim=(1, 2, 3))
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
        d_loss, penalty = self._update_discriminator(last, image, shown, noise)

        # The generator's backward stops at the images, and spectral norms keep their vectors.
        self.discriminator.requires_grad_(False)
        if not self._mixes:
            self.discriminator.eval()
        g_loss = self._g_loss(fake)
        g_loss.backward()
        self.discriminator.requires_grad_(True).train()
        self.descend("generator", self._decayed(self._rounds))

        self._update_average()
        self._rounds += 1
        losses = {"d_loss": d_loss.detach(), "g_loss": g_loss.detach()}
        return losses if penalty is None else losses | {"penalty": penalty.detach()}

    def _throwaway(self, z):
        """Images for an earlier update: no gradient, and no trace in the running statistics."""
        for module in self._norms:
            module.track_running_stats = False
        with torch.no_grad():
            fake = self._generate(z)
        for module in self._norms:
            module.track_running_stats = True
        return fake

    def _update_discriminator(self, i: int, image, fake, noise):
        """The i-th update of a round; the loss, and the penalty or None."""
        n_dis = self.config.n_dis
        shares = {"uniform": slice(i, None, n_dis), "alpha": i}
        own = {name: noise[name][share] for name, share in shares.items() if name in noise}
        total, loss, penalty = self._d_losses(image[i::n_dis], fake, own)
        total.backward()
        self.descend("discriminator", self._decayed(self._rounds + i / n_dis))
        return loss, penalty

    def _decayed(self, rounds: float) -> float:
        """The share of the learning rate that is left after so many rounds."""
        end = self.config.optimizer.linear_decay
        return 1 - min(rounds / end, 1) if end else 1

    def _update_average(self):
        options = self.config.ema
        decay = ema_decay(
            self._rounds, self.config.train.batch_size, options.half_life, options.ramp
        )
        with torch.no_grad():
            torch._foreach_lerp_(*self._averaged, 1 - decay)

    def _pictures(self, n: int):
        return self._sample(self.random(torch.randn, n, self.config.model.latent))

    def _outputs(self, image, label, noise):
        """Generated pictures, and both batches' logits: of real images as they come."""
        fake = self.networks["generator"](noise["z"])
        logits = self._logits(self.to_float(image), fake)
        return {"generator": fake, "discriminator": torch.cat(logits)}


def ema_decay(step: int, batch_size: int, half_life: float, ramp: float) -> float:
    """The decay of a moving average after `step` rounds: `genjax.nn.ema.update`."""
    effective = min(half_life, ramp * batch_size * step)
    return math.exp2(-batch_size / max(effective, 1e-8))
