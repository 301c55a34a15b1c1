"""Linen variables into torch modules, and torch tensors back into Linen's layouts.

The i-th convolution of a torch network is the `Conv_{i}` of genjax's, and so for each kind of
layer. Kernels of convolutions are HWIO there and OIHW here (IOHW for transposed ones, whose
definition is PyTorch's: `genjax.nn.conv.conv_transpose`); dense kernels are transposed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import nn

from benchmarks.peers.layers import Dense, SpectralConv, SpectralDense

_KINDS = {
    nn.Conv2d: "Conv",
    SpectralConv: "Conv",
    nn.ConvTranspose2d: "ConvTranspose",
    nn.BatchNorm2d: "BatchNorm",
    Dense: "Dense",
    SpectralDense: "Dense",
}
_AXES = {"Conv": (3, 2, 0, 1), "ConvTranspose": (2, 3, 0, 1)}  # of kernels, for torch


def layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(Linen name, module) of each layer with parameters, in the order of the network."""
    counts = Counter()
    for module in network.modules():
        if kind := _KINDS.get(type(module)):
            yield f"{kind}_{counts[kind]}", module
            counts[kind] += 1


def load(network: nn.Module, variables: Mapping) -> None:
    """Copies Linen variables into a network of the same layers.

    These are `params`, `batch_stats` and, of `spectral`, each u: v is computed from it before it is
    used in training.

    Raises:
      ValueError: the layers are not the same.
    """
    params, stats = dict(variables["params"]), variables.get("batch_stats", {})
    for name, module in layers(network):
        values = params.pop(name)
        if isinstance(module, nn.BatchNorm2d):
            moving = stats[name]
            _copy(module.weight, values["scale"])
            _copy(module.running_mean, moving["mean"])
            _copy(module.running_var, moving["var"])
        else:
            _copy(module.weight, kernel_to_torch(module, values["kernel"]))
        if hasattr(module, "spectral"):
            _copy(module.spectral.u, variables["spectral"][name]["SpectralNorm_0"]["u"])
        if module.bias is not None:
            bias = values["bias"]
            _copy(module.bias, _reorder(bias, module, "pixels_out", to_torch=True))
    if params:
        raise ValueError(f"the network has no {', '.join(params)}")


def kernel_to_torch(module: nn.Module, kernel: np.ndarray) -> np.ndarray:
    """A Linen kernel in the layout of a torch layer's weight."""
    if axes := _AXES.get(_KINDS[type(module)]):
        return np.asarray(kernel).transpose(axes)
    kernel = _reorder(kernel, module, "pixels_in", to_torch=True).T
    return _reorder(kernel, module, "pixels_out", to_torch=True)


def _kernel_to_linen(module: nn.Module, weight: np.ndarray) -> np.ndarray:
    if axes := _AXES.get(_KINDS[type(module)]):
        return weight.transpose(np.argsort(axes))
    weight = _reorder(weight, module, "pixels_out", to_torch=False).T
    return _reorder(weight, module, "pixels_in", to_torch=False)


def read(network: nn.Module, value: Callable) -> dict[str, np.ndarray]:
    """{`Conv_0/kernel`: array, …} of `value(parameter)`, a tensor for each, in Linen's layouts."""
    found = {}
    for name, module in layers(network):
        weight = _numpy(value(module.weight))
        if isinstance(module, nn.BatchNorm2d):
            found[f"{name}/scale"] = weight
        else:
            found[f"{name}/kernel"] = _kernel_to_linen(module, weight)
        if module.bias is not None:
            bias = _numpy(value(module.bias))
            found[f"{name}/bias"] = _reorder(bias, module, "pixels_out", to_torch=False)
    return found


def _reorder(array, module: nn.Module, side: str, to_torch: bool) -> np.ndarray:
    """Permutes the first axis between the pixels' orders (H, W, C) and (C, H, W)."""
    array, pixels = np.asarray(array), getattr(module, side, None)
    if not pixels:
        return array
    c, h, w = pixels
    rest = array.shape[1:]
    split = (h, w, c) if to_torch else (c, h, w)
    axes = (2, 0, 1) if to_torch else (1, 2, 0)
    moved = array.reshape(*split, *rest).transpose(*axes, *range(3, 3 + len(rest)))
    return moved.reshape(array.shape)


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()  # a view would change with the next step


def _copy(tensor: torch.Tensor, array: np.ndarray) -> None:
    array = np.asarray(array)
    if array.shape != tuple(tensor.shape):
        raise ValueError(f"an array has shape {array.shape}, the layer's is {tuple(tensor.shape)}")
    with torch.no_grad():
        tensor.copy_(torch.tensor(np.ascontiguousarray(array)))
