"""Linen variables into torch modules, and torch tensors back into Linen's layouts.

The i-th convolution of a torch network is the `Conv_{i}` of genjax's, and so for each kind of
layer. Where layouts differ, an array is Linen's with its axes in another order; a dense layer from
or to the pixels of a picture has these pixels' three axes as one in Linen.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from flax.traverse_util import flatten_dict
from torch import nn

from benchmarks.peers.layers import Conv, FromPicture, SpectralNorm, ToPicture

# {layer: (Linen's name, which axis of Linen's kernel each axis of the weight is)}. Transposed
# kernels are PyTorch's by definition: `genjax.nn.conv.conv_transpose`.
_KERNELS = {
    Conv: ("Conv", (3, 2, 0, 1)),  # OIHW of HWIO
    nn.ConvTranspose2d: ("ConvTranspose", (2, 3, 0, 1)),  # IOHW of HWIO
    nn.Linear: ("Dense", (1, 0)),
    FromPicture: ("Dense", (3, 2, 0, 1)),
    ToPicture: ("Dense", (0, 3, 1, 2)),  # IOHW of IHWO
}


def load(network: nn.Module, variables: Mapping) -> None:
    """Copies Linen variables into a network of the same layers.

    These are `params` (or they alone, without the word), `batch_stats` and, of `spectral`, each u:
    v is computed from it before it is used in training.

    Raises:
      ValueError: the layers are not the same.
    """
    variables = variables if "params" in variables else {"params": variables}
    arrays = flatten_dict(dict(variables), sep="/")
    for path, tensor, axes in _pairs(network):
        array = np.asarray(arrays.pop(path))
        # Linen's array with the pixels' axes apart, which have torch's sizes in Linen's order.
        split = [tensor.shape[axis] for axis in np.argsort(axes)]
        if array.size != np.prod(split) or (array.ndim == len(axes) and [*array.shape] != split):
            raise ValueError(f"{path} has shape {array.shape}, the layer's is {tuple(split)}")
        with torch.no_grad():
            tensor.copy_(torch.tensor(array.reshape(split).transpose(axes).copy()))
    if left := [path for path in arrays if path.startswith("params/")]:
        raise ValueError(f"the network has no {', '.join(left)}")


def read(network: nn.Module, value: Callable) -> dict[str, np.ndarray]:
    """{`Conv_0/kernel`: array, …} of `value(parameter)`, a tensor for each, in Linen's layouts."""
    found = {}
    for path, tensor, axes in _pairs(network):
        collection, _, name = path.partition("/")
        if collection == "params":
            array = value(tensor).detach().permute(np.argsort(axes).tolist()).cpu().numpy().copy()
            if "Dense" in name:  # the pixels' axes are one again, before or behind the other
                inputs_first = axes == _KERNELS[ToPicture][1]
                array = array.reshape((len(array), -1) if inputs_first else (-1, array.shape[-1]))
            found[name] = array.ravel() if name.endswith("bias") else array
    return found


def _pairs(network: nn.Module) -> Iterator[tuple[str, torch.Tensor, tuple[int, ...]]]:
    """(path in Linen's variables, tensor, which axis of Linen's each of its axes is)."""
    counts = Counter()
    for module in network.modules():
        if type(module) in _KERNELS:
            kind, axes = _KERNELS[type(module)]
            kernel = "kernel"
        elif isinstance(module, nn.BatchNorm2d):
            kind, kernel, axes = "BatchNorm", "scale", (0,)
        else:
            continue
        name = f"{kind}_{counts[kind]}"
        counts[kind] += 1
        yield f"params/{name}/{kernel}", module.weight, axes
        if module.bias is not None:
            is_picture = module.bias.ndim == 4
            yield f"params/{name}/bias", module.bias, (0, 3, 1, 2) if is_picture else (0,)
        if kind == "BatchNorm":
            yield f"batch_stats/{name}/mean", module.running_mean, (0,)
            yield f"batch_stats/{name}/var", module.running_var, (0,)
        elif isinstance(getattr(module, "normalize", None), SpectralNorm):
            yield f"spectral/{name}/SpectralNorm_0/u", module.normalize.u, (0,)
    # What belongs to no layer, such as a learnt deviation.
    for name, parameter in network.named_parameters(recurse=False):
        yield f"params/{name}", parameter, tuple(range(parameter.ndim))
