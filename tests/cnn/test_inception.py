"""Inception's graph against one written in PyTorch for this test, with random weights."""

import numpy as np
import pytest

from genjax.cnn import inception
from genjax.errors import UserError

torch = pytest.importorskip("torch")
F = torch.nn.functional


class Unit(torch.nn.Module):
    def __init__(self, inputs, outputs, size, stride=1, padding=0):
        super().__init__()
        self.conv = torch.nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = torch.nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Block(torch.nn.Module):
    """Convolutions by name; `forward` is each kind's own."""

    def __init__(self, **units):
        super().__init__()
        for name, unit in units.items():
            setattr(self, name, unit)

    def mean(self, x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class A(Block):
    def __init__(self, inputs, pooled):
        super().__init__(
            branch1x1=Unit(inputs, 64, 1),
            branch5x5_1=Unit(inputs, 48, 1),
            branch5x5_2=Unit(48, 64, 5, 1, 2),
            branch3x3dbl_1=Unit(inputs, 64, 1),
            branch3x3dbl_2=Unit(64, 96, 3, 1, 1),
            branch3x3dbl_3=Unit(96, 96, 3, 1, 1),
            branch_pool=Unit(inputs, pooled, 1),
        )

    def forward(self, x):
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(self.mean(x))], 1)


class B(Block):
    def __init__(self, inputs):
        super().__init__(
            branch3x3=Unit(inputs, 384, 3, 2),
            branch3x3dbl_1=Unit(inputs, 64, 1),
            branch3x3dbl_2=Unit(64, 96, 3, 1, 1),
            branch3x3dbl_3=Unit(96, 96, 3, 2),
        )

    def forward(self, x):
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class C(Block):
    def __init__(self, c):
        wide, high = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
        super().__init__(
            branch1x1=Unit(768, 192, 1),
            branch7x7_1=Unit(768, c, 1),
            branch7x7_2=Unit(c, c, *wide),
            branch7x7_3=Unit(c, 192, *high),
            branch7x7dbl_1=Unit(768, c, 1),
            branch7x7dbl_2=Unit(c, c, *high),
            branch7x7dbl_3=Unit(c, c, *wide),
            branch7x7dbl_4=Unit(c, c, *high),
            branch7x7dbl_5=Unit(c, 192, *wide),
            branch_pool=Unit(768, 192, 1),
        )

    def forward(self, x):
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = x
        for i in range(1, 6):
            double = getattr(self, f"branch7x7dbl_{i}")(double)
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(self.mean(x))], 1)


class D(Block):
    def __init__(self):
        super().__init__(
            branch3x3_1=Unit(768, 192, 1),
            branch3x3_2=Unit(192, 320, 3, 2),
            branch7x7x3_1=Unit(768, 192, 1),
            branch7x7x3_2=Unit(192, 192, (1, 7), 1, (0, 3)),
            branch7x7x3_3=Unit(192, 192, (7, 1), 1, (3, 0)),
            branch7x7x3_4=Unit(192, 192, 3, 2),
        )

    def forward(self, x):
        seven = x
        for i in range(1, 5):
            seven = getattr(self, f"branch7x7x3_{i}")(seven)
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class E(Block):
    def __init__(self, inputs, maximum):
        a, b = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
        super().__init__(
            branch1x1=Unit(inputs, 320, 1),
            branch3x3_1=Unit(inputs, 384, 1),
            branch3x3_2a=Unit(384, 384, *a),
            branch3x3_2b=Unit(384, 384, *b),
            branch3x3dbl_1=Unit(inputs, 448, 1),
            branch3x3dbl_2=Unit(448, 384, 3, 1, 1),
            branch3x3dbl_3a=Unit(384, 384, *a),
            branch3x3dbl_3b=Unit(384, 384, *b),
            branch_pool=Unit(inputs, 192, 1),
        )
        self.maximum = maximum

    def forward(self, x):
        three = self.branch3x3_1(x)
        three = torch.cat([self.branch3x3_2a(three), self.branch3x3_2b(three)], 1)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        double = torch.cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], 1)
        pooled = F.max_pool2d(x, 3, 1, 1) if self.maximum else self.mean(x)
        return torch.cat([self.branch1x1(x), three, double, self.branch_pool(pooled)], 1)


class Inception(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = Unit(32, 32, 3)
        self.Conv2d_2b_3x3 = Unit(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1 = Unit(64, 80, 1)
        self.Conv2d_4a_3x3 = Unit(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = A(192, 32), A(256, 64), A(288, 64)
        self.Mixed_6a = B(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = C(128), C(160), C(160), C(192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = D(), E(1280, False), E(2048, True)
        self.fc = torch.nn.Linear(2048, 1008)

    def forward(self, x):
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = F.max_pool2d(x, 3, 2)
        for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
            x = getattr(self, f"Mixed_{name}")(x)
        pooled = x.mean((2, 3))
        return pooled, pooled @ self.fc.weight.T


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = Inception().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # anything but what it begins with
            torch.nn.init.uniform_(module.weight, 1, 2)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.2, 0.6)
    return network


def test_the_graph(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    weights = inception.load(tmp_path / "inception.pth", sha256="")
    # Small, so that it takes a second; odd and not square, so that edges count.
    x = np.random.default_rng(0).uniform(-1, 1, (2, 101, 117, 3)).astype(np.float32)
    with torch.no_grad():
        pool, logits = network(torch.tensor(x).permute(0, 3, 1, 2))
    found = inception.apply(weights, x)
    np.testing.assert_allclose(found["pool"], pool, rtol=2e-4, atol=1e-4 * float(pool.abs().max()))
    np.testing.assert_allclose(
        found["logits"], logits, rtol=2e-4, atol=1e-4 * float(logits.abs().max())
    )


def test_another_file_is_refused(tmp_path, network):
    path = tmp_path / "inception.pth"
    state = network.state_dict()
    torch.save(state, path)
    with pytest.raises(UserError, match="SHA-256"):
        inception.load(path)
    state["fc.weight"] = state["fc.weight"][:1000]
    torch.save(state, path)
    with pytest.raises(UserError, match=r"\(1000, 2048\), not \(1008, 2048\)"):
        inception.load(path, sha256="")
    del state["fc.weight"]
    torch.save(state, path)
    with pytest.raises(UserError, match=r"no array fc.weight"):
        inception.load(path, sha256="")
