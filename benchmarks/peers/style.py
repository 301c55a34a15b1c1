"""Style optimisation in PyTorch: VGG, Gram matrices, Adam and L-BFGS."""

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base, wasserstein, weights
from benchmarks.peers.layers import Conv, full

# Of ImageNet's training images, RGB in [0, 1].
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_LONGEST_SEARCH = 26  # evaluations that PyTorch's line search makes at most


class Pictures(NamedTuple):
    """What a peer is given, whoever has read it."""

    content: np.ndarray  # u8[1, H, W, 3]
    style: np.ndarray  # u8[1, h, w, 3]
    start: np.ndarray  # f32[1, H, W, 3] in [0, 1], where the optimisation starts
    weights: Mapping  # VGG16's: {"conv1_1": {"kernel": f32[3, 3, C, D], "bias": f32[D]}, …}


class Vgg(nn.Module):
    """Pictures f[B, 3, H, W] in [0, 1] -> {tap: features}: VGG16 up to the deepest tap, frozen.

    Args:
      pool: "max", or "average" of windows that lie within their pictures.
      border: what comes around pictures: "zero"; "replicate", whose features have zeros; or
        "reflect", as around their features.
    """

    def __init__(self, taps, arrays: Mapping, pool: str = "max", border: str = "zero"):
        super().__init__()
        self.taps, self.border = frozenset(taps), border
        self.pool = {"max": F.max_pool2d, "average": F.avg_pool2d}[pool]
        names = list(arrays)
        depth = 1 + max(names.index(tap.replace("relu", "conv")) for tap in taps)
        self.layers = nn.ModuleDict(
            {k: Conv(*arrays[k]["kernel"].shape[2:], 3, 1, 1, bias=True) for k in names[:depth]}
        )
        weights.load(self, {f"Conv_{i}": arrays[name] for i, name in enumerate(self.layers)})
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[None, :, None, None])
        self.requires_grad_(False)

    def forward(self, x):
        x, found, block = (x - self.mean) / self.std, {}, "1"
        for name, layer in self.layers.items():
            if name[4] != block:
                x, block = self.pool(x, 2, ceil_mode=True), name[4]
            if self.border == "reflect" or (self.border == "replicate" and name == "conv1_1"):
                x = F.conv2d(F.pad(x, (1,) * 4, mode=self.border), layer.weight, layer.bias)
            else:
                x = layer(x)
            x = F.relu(x, inplace=True)
            if (tap := name.replace("conv", "relu")) in self.taps:
                found[tap] = x
        return found


