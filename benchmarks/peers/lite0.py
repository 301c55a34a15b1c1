"""EfficientNet-Lite0 in PyTorch, as `genjax.cnn.efficientnet` has it: the default net of scores.

The modules have the names of the published weights, and BatchNorm is computed by itself.
"""

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

SIDE, FEATURES, CLASSES = 224, 1280, 1000
# Repeats, kernel, stride of the first, expansion and features of each stage's blocks.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_EPSILON = 1e-3  # of BatchNorm


class Lite0(nn.Module):
    """Pictures f32[B, 3, 224, 224] of 0 to 255 -> features f32[B, 1280]."""

    def __init__(self):
        super().__init__()
        self._conv_stem, self._bn0 = _Same(3, 32, 3, 2), _norm(32)
        blocks, inputs = [], 32
        for repeats, kernel, stride, expansion, features in _STAGES:
            for i in range(repeats):
                blocks.append(_Block(inputs, features, kernel, 1 if i else stride, expansion))
                inputs = features
        self._blocks = nn.Sequential(*blocks)
        self._conv_head, self._bn1 = nn.Conv2d(inputs, FEATURES, 1, bias=False), _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, CLASSES)  # in the weights; scores take what is before it

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem((x - 127) / 128)))
        return F.relu6(self._bn1(self._conv_head(self._blocks(x)))).mean(dim=(2, 3))


class _Block(nn.Module):
    """To more channels, a convolution of each by itself, and to fewer: Sandler et al. 2018."""

    def __init__(self, inputs: int, features: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = inputs * expansion
        self._adds, self._expands = stride == 1 and inputs == features, expansion > 1
        if self._expands:
            self._expand_conv, self._bn0 = nn.Conv2d(inputs, inner, 1, bias=False), _norm(inner)
        self._depthwise_conv, self._bn1 = _Same(inner, inner, kernel, stride, inner), _norm(inner)
        self._project_conv = nn.Conv2d(inner, features, 1, bias=False)
        self._bn2 = _norm(features)

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self._adds else y


class _Same(nn.Conv2d):
    """A convolution with TensorFlow's padding "SAME": with a stride of 2 more at the end."""

    def __init__(self, inputs: int, features: int, kernel: int, stride: int, groups: int = 1):
        super().__init__(inputs, features, kernel, stride, groups=groups, bias=False)

    def forward(self, x):
        around = []
        for length in (x.shape[3], x.shape[2]):
            steps = -(-length // self.stride[0]) - 1
            missing = max(steps * self.stride[0] + self.kernel_size[0] - length, 0)
            around += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, around))


def _norm(features: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(features, eps=_EPSILON)


def load(weights: str) -> Lite0:
    """The network with published weights, ready to be applied.

    Args:
      weights: the path of the file `efficientnet-lite0-57934424.pth`.
    """
    network = Lite0()
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval()
