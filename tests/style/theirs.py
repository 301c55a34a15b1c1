"""The networks that paint in any style, up to relu2_1, in PyTorch."""

import numpy as np


class Theirs:
    """The networks of a task in PyTorch; pictures are f32[B, 3, H, W]."""

    def __init__(self, torch, state, weights):
        def tensors(layer):
            kernel, bias = (torch.tensor(np.array(layer[name])) for name in ("kernel", "bias"))
            return kernel.permute(3, 2, 0, 1).contiguous(), bias

        self.torch, self.functional = torch, torch.nn.functional
        self.encoder = [tensors(weights[name]) for name in ("conv1_1", "conv1_2", "conv2_1")]
        self.decoder = [tensors(state.decoder["params"][f"Conv_{i}"]) for i in range(3)]
        for layer in self.decoder:
            for x in layer:
                x.requires_grad_()

    def conv(self, x, layer):
        return self.functional.conv2d(self.functional.pad(x, (1, 1, 1, 1), mode="reflect"), *layer)

    def encode(self, x):
        """Features at relu1_1 and relu2_1."""
        mean, deviation = (
            self.torch.tensor(values)[None, :, None, None]
            for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        first, second, third = self.encoder
        at_1 = self.conv((x - mean) / deviation, first).relu()
        pooled = self.functional.max_pool2d(self.conv(at_1, second).relu(), 2, ceil_mode=True)
        return at_1, self.conv(pooled, third).relu()

    def decode(self, x):
        x = self.functional.interpolate(self.conv(x, self.decoder[0]).relu(), scale_factor=2)
        return self.conv(self.conv(x, self.decoder[1]).relu(), self.decoder[2])