class Peer(base.Peer):
    """A picture optimised by Adam or L-BFGS; a step is one iteration.

    Attributes:
      evaluations: how often objective and gradient were computed.
    """

    images_per_step = 1

    def __init__(self, config, variant, device, pictures: Pictures):
        super().__init__(config, variant, device)
        base.require(config, "features.name", ("vgg16",))
        base.require(config, "features.input", ("torchvision",))
        base.require(config, "features.border", ("zero", "replicate"))
        base.require(config, "style_loss.kind", ("gram", "wasserstein"))
        base.require(config, "normalize_gradients", (False,))
        self._is_wasserstein = config.style_loss.kind == "wasserstein"
        if not self._is_wasserstein:
            base.require(config, "style_loss.gram", ("hw",))
        base.require(config, "optimizer.name", ("adam", "lbfgs"))
        self._is_lbfgs = config.optimizer.name == "lbfgs"
        content, style, options = config.content_loss, config.style_loss, config.features
        taps = [*content.layers, *style.layers]
        self._vgg = self.place(Vgg(taps, pictures.weights, options.pool, options.border))
        self._content_weights, self._style_weights = (
            layer_weights(content, 2),
            layer_weights(style, 4),
        )
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=variant.autocast)
        with torch.no_grad(), autocast:
            found = self._vgg(self.to_float(self.tensor(pictures.content)))
            self._content_target = {layer: found[layer] for layer in content.layers}
            found = self._vgg(self.to_float(self.tensor(pictures.style)))
            self._style_target = self._statistics(found)
            if self._is_wasserstein:
                self._style_target = {
                    k: wasserstein.Target(*x) for k, x in self._style_target.items()
                }
        self._total = self.compiled(self._objective)
        self._begin(self.tensor(pictures.start))

    def _grams(self, found):
        """{layer: [1, C, C]}, means over the pixels, in float32."""
        flat = {layer: found[layer].flatten(2) for layer in self._style_weights}
        return {k: full(torch.bmm(x, x.transpose(1, 2))) / x.shape[2] for k, x in flat.items()}

    def _statistics(self, found):
        """Of each layer of the style: a Gram matrix, or (mean, second moments)."""
        grams = self._grams(found)
        if not self._is_wasserstein:
            return grams
        return {layer: (full(found[layer]).mean((2, 3)), gram) for layer, gram in grams.items()}

    def _style_error(self, found, target):
        return target(*found) if self._is_wasserstein else _squared_error(found, target)

    def _objective(self, image):
        """The weighted sum of content, style and total variation."""
        return sum(self._pieces(image).values())

    def _pieces(self, image):
        """{name: f[]}: the objective's weighted terms, without those whose weight is 0."""
        found = self._vgg(image)
        statistics = self._statistics(found)
        pieces = {
            "content": sum(
                self._content_weights[layer] * _squared_error(found[layer], target)
                for layer, target in self._content_target.items()
            ),
            "style": sum(
                weight * self._style_error(statistics[layer], self._style_target[layer])
                for layer, weight in self._style_weights.items()
            ),
        }
        if self.config.tv_weight:
            of = {"sum": variation, "nine-point": _nine_point_variation}[self.config.tv_kind]
            pieces["tv"] = self.config.tv_weight * of(image)
        return pieces

    def _begin(self, start):
        """A fresh optimiser at the picture `start` [1, 3, H, W]."""
        options = self.config.optimizer
        self._image = start.detach().contiguous().clone().requires_grad_()
        self.evaluations, self._seen = 0, deque(maxlen=_LONGEST_SEARCH)
        if self._is_lbfgs:
            self._optimizer = torch.optim.LBFGS(
                [self._image],
                history_size=options.memory,
                tolerance_grad=0,  # it ends only where the gradient is exactly 0, or a step is
                tolerance_change=0,
                line_search_fn="strong_wolfe",
            )
        else:
            moments = options.get("b1", 0.9), options.get("b2", 0.999)
            rate = options.learning_rate
            self._optimizer = torch.optim.Adam([self._image], lr=rate, betas=moments, fused=True)
            self._average = self._image.detach().clone() if options.get("average", 0) else None
        self._value = self._known()

    def _evaluate(self) -> torch.Tensor:
        """The objective's value; its gradient becomes the picture's."""
        if self.variant.compile == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        value = self._total(self._image)
        (gradient,) = torch.autograd.grad(value, self._image)
        self._image.grad = gradient.contiguous()  # the optimisers flatten it
        self.evaluations += 1
        # L-BFGS keeps values; a CUDA graph's next replay would overwrite them.
        return value.detach().clone()

    def run(self, steps: int) -> None:
        """So many iterations; waits for the last."""
        if self._is_lbfgs:
            self._optimizer.param_groups[0] |= {"max_iter": steps, "max_eval": math.inf}
            self._optimizer.step(self._known)
            self._value = self._known()  # of the last point of its line search
        else:
            for _ in range(steps):
                # As genjax's: the objective is known at the picture that a step leaves behind.
                self._optimizer.step()
                self._keep()
                self._value = self._evaluate()
        self._synchronize()

    @torch.no_grad()
    def _keep(self) -> None:
        """Clamps the picture, and adds it to the running mean, where these are asked for."""
        options = self.config.optimizer
        if options.get("clamp", False):
            self._image.clamp_(0, 1)
        if self._average is not None:
            decay = options.average
            share = (1 - decay) / (1 - decay ** (self.evaluations + 1))
            self._average.lerp_(self._image, share)

    def train(self, steps):
        self.run(steps)
        return {"loss": self.loss(), "evaluations": float(self.evaluations)}

    def _known(self) -> torch.Tensor:
        """`_evaluate`, but not again where the last line search was: a call of `step` begins at the
        image with which the one before it ended."""
        for image, value, gradient in self._seen:
            if torch.equal(image, self._image):
                self._image.grad = gradient.clone()
                return value
        value = self._evaluate()
        self._seen.append((self._image.detach().clone(), value, self._image.grad))
        return value

    def step(self, batch, noise):
        """One iteration; the objective after it. L-BFGS goes other ways in PyTorch than in optax:
        there the objective at the batch's picture, which genjax's step left."""
        if self._is_lbfgs:
            self._begin(self.tensor(batch["image"]))
        else:
            self.run(1)
        return {"loss": self.loss()}

    def loss(self) -> float:
        """The objective at the picture as it is."""
        return self._value.item()

    def scores(self, image, label):
        """The objective and its terms at the picture as it is, whatever the arguments."""
        with torch.no_grad():
            pieces = self._pieces(self._image)
        return pieces | {"total": sum(pieces.values())}

    def sample(self, n):
        """u8[1, H, W, 3], the picture as it is, whatever `n`: there are no others to draw."""
        average = None if self._is_lbfgs else self._average
        return self.to_uint8(self._image.detach() if average is None else average)

    def everything(self):
        return {"image": self._image.detach(), "optimizer": self._optimizer.state_dict()}

    def load(self, state) -> None:
        """Takes the picture of a `StyleState`, with a fresh optimiser."""
        self._begin(self.tensor(state.at.image))
        self._first_gradient = base.to_numpy(self._image.grad)

    def gradients(self):
        """The objective's at the picture that was loaded, f[1, H, W, 3]."""
        return {"image": {"gradient": self._first_gradient}}

    def outputs(self, inputs):
        """{tap: features f[1, h, w, C]} of the picture as it is."""
        with torch.no_grad():
            return {tap: base.to_numpy(x) for tap, x in self._vgg(self._image).items()}


