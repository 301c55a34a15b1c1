"""The image transformation network in PyTorch, trained with the losses of style transfer."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
from benchmarks.peers.layers import Conv, Named, full
from benchmarks.peers.style import Vgg, layer_weights, variation

_MOST = 255  # of the pictures that the network "johnson" makes
_DEVIATION = 0.01  # of a kernel's first numbers, of the network "conditional"


class Given(NamedTuple):
    """What a peer is given, whoever has read it."""

    examples: base.Examples  # photographs
    styles: list[np.ndarray]  # u8[1, h, w, 3] each
    weights: Mapping  # VGG16's, as `style.Pictures` has them


class ConditionalInstanceNorm(nn.Module):
    """Instance norm with a scale and a bias in each example's shares of the styles."""

    def __init__(self, styles: int, features: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(styles, features))
        self.bias = nn.Parameter(torch.zeros(styles, features))

    def forward(self, x, condition):
        if len(self.scale) == 1:
            return F.instance_norm(x, weight=self.scale[0], bias=self.bias[0])
        scale, bias = ((condition @ p)[:, :, None, None] for p in (self.scale, self.bias))
        return torch.addcmul(bias, F.instance_norm(x), scale)


class Network(Named):
    """f[B, 3, H, W] in [0, 1] and shares of the styles f[B, styles] -> f[B, 3, H, W]."""

    def __init__(self, model, styles: int):
        super().__init__()
        self.ours, self.blocks, width = model.kind == "conditional", model.blocks, model.width
        shapes = [(3, width, 9, 1), (width, 2 * width, 3, 2), (2 * width, 4 * width, 3, 2)]
        shapes += [(4 * width, 4 * width, 3, 1)] * (2 * model.blocks)
        shapes += [(4 * width, 2 * width, 3, 1), (2 * width, width, 3, 1), (width, 3, 9, 1)]
        for i, (inputs, features, size, stride) in enumerate(shapes):
            conv = Conv(inputs, features, size, stride, bias=not self.ours)
            if self.ours:
                nn.init.normal_(conv.weight, 0, _DEVIATION)
            self.add_module(f"Conv_{i}", conv)
            if self.ours or i < len(shapes) - 1:
                norm = ConditionalInstanceNorm(styles, features)
                self.add_module(f"ConditionalInstanceNorm_{i}", norm)

    def forward(self, x, condition):
        names = iter(range(7 + 2 * self.blocks))

        def layer(x):
            i = next(names)
            conv = self.get_submodule(f"Conv_{i}")
            x = conv(F.pad(x, (conv.kernel_size[0] // 2,) * 4, mode="reflect"))
            norm = getattr(self, f"ConditionalInstanceNorm_{i}", None)
            return x if norm is None else norm(x, condition)

        x = x if self.ours else _MOST * x
        for _ in range(3):
            x = F.relu(layer(x))
        for _ in range(self.blocks):
            x = x + layer(F.relu(layer(x)))
        for _ in range(2):
            x = F.relu(layer(F.interpolate(x, scale_factor=2, mode="nearest")))
        x = full(layer(x))
        return torch.sigmoid(x) if self.ours else x / _MOST


class Peer(base.Peer):
    """Adam on content and style losses of what the network paints; of the styles each example has
    one at random."""

    def __init__(self, config, variant, device, given: Given):
        super().__init__(config, variant, device)
        base.require(config, "features.name", ("vgg16",))
        base.require(config, "features.input", ("torchvision",))
        base.require(config, "features.border", ("zero",))
        base.require(config, "tv_kind", ("sum",))
        self.hold(given.examples, config.train.batch_size)
        content, style = config.content_loss, config.style_loss
        taps, options = [*content.layers, *style.layers], config.features
        self._vgg = self.place(Vgg(taps, given.weights, options.pool, options.border))
        self._content_weights = layer_weights(content, 2)
        self._style_weights = layer_weights(style, 4)
        self._styles = len(given.styles)
        self.networks = {"network": self.place(Network(config.model, self._styles))}
        self.optimizers = {"network": self.adam("network")}
        with torch.no_grad():
            each = [self._grams(self._vgg(self.to_float(self.tensor(x)))) for x in given.styles]
        self._targets = {k: torch.cat([grams[k] for grams in each]) for k in self._style_weights}
        self._losses, self._paint = self.compiled(self._pieces), self.compiled(self._painted)

    def _grams(self, found):
        """{layer: f32[B, C, C]}, divided as `style_loss.gram` says."""
        flat = {layer: found[layer].flatten(2) for layer in self._style_weights}
        whole = self.config.style_loss.gram == "chw"
        return {
            k: full(torch.bmm(x, x.transpose(1, 2))) / (x[0].numel() if whole else x.shape[2])
            for k, x in flat.items()
        }

    def _painted(self, image, condition):
        return self.networks["network"](image, condition)

    def _pieces(self, image, condition, number):
        """{name: f[]}, means over a batch u8[B, 3, H, W]; `loss` is their sum."""
        content = self.to_float(image)
        with torch.no_grad():
            target = self._vgg(content)
        painted = self.networks["network"](content, condition)
        found = self._vgg(painted)
        grams = self._grams(found)
        pieces = {
            "content": sum(
                weight * F.mse_loss(full(found[layer]), full(target[layer]))
                for layer, weight in self._content_weights.items()
            ),
            "style": sum(
                weight * F.mse_loss(grams[layer], self._targets[layer][number])
                for layer, weight in self._style_weights.items()
            ),
        }
        if self.config.tv_weight:
            pieces["tv"] = self.config.tv_weight * variation(painted) / len(painted)
        return pieces | {"loss": sum(pieces.values())}

    def _noise(self, image):
        return {"uniform": self.random(torch.rand, len(image))}

    def _train(self, image, label, noise):
        number = (noise["uniform"] * self._styles).long().clamp(max=self._styles - 1)
        losses = self._losses(image, self._condition(number), number)
        losses["loss"].backward()
        self.descend("network")
        return losses

    def _condition(self, number):
        return F.one_hot(number, self._styles).to(self.variant.dtype)

    def outputs(self, inputs):
        """Of pictures in the styles in turn."""
        image = self.tensor(inputs["network"])
        number = torch.arange(len(image), device=self.device) % self._styles
        with torch.no_grad():
            found = self.networks["network"](image, self._condition(number))
        return {"network": base.to_numpy(found)}

    def load(self, state) -> None:
        super().load(state)
        self._targets = {name: self.tensor(x) for name, x in state.style_target.items()}

    def stylize(self, steps: int) -> None:
        """Paints one picture of `stylize.size` px a side so many times, u8 to u8 on the host."""
        side = self.config.stylize.size
        image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        condition = torch.full(
            (1, self._styles), 1 / self._styles, dtype=self.variant.dtype, device=self.device
        )
        with torch.inference_mode():
            for _ in range(steps):
                self.to_uint8(self._paint(self.to_float(self.tensor(image)), condition))
