"""The classifier in PyTorch."""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks.peers import weights
from benchmarks.peers.base import Data, Peer
from benchmarks.peers.layers import Dense, Float, conv, norm


class Classifier(nn.Module):
    """The layers of `genjax.cnn.classifier`."""

    def __init__(self, channels: int, classes: int, width: int, blocks: int):
        super().__init__()
        trunk, inputs = [], channels
        for block in range(blocks):
            if block:
                trunk.append(nn.MaxPool2d(2))
            for _ in range(2):
                outputs = width << block
                trunk += [conv(inputs, outputs, 3, 1, 1), norm(outputs), nn.ReLU(inplace=True)]
                inputs = outputs
        self.trunk = nn.Sequential(*trunk, Float())
        self.head = Dense(inputs, classes)

    def forward(self, x):
        x = self.trunk(x).mean(dim=(2, 3))
        with torch.autocast(x.device.type, enabled=False):  # float32 in any case, as genjax's
            return self.head(x)


class CnnPeer(Peer):
    """Cross-entropy, minimised by Adam with a learning rate along half a cosine."""

    def __init__(self, config, dataset, variant, device):
        super().__init__(config, variant, device)
        model, options = config.model, config.optimizer
        self.network = self.place(
            Classifier(dataset.shape[2], dataset.classes, model.width, model.blocks)
        )
        self._data = Data(self, dataset, config.train.batch_size)
        self.images_per_step = config.train.batch_size
        self._optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=options.learning_rate,
            betas=(options.b1, options.b2),
            fused=True,
        )
        self._rounds = 0
        self._loss = self.compiled(self._cross_entropy)

    def _cross_entropy(self, image, label):
        logits = self.network(self.to_float(image, -1))
        accuracy = (logits.argmax(dim=1) == label).float().mean()  # a metric of genjax's step
        return F.cross_entropy(logits, label), accuracy

    def _draw(self):
        return *self._data.draw(), {}

    def _train(self, image, label, noise):
        options = self.config.optimizer
        share = min(self._rounds / options.decay_steps, 1)
        for group in self._optimizer.param_groups:
            group["lr"] = options.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        loss, accuracy = self._loss(image, label)
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._rounds += 1
        return {"loss": loss.detach(), "accuracy": accuracy.detach()}

    def load(self, state) -> None:
        """Takes the network of a `CnnState` at its start."""
        weights.load(self.network, state.network)

    def outputs(self, batch, noise):
        """{name: array}: the logits f[B, classes], with the statistics of the batch."""
        with torch.no_grad():
            logits = self.network(self.to_float(self.images(batch["image"]), -1))
        return {"network": logits.cpu().numpy()}

    def moments(self):
        """{network: {parameter: array}}: Adam's first moments."""
        return {
            "network": weights.read(
                self.network, lambda parameter: self._optimizer.state[parameter]["exp_avg"]
            )
        }
