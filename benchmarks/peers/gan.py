"""The GANs in PyTorch: the layers of `genjax.gan.dcgan` and `sngan`, and the round of all GANs."""

import contextlib
import copy
import itertools
import math
from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base, r3gan, resnet, stylegan2
from benchmarks.peers.layers import (
    Conv,
    Float,
    FromPicture,
    Named,
    SpectralNorm,
    ToPicture,
    radford,
    relu,
    up,
)

# What logits of real and generated images cost the discriminator, and the generator, whose real
# ones are None but for the relativistic loss: `genjax.gan.losses`.
LOSSES = {
    "non_saturating": (
        lambda real, fake: F.softplus(-real) + F.softplus(fake),
        lambda real, fake: F.softplus(-fake),
    ),
    "hinge": (
        lambda real, fake: F.relu(1 - real) + F.relu(1 + fake),
        lambda real, fake: -fake,
    ),
    "wasserstein": (lambda real, fake: fake - real, lambda real, fake: -fake),
    "relativistic": (
        lambda real, fake: F.softplus(fake - real),
        lambda real, fake: F.softplus(real - fake),
    ),
}


def _dcgan(model, shape, classes: int) -> tuple[nn.Module, nn.Module]:
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


def _sngan(model, shape, classes: int, doubles_early: bool = False) -> tuple[nn.Module, nn.Module]:
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
    "accumulate": 1,
    "augment.name": "none",
    "lecam.weight": 0.0,
    "consistency.name": "none",
    "path_length.weight": 0.0,
    "clip": 0.0,
    "orthogonal": 0.0,
    "schedule.name": "constant",
    "optimizer.name": "adam",
    "optimizer.discriminator_factor": 1.0,
}

# Each makes (generator, discriminator) for images of a shape (H, W, C) and so many classes.
NETWORKS = {
    "dcgan": _dcgan,
    "sngan": _sngan,
    "chainer_gan_lib": partial(_sngan, doubles_early=True),
    "resnet": resnet.resnet,
    "biggan": resnet.biggan,
    "stylegan2": stylegan2.networks,
    "r3gan": r3gan.networks,
}


