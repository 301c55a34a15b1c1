"""Linen variables into torch modules, and torch tensors back into Linen's layouts.

The i-th convolution of a torch network is the `Conv_{i}` of genjax's, and so for each kind of
layer; or all modules of a network have the names of genjax's (`layers.Named`). Linen has a kernel's
axes in another order; those of a dense layer from or to a picture have the picture's three axes as
one.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import nn

from benchmarks.peers.equalized import EqualConv, EqualDense, EqualFromPicture
from benchmarks.peers.layers import (
    ConditionalBatchNorm,
    Conv,
    Dense,
    FromPicture,
    Named,
    SpectralNorm,
    ToPicture,
)

# {layer: (Linen's name, the weight's axes in Linen's order)}. Transposed kernels are PyTorch's by
# definition: `genjax.nn.conv.conv_transpose`.
_LAYERS = {
    Conv: ("Conv", (2, 3, 1, 0)),  # HWIO of OIHW
    nn.ConvTranspose2d: ("ConvTranspose", (2, 3, 0, 1)),  # HWIO of IOHW
    nn.Linear: ("Dense", (1, 0)),
    Dense: ("Dense", (1, 0)),
    FromPicture: ("Dense", (2, 3, 1, 0)),
    ToPicture: ("Dense", (0, 2, 3, 1)),  # IHWO of IOHW
    EqualConv: ("EqualConv", (2, 3, 1, 0)),
    EqualDense: ("EqualDense", (1, 0)),
    EqualFromPicture: ("EqualDense", (2, 3, 1, 0)),
    nn.Embedding: ("Embed", (0, 1)),
    nn.BatchNorm2d: ("BatchNorm", (0,)),
    ConditionalBatchNorm: ("BatchNorm", (0,)),
}
_OF_PICTURES = FromPicture, EqualFromPicture
# The axes, in Linen's order, of what belongs to no layer: kernels, learned pictures,
# tables, numbers.
_OWN = {4: (2, 3, 1, 0), 3: (1, 2, 0), 2: (0, 1), 1: (0,), 0: ()}


def load(network: nn.Module, variables: Mapping) -> None:
    """Copies Linen variables into a network of the same layers.

    These are `params` (or they alone, without the word), `batch_stats` and, of `spectral`, each u:
    v is computed from it before it is used in training.

    Raises:
      ValueError: the layers are not the same.
    """
    variables = variables if "params" in variables else {"params": variables}
    arrays = dict(_leaves(variables))
    for tensor, axes, path, shape in _pairs(network):
        array = np.array(arrays.pop(path))
        if array.shape != shape:
            raise ValueError(f"{path} has shape {array.shape}, the layer's is {shape}")
        ours = tensor.detach().permute(axes)
        ours.copy_(torch.from_numpy(array).reshape(ours.shape))
    if left := [path for path in arrays if path.startswith("params/")]:
        raise ValueError(f"the network has no {', '.join(left)}")


def read(network: nn.Module, value: Callable) -> dict[str, np.ndarray]:
    """{`Conv_0/kernel`: array, …} of `value(parameter)`, a tensor for each, in Linen's layouts."""
    found = {}
    for tensor, axes, path, shape in _pairs(network):
        if path.startswith("params/"):
            array = value(tensor).detach().permute(axes).reshape(shape).cpu().numpy()
            found[path.removeprefix("params/")] = array.copy()  # a view would change with it
    return found


def _leaves(variables: Mapping, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """(`params/Conv_0/kernel`, array) of nested mappings."""
    for name, value in variables.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _pairs(network: nn.Module) -> Iterator[tuple[torch.Tensor, tuple, str, tuple]]:
    """(tensor, its axes in Linen's order, path in Linen's variables, shape there)."""
    counts, named = Counter(), isinstance(network, Named)
    for path, module in network.named_modules():
        path = path.replace(".", "/")
        if type(module) not in _LAYERS:
            if named or module is network:  # such as a learned picture or deviation
                yield from _own(module, f"{path}/" if path else "")
            continue
        kind, axes = _LAYERS[type(module)]
        name = path if named else f"{kind}_{counts[kind]}"
        counts[kind] += 1
        norm = isinstance(module, nn.BatchNorm2d)
        if module.weight is not None:
            shape = tuple(module.weight.permute(axes).shape)
            if type(module) in _OF_PICTURES:
                shape = (math.prod(shape[:3]), shape[3])
            elif type(module) is ToPicture:
                shape = (shape[0], math.prod(shape[1:]))
            yield module.weight, axes, f"params/{name}/{'scale' if norm else 'kernel'}", shape
        if isinstance(bias := getattr(module, "bias", None), torch.Tensor):
            axes = (0, 2, 3, 1) if bias.ndim == 4 else (0,)
            yield bias, axes, f"params/{name}/bias", (bias.numel(),)
        if norm:
            for kind, x in (("mean", module.running_mean), ("var", module.running_var)):
                yield x, (0,), f"batch_stats/{name}/{kind}", tuple(x.shape)
        elif isinstance(getattr(module, "normalize", None), SpectralNorm):
            u = module.normalize.u
            yield u, (0,), f"spectral/{name}/SpectralNorm_0/u", tuple(u.shape)


def _own(module: nn.Module, prefix: str) -> Iterator[tuple[torch.Tensor, tuple, str, tuple]]:
    """As `_pairs`, of the parameters of a module that is no layer."""
    for name, x in module.named_parameters(recurse=False):
        axes = _OWN[x.ndim]
        yield x, axes, f"params/{prefix}{name}", tuple(x.permute(axes).shape)
