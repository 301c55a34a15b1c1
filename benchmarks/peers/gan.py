"""The GAN workloads in PyTorch."""

import copy

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import weights
from benchmarks.peers.base import Data, Peer, ema_decay
from benchmarks.peers.gan_networks import NETWORKS

# (discriminator's of the logits of real and generated images, generator's): `genjax.gan.losses`.
LOSSES = {
    "non_saturating": (
        lambda real, fake: F.softplus(-real) + F.softplus(fake),
        lambda fake: F.softplus(-fake),
    ),
    "minimax": (
        lambda real, fake: F.softplus(-real) + F.softplus(fake),
        lambda fake: -F.softplus(fake),
    ),
    "least_squares": (
        lambda real, fake: 0.5 * ((real - 1).square() + fake.square()),
        lambda fake: 0.5 * (fake - 1).square(),
    ),
    "hinge": (lambda real, fake: F.relu(1 - real) + F.relu(1 + fake), lambda fake: -fake),
    "wasserstein": (lambda real, fake: fake - real, lambda fake: -fake),
}


class GanPeer(Peer):
    """A round as genjax's (`genjax.gan.round`): `n_dis` updates of the discriminator, then one of
    the generator, on images of which the last of these updates saw a share."""

    def __init__(self, config, dataset, variant, device):
        super().__init__(config, variant, device)
        make, options = NETWORKS[config.model.name], config.optimizer
        networks = make(config.model, dataset.shape, variant.channels_last)
        self.generator_network, self.discriminator = map(self.place, networks)
        self.average = copy.deepcopy(self.generator_network).eval().requires_grad_(False)
        self.images_per_step = config.n_dis * config.train.batch_size
        self._data = Data(self, dataset, self.images_per_step)
        self._optimizers = {
            name: torch.optim.Adam(
                network.parameters(),
                lr=options.learning_rate,
                betas=(options.b1, options.b2),
                fused=True,
            )
            for name, network in self._networks().items()
        }
        self._averaged = _floats(self.generator_network), _floats(self.average)
        self._norms = [m for m in self.generator_network if isinstance(m, nn.BatchNorm2d)]
        self._mixes = any(isinstance(m, nn.BatchNorm2d) for m in self.discriminator)
        self._rounds = 0
        self._generate = self.compiled(self.generator_network)
        self._sample = self.compiled(self.average)
        self._d_losses = self.compiled(self._discriminator_losses)
        self._g_loss = self.compiled(self._generator_loss)

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator_network, "discriminator": self.discriminator}

    def _discriminator_losses(self, image, fake, noise):
        """(what is minimised, the loss, the penalty or None) on as many real and generated."""
        regularizer = self.config.regularizer
        real = self.to_float(image, -1)
        if self.config.dequantize:
            real = real + noise["uniform"] / 128
        slope = None
        # In float32, R1 needs no pass of its own.
        if regularizer.name == "r1" and not self.variant.autocast:
            slope, logits_real = self._slope(real)
            logits = logits_real, self.discriminator(fake)
        elif self._mixes:
            logits = self.discriminator(real), self.discriminator(fake)
        else:  # no example knows of another, so that one pass does for both batches
            logits = self.discriminator(torch.cat([real, fake])).split(len(real))
        loss = LOSSES[self.config.loss][0](*logits).mean()
        if regularizer.name == "none":
            return loss, loss, None
        penalty = regularizer.weight * self._penalty(real, fake, noise, slope)
        return loss + penalty, loss, penalty

    def _slope(self, x):
        """(the gradient of the sum of logits by the images x, the logits), differentiable."""
        if self.variant.compile:
            # A compiled function has no second derivative; this is a first one to the compiler.
            def total(x):
                logits = self.discriminator(x)
                return logits.sum(), logits

            return torch.func.grad(total, has_aux=True)(x)
        x.requires_grad_()
        logits = self.discriminator(x)
        (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return slope, logits

    def _penalty(self, real, fake, noise, slope):
        """The mean of `genjax.gan.regularizers`, in float32 in any case.

        Args:
          slope: at `real`, where it is known already.
        """
        x = real
        if self.config.regularizer.name == "gradient_penalty":
            alpha = noise["alpha"].view(-1, 1, 1, 1)
            x = alpha * real + (1 - alpha) * fake
        if slope is None:
            self.discriminator.eval()  # spectral norms took their step with the loss
            with torch.autocast(self.device.type, enabled=False):
                slope, _ = self._slope(x)
            self.discriminator.train()
        squares = slope.square().sum(dim=(1, 2, 3))
        if self.config.regularizer.name == "r1":
            return 0.5 * squares.mean()
        return (squares.clamp(min=1e-24).sqrt() - 1).square().mean()

    def _generator_loss(self, fake):
        return LOSSES[self.config.loss][1](self.discriminator(fake)).mean()

    def _draw(self):
        config = self.config
        image, label = self._data.draw()
        batch, latent = config.train.batch_size, config.model.latent
        noise = {
            "z": self.normal(config.generator_batch * batch, latent),
            "earlier_z": self.normal(config.n_dis - 1, batch, latent),
        }
        if config.dequantize:
            noise["uniform"] = self.uniform(*image.shape)
        if config.regularizer.name == "gradient_penalty":
            noise["alpha"] = self.uniform(config.n_dis, batch)
        return image, label, noise

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
        self._descend("generator", self._rounds, 1)

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
        own = {}
        if "uniform" in noise:
            own["uniform"] = noise["uniform"][i::n_dis]
        if "alpha" in noise:
            own["alpha"] = noise["alpha"][i]
        total, loss, penalty = self._d_losses(image[i::n_dis], fake, own)
        total.backward()
        self._descend("discriminator", self._rounds * n_dis + i, n_dis)
        return loss, penalty

    def _descend(self, name: str, done: int, updates: int) -> None:
        """An update after `done` others, at `updates` a round."""
        optimizer, options = self._optimizers[name], self.config.optimizer
        if options.linear_decay:
            left = 1 - min(done / (options.linear_decay * updates), 1)
            optimizer.param_groups[0]["lr"] = options.learning_rate * left
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _update_average(self):
        options = self.config.ema
        decay = ema_decay(
            self._rounds, self.config.train.batch_size, options.half_life, options.ramp
        )
        value, average = self._averaged
        with torch.no_grad():
            torch._foreach_lerp_(average, value, 1 - decay)

    def sample(self, n: int):
        """u8[n, H, W, C] from the average."""
        with torch.no_grad():
            return self.to_uint8(self._sample(self.normal(n, self.config.model.latent)), -1)

    def load(self, state) -> None:
        """Takes the networks of a `GanState` at its start."""
        weights.load(self.generator_network, state.generator)
        weights.load(self.discriminator, state.discriminator)
        weights.load(self.average, state.average)

    def outputs(self, batch, noise):
        """{name: array}: generated pictures f[B, H, W, C] and both batches' logits f[B], as
        training has them: real images as they come, and all generated ones."""
        with torch.no_grad():
            fake = self.generator_network(self._noise(noise)["z"])
            real = self.to_float(self.images(batch["image"]), -1)
            if self._mixes:
                logits = torch.cat([self.discriminator(real), self.discriminator(fake)])
            else:
                logits = self.discriminator(torch.cat([real, fake]))
        return {
            "generator": fake.permute(0, 2, 3, 1).cpu().numpy(),
            "discriminator": logits.cpu().numpy(),
        }

    def moments(self):
        """{network: {parameter: array}}: Adam's first moments."""
        return {
            name: weights.read(network, self._moment(name))
            for name, network in self._networks().items()
        }

    def _moment(self, name: str):
        return lambda parameter: self._optimizers[name].state[parameter]["exp_avg"]


def _floats(network: nn.Module) -> list[torch.Tensor]:
    """Parameters and running statistics, without BatchNorm's counter of batches."""
    return [x for x in network.state_dict().values() if x.is_floating_point()]
