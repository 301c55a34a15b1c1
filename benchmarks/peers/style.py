"""Style optimisation in PyTorch: VGG, Gram matrices, Adam and L-BFGS."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
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
        self.taps, names = frozenset(taps), list(arrays)
        self.pool = {"max": nn.MaxPool2d(2), "average": nn.AvgPool2d(2)}[pool]
        self.layers = nn.ModuleDict()
        for name in names[: 1 + max(names.index(tap.replace("relu", "conv")) for tap in taps)]:
            kernel = torch.tensor(arrays[name]["kernel"]).permute(3, 2, 0, 1)
            layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            layer.weight.data = kernel.contiguous()
            layer.bias.data = torch.tensor(arrays[name]["bias"])
            self.layers[name] = layer
        for name, values in (("mean", vgg.IMAGENET_MEAN), ("std", vgg.IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[None, :, None, None])
        self.requires_grad_(False)

    def forward(self, x):
        x, found, block = (x - self.mean) / self.std, {}, "1"
        for name, layer in self.layers.items():
            if name[4] != block:
                x, block = self.pool(x), name[4]
            x = F.relu(layer(x), inplace=True)
            if (tap := name.replace("conv", "relu")) in self.taps:
                found[tap] = x
        return found


class Peer(base.Peer):
    """Images optimised by Adam, or one by L-BFGS; a step is one iteration.

    PyTorch's L-BFGS has another line search than optax's, so iterations are not the same points;
    `evaluations` says how often objective and gradient were computed.
    """

    def __init__(self, config, variant, device):
        super().__init__(config, variant, device)
        options, content = config.style_loss, config.content_loss
        taps = dict.fromkeys([*content.layers, *options.layers])
        net = features.load(config.features.name, taps, config.features.pool)
        if not config.features.name.startswith("vgg"):
            raise ValueError(f"features.name={config.features.name} has no peer")
        pictures = inputs.load(config, runs.read_picture)
        self.images_per_step = len(pictures.contents)
        self._is_lbfgs = config.optimizer.name == "lbfgs"
        if self._is_lbfgs and self.images_per_step > 1:
            raise ValueError("optimizer.name=lbfgs has no peer with several contents")
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
            found = self._features(self.to_float(self.images(pictures.contents)))
            self._content_target = {layer: found[layer] for layer in content.layers}
            self._style_target = [
                self._grams(self._features(self.to_float(self.images(style))))
                for style in pictures.styles
            ]
        self._total = self.compiled(self._objective)
        self._begin(self.images(pictures.start))

    def _features(self, x):
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.variant.autocast):
            return self._vgg(x)

    def _grams(self, found):
        """{layer: [B, C, C]}, sums in float32."""
        grams, chw = {}, self.config.style_loss.gram == "chw"
        for layer in self.config.style_loss.layers:
            flat = found[layer].flatten(2)
            count = flat.shape[2] * (flat.shape[1] if chw else 1)
            grams[layer] = _full(torch.bmm(flat, flat.transpose(1, 2))) / count
        return grams

    def _objective(self, image):
        """The weighted sum of content, style and total variation, over all images."""
        found = self._features(image)
        content = sum(
            _squared_error(_full(found[layer]), _full(target))
            for layer, target in self._content_target.items()
        )
        style = sum(
            weight * _squared_error(gram, target[layer])
            for layer, gram in self._grams(found).items()
            for weight, target in zip(self._style_weights[layer], self._style_target, strict=True)
        )
        total = self._content_weight * content + style
        if self.config.tv_weight:
            down = (image[:, :, 1:] - image[:, :, :-1]).square().sum(dim=(1, 2, 3))
            right = (image[..., 1:] - image[..., :-1]).square().sum(dim=(1, 2, 3))
            total = total + self.config.tv_weight * 0.5 * (down + right)
        return total.sum()

    def _begin(self, start):
        """A fresh optimiser at the images `start` [B, 3, H, W]."""
        options = self.config.optimizer
        self._image = start.detach().contiguous().clone().requires_grad_()
        self.evaluations, self._seen = 0, []
        if self._is_lbfgs:
            self._optimizer = torch.optim.LBFGS(
                [self._image],
                history_size=options.memory,
                tolerance_grad=0,  # it ends only where the gradient is exactly 0, or a step is
                tolerance_change=0,
                line_search_fn="strong_wolfe",
            )
        else:
            self._optimizer = torch.optim.Adam([self._image], lr=options.learning_rate, fused=True)
            self._evaluate()

    def _evaluate(self) -> torch.Tensor:
        """The objective's value; its gradient becomes the images'."""
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
        else:
            for _ in range(steps):
                # As genjax's: the objective is known at the image that a step leaves behind.
                self._optimizer.step()
                self._evaluate()
        self._synchronize()

    def _known(self) -> torch.Tensor:
        """`_evaluate`, but not again where the last line search was: a call of `step` begins at the
        image with which the one before it ended."""
        for image, value, gradient in self._seen:
            if torch.equal(image, self._image):
                self._image.grad = gradient.clone()
                return value
        point = (self._image.detach().clone(), self._evaluate(), self._image.grad)
        self._seen = [*self._seen[1 - _LONGEST_SEARCH :], point]
        return point[1]

    def step(self, batch, noise):
        """One iteration; the mean of the objective after it."""
        self.run(1)
        return {"loss": self.objective()["loss"]}

    def objective(self) -> dict:
        """The mean objective and its gradient f[B, H, W, 3] at the images as they are."""
        loss = float(self._evaluate()) / self.images_per_step
        return {"loss": loss, "gradient": base.to_numpy(self._image.grad)}

    def load(self, state) -> None:
        """Takes the images of a `StyleState`, with fresh optimisers."""
        self._begin(self.images(state.at.image))

    def outputs(self, batch, noise):
        """{tap: features f[B, h, w, C]} of the images as they are."""
        with torch.no_grad():
            found = self._features(self._image)
        return {tap: base.to_numpy(x) for tap, x in found.items()}

    def _pictures(self, n: int):
        """The pictures as they are."""
        return self._image


def _full(x):
    """Losses are float32 where the features are bfloat16."""
    return x.float() if x.dtype == torch.bfloat16 else x


def _squared_error(a, b):
    """f[B]: the mean of (a - b)^2 over all but the first axis."""
    return (a - b).square().flatten(1).mean(dim=1)
