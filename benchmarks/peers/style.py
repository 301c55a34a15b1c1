"""Style optimisation in PyTorch: VGG, Gram matrices, Adam and L-BFGS."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers.base import Peer
from benchmarks.peers.weights import kernel_to_torch
from genjax import runs
from genjax.cnn import features, vgg
from genjax.style import inputs

_LONGEST_SEARCH = 26  # evaluations that PyTorch's line search makes at most


class Vgg(nn.Module):
    """Pictures f[B, 3, H, W] in [0, 1] -> {tap: features}: `genjax.cnn.vgg.apply`, frozen.

    Ends after the deepest tap.
    """

    def __init__(self, arrays, taps, pool: str):
        super().__init__()
        self.taps = frozenset(taps)
        names = list(arrays)
        deepest = max(names.index(tap.replace("relu", "conv")) for tap in taps)
        self.names = names[: deepest + 1]
        self.pool = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2)}[pool]
        self.layers = nn.ModuleList()
        for name in self.names:
            kernel, bias = arrays[name]["kernel"], arrays[name]["bias"]
            layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
            layer.weight.data = torch.tensor(kernel_to_torch(layer, kernel).copy())
            layer.bias.data = torch.tensor(bias)
            self.layers.append(layer)
        for name, values in (("mean", vgg.IMAGENET_MEAN), ("std", vgg.IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[None, :, None, None])
        self.requires_grad_(False)

    def forward(self, x):
        x, found, block = (x - self.mean) / self.std, {}, "1"
        for name, layer in zip(self.names, self.layers, strict=True):
            if name[4] != block:
                x, block = self.pool(x), name[4]
            x = F.relu(layer(x), inplace=True)
            if (tap := name.replace("conv", "relu")) in self.taps:
                found[tap] = x
        return found


class StylePeer(Peer):
    """One image a content, optimised: Adam on all at once, L-BFGS on each by itself.

    A step is one iteration of each. PyTorch's L-BFGS has another line search than optax's, so
    iterations are not the same points; `evaluations` says how often objective and gradient were
    computed, all images together.
    """

    def __init__(self, config, dataset, variant, device):
        super().__init__(config, variant, device)
        options, content = config.style_loss, config.content_loss
        taps = dict.fromkeys([*content.layers, *options.layers])
        net = features.load(config.features.name, taps, config.features.pool)
        if not config.features.name.startswith("vgg"):
            raise ValueError(f"features.name={config.features.name} has no peer")
        pictures = inputs.load(config, runs.read_picture)
        self.images_per_step = len(pictures.contents)
        self._vgg = self.place(Vgg(net.weights, taps, config.features.pool))
        shares = inputs.shares(config.style_weights, len(pictures.styles))
        # The factor of all features is squared in the content loss and again in the style loss.
        scale = config.features.scale
        self._content_weight = content.weight * scale**2
        self._style_weights = {
            layer: [float(options.weight * weight * scale**4 * share) for share in shares]
            for layer, weight in zip(options.layers, options.weights, strict=True)
        }
        with torch.no_grad():
            found = self._features(self._float_images(pictures.contents))
            self._content_target = {layer: found[layer] for layer in content.layers}
            self._style_target = [
                self._grams(self._features(self._float_images(style))) for style in pictures.styles
            ]
        self._total = self.compiled(self._objective)
        self._begin(self.images(pictures.start))

    def _float_images(self, array):
        return self.to_float(self.images(array), 0)

    def _features(self, x):
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.variant.autocast):
            return self._vgg(x)

    def _grams(self, found):
        """{layer: [B, C, C]}, sums in float32."""
        grams, chw = {}, self.config.style_loss.gram == "chw"
        for layer in self.config.style_loss.layers:
            flat = found[layer].flatten(2)
            count = flat.shape[2] * (flat.shape[1] if chw else 1)
            gram = torch.bmm(flat, flat.transpose(1, 2))
            grams[layer] = self._full(gram) / count
        return grams

    def _full(self, x):
        """Losses are float32 where the features are bfloat16."""
        return x.float() if x.dtype == torch.bfloat16 else x

    def pieces(self, image, content_target) -> dict[str, torch.Tensor]:
        """{name: f[B]}: the weighted parts of the objective and their `total`."""
        found = self._features(image)
        content = sum(
            _mean_squared_error(self._full(found[layer]), self._full(target))
            for layer, target in content_target.items()
        )
        style = sum(
            weight * _mean_squared_error(gram, target[layer])
            for layer, gram in self._grams(found).items()
            for weight, target in zip(self._style_weights[layer], self._style_target, strict=True)
        )
        values = {"content": self._content_weight * content, "style": style}
        if self.config.tv_weight:
            down = (image[:, :, 1:] - image[:, :, :-1]).square().sum(dim=(1, 2, 3))
            right = (image[..., 1:] - image[..., :-1]).square().sum(dim=(1, 2, 3))
            values["tv"] = self.config.tv_weight * 0.5 * (down + right)
        return values | {"total": sum(values.values())}

    def _objective(self, image, content_target):
        return self.pieces(image, content_target)["total"].sum()

    def _begin(self, start):
        """Fresh optimisers at the images `start` [B, 3, H, W]."""
        self.evaluations = 0
        options = self.config.optimizer
        alone = options.name == "lbfgs"
        parts = start.split(1) if alone else [start]
        self._parts = [x.detach().contiguous().clone().requires_grad_() for x in parts]
        self._targets = [
            {k: x[i : i + 1] if alone else x for k, x in self._content_target.items()}
            for i in range(len(parts))
        ]
        self._values = [None] * len(parts)
        self._seen = [[] for _ in parts]
        if alone:
            self._optimizers = [_lbfgs(x, options.memory) for x in self._parts]
        else:
            self._optimizers = [torch.optim.Adam(self._parts, lr=options.learning_rate, fused=True)]
            self._evaluate(0)

    def _evaluate(self, i: int) -> torch.Tensor:
        """Value and gradient at the i-th part, which is one image, or all of them."""
        part = self._parts[i]
        if self.variant.compile == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        value = self._total(part, self._targets[i])
        (gradient,) = torch.autograd.grad(value, part)
        part.grad = gradient.contiguous()  # the optimisers flatten it
        self.evaluations += len(part)
        # L-BFGS keeps values; a CUDA graph's next replay would overwrite them.
        self._values[i] = value.detach().clone()
        return self._values[i]

    def run(self, n: int) -> None:
        """`n` iterations of each image; waits for the last."""
        if self.config.optimizer.name == "adam":
            for _ in range(n):
                # As genjax's: the objective is known at the image that a step leaves behind.
                self._optimizers[0].step()
                self._evaluate(0)
        else:
            for i, optimizer in enumerate(self._optimizers):
                (group,) = optimizer.param_groups
                group["max_iter"], group["max_eval"] = n, math.inf
                optimizer.step(lambda i=i: self._known(i))
        self._synchronize()

    def _known(self, i: int) -> torch.Tensor:
        """`_evaluate`, but not again where the last line search was: a call of `step` begins at the
        image with which the one before it ended."""
        part, seen = self._parts[i], self._seen[i]
        for image, value, gradient in seen:
            if torch.equal(image, part):
                part.grad = gradient.clone()
                return value
        value = self._evaluate(i)
        self._seen[i] = [*seen[1 - _LONGEST_SEARCH :], (part.detach().clone(), value, part.grad)]
        return value

    def step(self, batch, noise):
        """One iteration; the mean of the objective after it."""
        self.run(1)
        return {"loss": self.objective()["loss"]}

    def objective(self) -> dict:
        """The mean objective and its gradient f[B, H, W, 3] at the images as they are."""
        for i in range(len(self._parts)):
            self._evaluate(i)
        gradient = torch.cat([part.grad for part in self._parts])
        return {
            "loss": float(sum(self._values)) / self.images_per_step,
            "gradient": gradient.permute(0, 2, 3, 1).cpu().numpy(),
        }

    def sample(self, n: int):
        """The pictures as they are, u8[B, H, W, 3]."""
        return self.to_uint8(torch.cat([part.detach() for part in self._parts]), 0)

    def load(self, state) -> None:
        """Takes the images of a `StyleState`, with fresh optimisers."""
        self._begin(self.images(state.at.image))

    def outputs(self, batch, noise):
        """{tap: features f[B, h, w, C]} of the images as they are."""
        with torch.no_grad():
            found = self._features(torch.cat(self._parts))
        return {tap: x.permute(0, 2, 3, 1).cpu().numpy() for tap, x in found.items()}


def _lbfgs(image, memory: int) -> torch.optim.LBFGS:
    """Ends only where the gradient is exactly 0, or a step is."""
    return torch.optim.LBFGS(
        [image],
        history_size=memory,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )


def _mean_squared_error(a, b):
    """f[B]: the mean of (a - b)^2 over all but the first axis."""
    return (a - b).square().flatten(1).mean(dim=1)