def layer_weights(loss, power: int) -> dict[str, float]:
    """{layer: what its error is multiplied by}: a scale of features is squared in the content loss,
    and again in the style loss."""
    each = loss.get("weights", (1.0,) * len(loss.layers))
    scales = loss.get("scale", {})
    return {
        layer: loss.weight * weight * scales.get(layer, 1.0) ** power
        for layer, weight in zip(loss.layers, each, strict=True)
    }


def variation(image):
    """Half the sum of the squared differences between neighbours, of pictures f[B, 3, H, W]."""
    down = (image[:, :, 1:] - image[:, :, :-1]).square().sum()
    right = (image[..., 1:] - image[..., :-1]).square().sum()
    return 0.5 * (down + right)


def _nine_point_variation(image):
    """The mean squared slope of f[1, 3, H, W], from neighbours on the sides and the corners."""
    x = F.pad(image, (1,) * 4, mode="replicate")
    straight = _squared_error(x[:, :, 1:-1, 2:], x[:, :, 1:-1, 1:-1])
    straight = straight + _squared_error(x[:, :, 2:, 1:-1], x[:, :, 1:-1, 1:-1])
    diagonal = _squared_error(x[:, :, 1:, 1:], x[:, :, :-1, :-1])
    diagonal = diagonal + _squared_error(x[:, :, 1:, :-1], x[:, :, :-1, 1:])
    return 2 * (straight / 3 + diagonal / 12)


def _squared_error(a, b):
    return (full(a) - full(b)).square().mean()
