"""The VAE workloads in PyTorch."""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import weights
from benchmarks.peers.base import Data, Peer
from benchmarks.peers.layers import Dense, Flatten, Float, Unflatten, conv, norm, up


def _mlp(model, shape, channels_last: bool) -> tuple[nn.Module, nn.Module]:
    """The layers of `genjax.vae.mlp`."""
    height, width, channels = shape
    pixels = (channels, height, width)
    # Where memory is NHWC, the order of pixels is genjax's.
    order = None if channels_last else pixels
    sizes = [math.prod(shape), *model.hidden]
    encoder = [Flatten(channels_last)]
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        encoder += [Dense(inputs, outputs, pixels_in=None if i else order), nn.ReLU(inplace=True)]
    encoder += [Dense(sizes[-1], 2 * model.latent, pixels_in=order if len(sizes) == 1 else None)]
    decoder, inputs = [], model.latent
    for outputs in reversed(model.hidden):
        decoder += [Dense(inputs, outputs), nn.ReLU(inplace=True)]
        inputs = outputs
    decoder += [Dense(inputs, sizes[0], pixels_out=order), Unflatten(pixels, channels_last)]
    return nn.Sequential(*encoder, Float()), nn.Sequential(*decoder, Float())


def _conv(model, shape, channels_last: bool) -> tuple[nn.Module, nn.Module]:
    """The layers of `genjax.vae.conv`."""
    height, width, channels = shape
    encoder, inputs = [], channels
    for level in range(4):
        outputs = model.width << level
        encoder += [conv(inputs, outputs, 4, 2, 1), norm(outputs), nn.ReLU(inplace=True)]
        inputs = outputs
    smallest = (inputs, height // 16, width // 16)
    encoder += [
        Flatten(channels_last),
        Dense(
            math.prod(smallest),
            2 * model.latent,
            pixels_in=None if channels_last else smallest,
        ),
    ]
    small = (8 * model.width, height // 4, width // 4)
    decoder = [
        Dense(
            model.latent,
            math.prod(small),
            bias=False,
            pixels_out=None if channels_last else small,
        ),
        Unflatten(small, channels_last),
        norm(small[0]),
        nn.ReLU(inplace=True),
    ]
    for factor in (4, 2):
        outputs = factor * model.width
        decoder += [up(2 * outputs, outputs, 4, 2, 1), norm(outputs), nn.ReLU(inplace=True)]
    decoder += [conv(2 * model.width, channels, 3, 1, 1, bias=True)]
    return nn.Sequential(*encoder, Float()), nn.Sequential(*decoder, Float())


NETWORKS = {"mlp": _mlp, "conv": _conv}


class VaePeer(Peer):
    """The negative ELBO of both networks, minimised by one Adam."""

    def __init__(self, config, dataset, variant, device):
        super().__init__(config, variant, device)
        make = NETWORKS[config.model.name]
        self.encoder, self.decoder = map(
            self.place, make(config.model, dataset.shape, variant.channels_last)
        )
        self.log_sigma = None
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        if config.likelihood == "gaussian":
            self.log_sigma = nn.Parameter(self.tensor(0.0).to(variant.dtype))
            parameters.append(self.log_sigma)
        self._data = Data(self, dataset, config.train.batch_size)
        self.images_per_step = config.train.batch_size
        self._optimizer = torch.optim.Adam(
            parameters, lr=config.optimizer.learning_rate, fused=True
        )
        self._loss = self.compiled(self._pieces)
        self._decode = self.compiled(self._pictures)

    def _prepare(self, image, noise):
        """What the likelihood is of: grey levels, or pixels drawn with them as probabilities."""
        levels = self.to_float(image, 0)
        if self.config.binarize == "grey":
            return levels
        return (noise["uniform"] < levels).to(levels.dtype)

    def _pieces(self, image, noise):
        """The negative ELBO, reconstruction and KL, means over the batch in nats."""
        x = self._prepare(image, noise)
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        answer = self.decoder(mean + torch.exp(0.5 * log_variance) * noise["z"])
        if self.log_sigma is None:
            total = F.binary_cross_entropy_with_logits(answer, x, reduction="sum")
        else:
            scaled = (x - answer) * torch.exp(-self.log_sigma)
            constant = self.log_sigma + 0.5 * math.log(2 * math.pi)
            total = 0.5 * scaled.square().sum() + x.numel() * constant
        reconstruction = total / len(x)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        kl = divergence.sum() / len(x)
        return reconstruction + kl, reconstruction, kl

    def _draw(self):
        image, label = self._data.draw()
        noise = {"z": self.normal(len(image), self.config.model.latent)}
        if self.config.binarize != "grey":
            # "static" draws the same numbers for an example at each visit: as many as "dynamic".
            noise["uniform"] = self.uniform(*image.shape)
            if self.variant.channels_last:
                noise["uniform"] = noise["uniform"].to(memory_format=torch.channels_last)
        return image, label, noise

    def _train(self, image, label, noise):
        negative_elbo, reconstruction, kl = self._loss(image, noise)
        negative_elbo.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        names = ("negative_elbo", "reconstruction", "kl")
        return dict(
            zip(names, (x.detach() for x in (negative_elbo, reconstruction, kl)), strict=True)
        )

    def _pictures(self, z):
        answer = self.decoder(z)
        return answer if self.log_sigma is not None else torch.sigmoid(answer)

    def sample(self, n: int):
        """u8[n, H, W, C], the most likely picture of each latent."""
        self.decoder.eval()
        with torch.no_grad():
            picture = self._decode(self.normal(n, self.config.model.latent))
        self.decoder.train()
        return self.to_uint8(picture, 0)

    def load(self, state) -> None:
        """Takes the networks of a `VaeState` at its start."""
        weights.load(self.encoder, state.encoder)
        weights.load(self.decoder, state.decoder)
        if self.log_sigma is not None:
            with torch.no_grad():
                self.log_sigma.fill_(float(state.likelihood["log_sigma"]))

    def outputs(self, batch, noise):
        """{name: array}: the moments of q(z | x), f[B, 2 latent], and the decoder's answer to z,
        f[B, H, W, C], with the statistics of the batch."""
        noise = self._noise(noise)
        with torch.no_grad():
            moments = self.encoder(self._prepare(self.images(batch["image"]), noise))
            answer = self.decoder(noise["z"])
        return {
            "encoder": moments.cpu().numpy(),
            "decoder": answer.permute(0, 2, 3, 1).cpu().numpy(),
        }

    def moments(self):
        """{network: {parameter: array}}: Adam's first moments."""
        found = {
            "encoder": weights.read(self.encoder, self._moment),
            "decoder": weights.read(self.decoder, self._moment),
        }
        if self.log_sigma is not None:
            log_sigma = self._moment(self.log_sigma).cpu().numpy().copy()
            found["likelihood"] = {"log_sigma": log_sigma}
        return found

    def _moment(self, parameter):
        return self._optimizer.state[parameter]["exp_avg"]
