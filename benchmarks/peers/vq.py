"""VQ-VAE in PyTorch: the layers of `genjax.vae.vqvae`, and a book of codes by running means."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
from benchmarks.peers.layers import Conv, Named, full, lecun

_MEASURED = 1024  # training images whose variance the loss is divided by


class Residual(nn.Module):
    """Blocks x + [ReLU, 3 x 3, ReLU, 1 x 1](x), and a ReLU at the end."""

    def __init__(self, features: int, blocks: int, inner: int):
        super().__init__()
        for i in range(blocks):
            self.add_module(f"Conv_{2 * i}", Conv(features, inner, 3, 1, 1, bias=True))
            self.add_module(f"Conv_{2 * i + 1}", Conv(inner, features, 1, bias=True))

    def forward(self, x):
        layers = list(self.children())
        for wide, narrow in zip(layers[::2], layers[1::2], strict=True):
            x = x + narrow(F.relu(wide(F.relu(x))))
        return F.relu(x)


class Encoder(Named):
    """[B, C, H, W] in [-1/2, 1/2] -> [B, features, H/4, W/4]."""

    def __init__(self, model, channels: int, features: int):
        super().__init__()
        self.Conv_0 = Conv(channels, model.width // 2, 4, 2, 1, bias=True)
        self.Conv_1 = Conv(model.width // 2, model.width, 4, 2, 1, bias=True)
        self.Conv_2 = Conv(model.width, model.width, 3, 1, 1, bias=True)
        self.Residual_0 = Residual(model.width, model.blocks, model.inner)
        self.Conv_3 = Conv(model.width, features, 1, bias=True)

    def forward(self, x):
        x = F.relu(self.Conv_1(F.relu(self.Conv_0(x))))
        return full(self.Conv_3(self.Residual_0(F.relu(self.Conv_2(x)))))


class Decoder(Named):
    """[B, features, H/4, W/4] -> [B, C, H, W]."""

    def __init__(self, model, channels: int, features: int):
        super().__init__()
        half = model.width // 2
        self.Conv_0 = Conv(features, model.width, 3, 1, 1, bias=True)
        self.Residual_0 = Residual(model.width, model.blocks, model.inner)
        self.ConvTranspose_0 = nn.ConvTranspose2d(model.width, half, 4, 2, 1)
        self.ConvTranspose_1 = nn.ConvTranspose2d(half, channels, 4, 2, 1)

    def forward(self, z):
        x = F.relu(self.ConvTranspose_0(self.Residual_0(self.Conv_0(z))))
        return full(self.ConvTranspose_1(x))


class Book(nn.Module):
    """K codes of D features, the running means of the vectors that chose them."""

    def __init__(self, options):
        super().__init__()
        self.options, shape = options, (options.codes, options.features)
        self.register_buffer("codes", torch.randn(shape) / options.features**0.5)
        self.register_buffer("counts", torch.zeros(shape[0]))
        self.register_buffer("sums", torch.zeros(shape))
        self.register_buffer("updates", torch.zeros(()))

    def forward(self, z):
        """(the codes of z [B, D, h, w] with gradients to z, which codes, the term of each z)."""
        vectors = z.permute(0, 2, 3, 1).flatten(0, 2)
        distances = torch.addmm(self.codes.square().sum(1), vectors, self.codes.T, alpha=-2)
        index = distances.argmin(1)
        chosen = self.codes[index]
        square = (vectors - chosen).square().unflatten(0, (len(z), -1)).mean((1, 2))
        with torch.no_grad():
            self._follow(vectors, index)
        chosen = chosen.unflatten(0, (len(z), *z.shape[2:])).permute(0, 3, 1, 2)
        return z + (chosen - z).detach(), index, self.options.beta * square

    def _follow(self, vectors, index):
        decay, epsilon = self.options.decay, self.options.epsilon
        counted = torch.zeros_like(self.counts).index_add_(0, index, torch.ones_like(vectors[:, 0]))
        summed = torch.zeros_like(self.sums).index_add_(0, index, vectors)
        self.counts.lerp_(counted, 1 - decay)
        self.sums.lerp_(summed, 1 - decay)
        self.updates.add_(1)
        weight = 1 - decay**self.updates
        counts, total = self.counts / weight, self.counts.sum() / weight
        counts = (counts + epsilon) / (total + len(counts) * epsilon) * total
        self.codes.copy_(self.sums / weight / counts[:, None])


class Peer(base.Peer):
    """The squared error over the data's variance and the commitment, minimised by one Adam."""

    def __init__(self, config, variant, device, examples: base.Examples):
        super().__init__(config, variant, device)
        base.require(config, "model.name", ("vqvae",))
        base.require(config, "quantizer.name", ("codebook",))
        base.require(config, "quantizer.learned_by", ("average",))
        base.require(config, "quantizer.revive", (0,))
        channels, features = self.hold(examples, config.train.batch_size)[2], config.quantizer
        some = np.linspace(0, len(examples.image) - 1, min(_MEASURED, len(examples.image)))
        self.variance = float((examples.image[some.astype(int)] / 255).var())
        parts = (kind(config.model, channels, features.features) for kind in (Encoder, Decoder))
        self.encoder, self.decoder = (self.place(lecun(part)) for part in parts)
        self.networks = {"encoder": self.encoder, "decoder": self.decoder}
        self.book = Book(config.quantizer).to(self.device, variant.dtype)
        self.optimizers = {"all": self.adam(*self.networks)}
        self._loss = self.compiled(self._losses)

    def load(self, state) -> None:
        super().load(state)
        for name, array in state.quantizer["codebook"].items():
            getattr(self.book, name).copy_(torch.from_numpy(np.array(array)))

    def _losses(self, image):
        x = self.to_float(image)
        z = self.encoder(x - 0.5)
        with torch.autocast(z.device.type, enabled=False):  # float32 in any case, as genjax's
            found, index, commitment = self.book(z)
        y = self.decoder(found) + 0.5
        error = (x - y).square().flatten(1).mean(1)
        share = torch.zeros_like(self.book.counts)
        share = share.index_add(0, index, torch.ones_like(z[:, 0]).flatten()) / len(index)
        return {
            "loss": (error / self.variance + commitment).mean(),
            "mse": error.mean(),
            "commitment": commitment.mean(),
            "perplexity": (-(share * (share + 1e-10).log()).sum()).exp(),
        }

    def _noise(self, image):
        return {}

    def _train(self, image, label, noise):
        losses = self._loss(image)
        losses["loss"].backward()
        self.descend("all")
        return losses