class Peer(base.Peer):
    """A round as genjax's (`genjax.gan.round`): `n_dis` updates of the discriminator, then one of
    the generator, on images of which the last of these updates saw a share, or, with `own_batch`,
    on images of its own."""

    low = -1

    def __init__(self, config, variant, device, examples: base.Examples):
        super().__init__(config, variant, device)
        base.require(config, "model.name", NETWORKS)
        base.require(config, "loss", LOSSES)
        base.require(config, "regularizer.name", ("none", "gradient_penalty", "r1", "r1_r2"))
        for key, value in _WITHOUT.items():
            base.require(config, key, (value,))
        self._batches = config.n_dis + config.own_batch
        model, shape = config.model, self.hold(examples, self._batches * config.train.batch_size)
        self._classes = examples.classes
        networks = NETWORKS[model.name](model, shape, examples.classes)
        generator, self.discriminator = map(self.place, networks)
        self._named = isinstance(generator, Named)
        self.networks = {"generator": generator, "discriminator": self.discriminator}
        lazy = config.regularizer.interval if config.regularizer.name != "none" else 1
        intervals = {"generator": config.path_length.interval, "discriminator": lazy}
        self.optimizers = {name: self._lazy_adam(name, n) for name, n in intervals.items()}
        average = copy.deepcopy(generator).eval().requires_grad_(False)
        self.networks["average"] = average
        # Parameters and running statistics, without BatchNorm's counter of batches.
        self._averaged = [
            [x for x in network.state_dict().values() if x.is_floating_point()]
            for network in (average, generator)
        ]
        self._norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
        self._mixes = any(isinstance(m, nn.BatchNorm2d) for m in self.discriminator.modules())
        spectral = [m for m in generator.modules() if isinstance(m, SpectralNorm)]
        self._vectors = [x for norm in spectral for x in (norm.u, norm.v)]
        self._rounds = 0
        self._generate = self.compiled(self._generated)
        self._sample = self.compiled(average)
        self._d_losses = self.compiled(self._discriminator_losses)
        self._d_penalty = self.compiled(self._penalty)
        self._g_loss = self.compiled(self._generator_loss)

    def _lazy_adam(self, name: str, interval: int) -> torch.optim.Adam:
        """Adam, slowed for a further update every so many steps: `genjax.gan.optimizers`."""
        optimizer = self.adam(name)
        if interval > 1:
            share = interval / (interval + 1)
            for group in optimizer.param_groups:
                group["share"] *= share
                group["betas"] = tuple(b**share for b in group["betas"])
        return optimizer

    def outputs(self, inputs):
        """As those of every peer, of classes in turn."""
        with torch.no_grad():
            found = {name: self._answer(name, self.tensor(x)) for name, x in inputs.items()}
        return {name: base.to_numpy(x) for name, x in found.items()}

    def _answer(self, name: str, x):
        network = self.networks[name]
        return network(x, self._in_turn(len(x))) if self._named else network(x)

    def _in_turn(self, n: int):
        return torch.arange(n, device=self.device) % max(1, self._classes)

    def _generated(self, z, label, noise):
        """Images of latents and labels; `noise` of StyleGAN2's layers."""
        generator = self.networks["generator"]
        if not self._named:
            return generator(z)
        return generator(z, label, noise) if noise else generator(z, label)

    def _judge(self, x, label, parts: int = 1):
        """Logits of images, which are several batches as parts of one."""
        if not self._named:
            return self.discriminator(x)
        in_groups = getattr(self.discriminator, "in_groups", False)
        return self.discriminator(x, label, **({"parts": parts} if in_groups else {}))

    def _discriminator_losses(self, image, label, fake, noise):
        """{name: loss} on as many real images as generated ones; their sum is minimised."""
        options, losses = self.config.regularizer, {}
        if self.config.dequantize:
            real = (image.to(self.variant.dtype) + noise["uniform"]) / 128 - 1
        else:
            real = self.to_float(image)
        if self._mixes:
            on_real, on_fake = self.discriminator(real), self.discriminator(fake)
        else:  # no example knows of another, so that one pass does for both batches
            both, labels = torch.cat([real, fake]), torch.cat([label, label])
            if options.name == "r1_r2" and options.interval == 1 and not self.variant.autocast:
                slopes, logits = self._slope(both, labels)  # of which the penalty is, too
                squares = slopes.square().sum(dim=(1, 2, 3)).mean()  # half of R1's, and of R2's
                losses["penalty"] = options.weight * squares
            else:
                logits = self._judge(both, labels, parts=2)
            on_real, on_fake = logits.chunk(2)
        losses["d_loss"] = LOSSES[self.config.loss][0](on_real, on_fake).mean()
        if options.name != "none" and options.interval == 1 and "penalty" not in losses:
            losses["penalty"] = options.weight * self._penalty(real, label, fake, noise)
        return losses

    def _penalty(self, real, label, fake, noise):
        """The mean of `genjax.gan.regularizers`, in float32 in any case."""
        name, x = self.config.regularizer.name, real
        if name == "gradient_penalty":
            alpha = noise["alpha"].view(-1, 1, 1, 1)
            x = alpha * real + (1 - alpha) * fake
        elif name == "r1_r2":
            x, label = torch.cat([real, fake]), torch.cat([label, label])
        self.discriminator.eval()  # spectral norms took their step with the loss
        with torch.autocast(self.device.type, enabled=False):
            squares = self._slope(x, label)[0].square().sum(dim=(1, 2, 3))
        self.discriminator.train()
        if name == "r1":
            return 0.5 * squares.mean()
        if name == "r1_r2":
            return squares.mean()
        return (squares.clamp(min=1e-24).sqrt() - 1).square().mean()

    def _slope(self, x, label):
        """(The gradient of the sum of logits by the images x, differentiable, and the logits)."""

        def judged(x):
            logits = self._judge(x, label)
            return logits.sum(), logits

        if self.variant.compile:
            # A compiled function has no second derivative; this is a first one to the compiler.
            return torch.func.grad(judged, has_aux=True)(x)
        x = x.detach().requires_grad_()
        total, logits = judged(x)
        return torch.autograd.grad(total, x, create_graph=True)[0], logits

    def _generator_loss(self, fake, label, on_real):
        return LOSSES[self.config.loss][1](on_real, self._judge(fake, label)).mean()

    def _noise(self, image):
        config = self.config
        batch, latent = config.train.batch_size, config.model.latent
        noise = {
            "z": self.random(torch.randn, config.generator_batch * batch, latent),
            "earlier_z": self.random(torch.randn, self._batches - 1, batch, latent),
        }
        if config.dequantize:
            noise["uniform"] = self.random(torch.rand, *image.shape)
        if config.regularizer.name == "gradient_penalty":
            noise["alpha"] = self.random(torch.rand, self._batches, batch)
        for name, module in self.networks["generator"].named_modules():
            if isinstance(module, stylegan2.StyledConv):
                shape = len(noise["z"]), *module.noise.shape[1:]
                noise[name.rpartition(".")[2]] = self.random(torch.randn, *shape)
        return noise

    def _train(self, image, label, noise):
        config, last = self.config, self._batches - 1
        for i in range(last):
            fake = self._throwaway(noise["earlier_z"][i], label[i :: self._batches])
            losses = self._update_discriminator(i, image, label, fake, noise)

        own_label = label[last :: self._batches]
        own_label = own_label.repeat_interleave(config.generator_batch)
        of_layers = {k: x for k, x in noise.items() if k.startswith(("conv_", "up_"))}
        fake = self._generate(noise["z"], own_label, of_layers)
        if not config.own_batch:
            shown = fake.detach()[:: config.generator_batch]
            losses = self._update_discriminator(last, image, label, shown, noise)

        # The generator's backward stops at the images, and spectral norms keep their vectors.
        self.discriminator.requires_grad_(False)
        if not self._mixes:
            self.discriminator.eval()
        on_real = None
        if config.loss == "relativistic":
            with torch.no_grad():
                on_real = self._judge(self.to_float(image[last :: self._batches]), own_label)
        g_loss = self._g_loss(fake, own_label, on_real)
        g_loss.backward()
        self.discriminator.requires_grad_(True).train()
        self.descend("generator", self._decayed(self._rounds))

        ema = config.ema
        decay = ema_decay(self._rounds, config.train.batch_size, ema.half_life, ema.ramp)
        with torch.no_grad():
            torch._foreach_lerp_(*self._averaged, 1 - decay)
        self._rounds += 1
        return losses | {"g_loss": g_loss}

    def _throwaway(self, z, label):
        """Images for an earlier update: no gradient, and no trace in statistics and vectors."""
        with torch.no_grad(), _untracked(self._norms):
            kept = [x.clone() for x in self._vectors]
            fake = self._generate(z, label, {})
            for vector, before in zip(self._vectors, kept, strict=True):
                vector.copy_(before)
            return fake

    def _update_discriminator(self, i: int, image, label, fake, noise):
        """The i-th update of a round, on every so manieth image from the i-th on; its losses."""
        shares = {"uniform": slice(i, None, self._batches), "alpha": i}
        own = {name: noise[name][share] for name, share in shares.items() if name in noise}
        image, label = image[i :: self._batches], label[i :: self._batches]
        losses = self._d_losses(image, label, fake, own)
        torch.autograd.backward(tuple(losses.values()))
        rounds = self._rounds + i / self.config.n_dis
        self.descend("discriminator", self._decayed(rounds))
        options = self.config.regularizer
        if options.name != "none" and options.interval > 1:
            losses["penalty"] = torch.zeros((), device=self.device)
            if self._rounds % options.interval == 0:
                factor = options.interval * options.weight
                losses["penalty"] = factor * self._d_penalty(self.to_float(image), label, fake, own)
                losses["penalty"].backward()
                for parameter in self.discriminator.parameters():
                    if parameter.grad is None:  # of a bias; Adam's moments decay in any case
                        parameter.grad = torch.zeros_like(parameter)
                self.descend("discriminator", self._decayed(rounds))
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
        z = self.random(torch.randn, n, self.config.model.latent)
        return self._sample(z, self._in_turn(n)) if self._named else self._sample(z)

    def scores(self, image, label):
        """Losses, and the shares of logits above 0, of held-out images and as many samples.

        As in training, a batch is judged by its own statistics, which leave no trace.
        """
        norms = [m for m in self.discriminator if isinstance(m, nn.BatchNorm2d)]
        with torch.no_grad(), _untracked(norms):
            fake = self._pictures(len(image))
            on_real, on_fake = self._judge(self.to_float(image), label), self._judge(fake, label)
        of_discriminator, of_generator = LOSSES[self.config.loss]
        return {
            "d_loss": of_discriminator(on_real, on_fake).mean(),
            "g_loss": of_generator(on_real, on_fake).mean(),
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
