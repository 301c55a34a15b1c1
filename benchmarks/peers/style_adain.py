"""A decoder for features that have any style's moments (AdaIN), and its training, in PyTorch."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
from benchmarks.peers.layers import Conv, full
from benchmarks.peers.style import Vgg
from benchmarks.peers.style_fast import Given

_EPSILON = 1e-5  # added to variances


def decoder(arrays: Mapping, code: str) -> nn.Module:
    """Features f[B, C, h, w] of VGG's layer `code` -> pictures f[B, 3, H, W]: its mirror image."""
    names, layers = list(arrays), []
    for name in reversed(names[: 1 + names.index(code.replace("relu", "conv"))]):
        given, taken = arrays[name]["kernel"].shape[2:]
        layers += [nn.ReflectionPad2d(1), Conv(taken, given, 3, bias=True), nn.ReLU(inplace=True)]
        if name.endswith("_1"):
            layers.append(nn.Upsample(scale_factor=2))
    return nn.Sequential(*layers[:-2])  # conv1_1 is the last: neither a ReLU nor a pool comes after


def moments(features):
    """Of f[B, C, h, w] over places the mean and the root of variance + epsilon, f[B, C, 1, 1]."""
    variance, mean = torch.var_mean(full(features), (2, 3), keepdim=True)
    return mean, (variance + _EPSILON).sqrt()


class Peer(base.Peer):
    """Adam at a falling rate, on content and style losses of what the decoder paints. Squares of
    contents are cut at random places, and so for each one that of one of the styles."""

    def __init__(self, config, variant, device, given: Given):
        super().__init__(config, variant, device)
        base.require(config, "variant", ("pytorch",))
        base.require(config, "features.name", ("vgg16",))
        base.require(config, "features.input", ("torchvision",))
        height, width, _ = self.hold(given.examples, config.train.batch_size)
        self._side, self._code = config.crop or min(height, width), config.features.layer
        taps = [f"relu{block}_1" for block in range(1, 1 + int(self._code[4]))]
        self._vgg = self.place(Vgg(taps, given.weights, border="reflect"))
        self._styles = self.tensor(np.concatenate(given.styles))
        self.networks = {"decoder": self.place(decoder(given.weights, self._code))}
        self.optimizers = {"decoder": self.adam("decoder")}
        self._losses, self._steps = self.compiled(self._pieces), 0

    def _pieces(self, content, style):
        """{name: f[]}, means over squares u8[B, 3, side, side]; `loss` is their sum."""
        with torch.no_grad():
            content = self._vgg(self.to_float(content))[self._code]
            wanted = {k: moments(x) for k, x in self._vgg(self.to_float(style)).items()}
            (mean, deviation), (new_mean, new_deviation) = moments(content), wanted[self._code]
            target = (content - mean) / deviation * new_deviation + new_mean
        painted = self.networks["decoder"](target)[..., : self._side, : self._side]
        found = self._vgg(full(painted))
        style_error = sum(
            F.mse_loss(a, b)
            for tap in wanted
            for a, b in zip(moments(found[tap]), wanted[tap], strict=True)
        )
        pieces = {
            "content": self.config.content_loss.weight
            * F.mse_loss(full(found[self._code]), target),
            "style": self.config.style_loss.weight * style_error,
        }
        return pieces | {"loss": sum(pieces.values())}

    def _noise(self, image):
        return {"uniform": self.random(torch.rand, len(image), 5)}

    def _train(self, image, label, noise):
        uniform = noise["uniform"]
        styles = self._styles[(uniform[:, 0] * len(self._styles)).long()]
        contents = self._squares(image, uniform[:, 1:3])
        losses = self._losses(contents, self._squares(styles, uniform[:, 3:]))
        losses["loss"].backward()
        self.descend("decoder", 1 / (1 + self.config.optimizer.decay * self._steps))
        self._steps += 1
        return losses

    def _squares(self, pictures, places):
        """Squares u8[B, 3, side, side] of u8[B, 3, H, W], where `places` f[B, 2] in [0, 1) say."""
        along = torch.arange(self._side, device=self.device)
        rows, columns = (
            (places[:, i, None] * (pictures.shape[2 + i] - self._side + 1)).long() + along
            for i in range(2)
        )
        return self.picked(pictures, rows, columns)
