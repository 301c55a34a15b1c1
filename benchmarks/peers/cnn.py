"""The classifier in PyTorch: the layers of `genjax.cnn.classifier`."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import base
from benchmarks.peers.layers import Conv, Float, lecun, relu


class Classifier(nn.Module):
    """f[B, C, H, W] -> logits f32[B, classes]."""

    def __init__(self, channels: int, classes: int, width: int, blocks: int):
        super().__init__()
        trunk, inputs = [], channels
        for block in range(blocks):
            if block:
                trunk.append(nn.MaxPool2d(2))
            for _ in range(2):
                outputs = width << block
                trunk += [Conv(inputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), relu()]
                inputs = outputs
        self.trunk = nn.Sequential(*trunk, Float())
        self.head = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.trunk(x).mean(dim=(2, 3))
        with torch.autocast(x.device.type, enabled=False):  # float32 in any case, as genjax's
            return self.head(x)


class Peer(base.Peer):
    """Cross-entropy, minimised by Adam with a learning rate along half a cosine."""

    low = -1

    def __init__(self, config, variant, device, examples: base.Examples):
        super().__init__(config, variant, device)
        base.require(config, "model.name", ("small",))
        base.require(config, "label_smoothing", (0,))
        base.require(config, "evaluate.augment", (False,))
        shape, model = self.hold(examples, config.train.batch_size), config.model
        network = Classifier(shape[2], examples.classes, model.width, model.blocks)
        self.networks = {"network": self.place(lecun(network))}
        self.optimizers = {"network": self.adam("network")}
        self._rounds = 0
        self._loss = self.compiled(self._cross_entropy)

    def _cross_entropy(self, image, label):
        logits = self.networks["network"](self.to_float(image))
        accuracy = (logits.argmax(dim=1) == label).float().mean()
        return F.cross_entropy(logits, label), accuracy

    def _noise(self, image):
        return {}

    def _train(self, image, label, noise):
        loss, _ = self._loss(image, label)  # the accuracy is a metric of genjax's step, too
        loss.backward()
        done = min(self._rounds / self.config.optimizer.decay_steps, 1)
        self.descend("network", 0.5 * (1 + math.cos(math.pi * done)))
        self._rounds += 1
        return {"loss": loss}

    def scores(self, image, label):
        self.networks["network"].eval()
        with torch.no_grad():
            loss, accuracy = self._loss(image, label)
        self.networks["network"].train()
        return {"loss": loss, "accuracy": accuracy}

    def shown(self, image, label):
        """The images that the network gets most wrong, hardest first."""
        network = self.networks["network"].eval()
        with torch.no_grad():
            losses = F.cross_entropy(network(self.to_float(image)), label, reduction="none")
        network.train()
        order = losses.argsort(descending=True)
        return {"hardest": base.in_rows(base.to_numpy(image[order]))}
