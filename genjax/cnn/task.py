"""The classification task: cross-entropy, accuracy, and pictures of the hardest images."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from genjax import images
from genjax.cnn import airbench, muon, views, whitening
from genjax.cnn import classifier as small
from genjax.config import choose
from genjax.devices import pmean
from genjax.errors import UserError
from genjax.nn import apply, backend, check_lasts, compute_type, descend, with_params
from genjax.task import Inputs, Task

_COLUMNS = 8  # of the pictures

# The field of `CnnState` that holds the network to be judged or used. Where a state gets an average
# of its parameters beside those that it trains, it is this one that names it.
JUDGED = "network"


@flax.struct.dataclass
class CnnState:
    """Everything that a resume needs.

    Attributes:
      network: Linen variables, `params`, `batch_stats` and, of airbench, `whitening`.
      optimizer: the optax state.
    """

    network: Any
    optimizer: Any


class _Architecture(NamedTuple):
    """A kind of network, and how it is trained.

    Attributes:
      network: `(config.model, classes, **common) -> Linen module`.
      layers: `(config.model) -> names` of its taps, first to last.
      check_side: `(config.model, px)`: raises UserError for pictures that are too small.
      channels: `(network's variables) -> int`, of the pictures that it takes.
      optimizer: `(config) -> optax transformation` of means of a batch's gradients.
      constants: `(dataset) -> collections` of variables that follow from the data.
    """

    network: Callable[..., nn.Module]
    layers: Callable[..., tuple[str, ...]]
    check_side: Callable[..., None]
    channels: Callable[..., int]
    optimizer: Callable[..., optax.GradientTransformation]
    constants: Callable[..., dict]


def _adam(config) -> optax.GradientTransformation:
    """Adam with a learning rate that falls to 0 along half a cosine (Loshchilov and Hutter 2017,
    arXiv:1608.03983) over `optimizer.decay_steps`."""
    options = config.optimizer
    rate = optax.cosine_decay_schedule(options.learning_rate, options.decay_steps)
    return optax.adam(rate, b1=options.b1, b2=options.b2)


_ARCHITECTURES = {
    "small": _Architecture(
        network=lambda model, classes, **common: small.Classifier(
            classes, model.width, model.blocks, **common
        ),
        layers=lambda model: small.layer_names(model.blocks),
        check_side=lambda model, side: small.check_side(model.blocks, side),
        channels=lambda network: network["params"]["Conv_0"]["kernel"].shape[2],
        optimizer=_adam,
        constants=lambda dataset: {},
    ),
    "airbench": _Architecture(
        network=lambda model, classes, **common: airbench.Airbench(
            classes, tuple(model.widths), **common
        ),
        layers=lambda model: airbench.layer_names(len(model.widths)),
        check_side=lambda model, side: airbench.check_side(len(model.widths), side),
        channels=lambda network: network["whitening"]["mean"].shape[0],
        optimizer=lambda config: muon.optimizer(config.optimizer, config.train.batch_size),
        constants=lambda dataset: {
            "whitening": whitening.statistics(dataset.train, dataset.shape[2])
        },
    ),
}


def _architecture(config) -> _Architecture:
    name = config.model.get("name", "small")  # runs from before there were two have no name
    return choose("model.name", name, _ARCHITECTURES)


def classifier(config, classes: int, **common) -> nn.Module:
    """The network that a config with `task` "cnn" describes.

    It is called with images f32[B, H, W, C] in [-1, 1], `train` and `taps`.

    Args:
      common: `axis_name` and `dtype`.
    """
    return _architecture(config).network(config.model, classes, **common)


def layer_names(config) -> tuple[str, ...]:
    """The taps of `classifier(config, ...)`, first to last."""
    return _architecture(config).layers(config.model)


def channels_and_classes(config, network) -> tuple[int, int]:
    """Of the pictures that a network takes, and of its answers; `network` is its variables."""
    classes = network["params"]["Dense_0"]["kernel"].shape[1]
    return _architecture(config).channels(network), classes


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "cnn".

    Raises:
      UserError: the data has no labels or one class only, the pictures are too small for the
        network, its name is unknown, or the learning rate is 0 before the last step.
    """
    dataset = inputs.dataset
    if not dataset.classes:
        raise UserError(
            f"data.name={config.data.name!r} has no labels to learn: "
            "in a folder, a class is a sub-folder"
        )
    if dataset.classes == 1:
        raise UserError(
            f"data.name={config.data.name!r} has one class only ({', '.join(dataset.class_names)}):"
            " a classifier needs two or more, each in a sub-folder of its own"
        )
    architecture = _architecture(config)
    architecture.check_side(config.model, min(dataset.shape[:2]))
    check_lasts(config, "decay_steps")
    make = partial(classifier, config, dataset.classes, dtype=compute_type(config.precision))
    optimizer = architecture.optimizer(config)
    judge = partial(views.mean_logits, *views.of(config)) if config.evaluate.augment else _once

    @backend.native()
    def init(key, constants):
        network = make().init(key, jnp.zeros((1, *dataset.shape)), train=True)
        return CnnState(network | constants, optimizer.init(network["params"]))

    def step(state, batch, key, axis_name):
        x = images.to_float(batch["image"], low=-1)

        def loss(params):
            network = make(axis_name=axis_name)
            logits, updated = apply(network, with_params(state.network, params), x)
            scored = scores(logits, batch["label"], config.label_smoothing)
            metrics = jax.tree.map(jnp.mean, scored)
            return metrics["loss"], (metrics, updated)

        params = state.network["params"]
        grads, (metrics, updated) = jax.grad(loss, has_aux=True)(params)
        grads = pmean(grads, axis_name)
        metrics["grad_norm"] = optax.tree.norm(grads)
        params, opt_state = descend(optimizer, grads, state.optimizer, params)
        return CnnState(updated | {"params": params}, opt_state), metrics

    def evaluate(state, batch, key):
        x = images.to_float(batch["image"], low=-1)
        logits = judge(lambda x: make().apply(getattr(state, JUDGED), x, train=False), x)
        return scores(logits, batch["label"])

    # Six views are so much work that the faster operations make up for their longer compilation.
    if not config.evaluate.augment:
        evaluate = backend.native()(evaluate)

    @backend.native()
    def pictures(state, batch, key):
        """The held-out images that the network gets most wrong, hardest first."""
        order = jnp.argsort(-evaluate(state, batch, key)["loss"])
        rows = len(order) // _COLUMNS
        hardest = batch["image"][order[: rows * _COLUMNS]]
        return {"hardest": hardest.reshape(rows, _COLUMNS, *dataset.shape)}

    return Task(
        init,
        step,
        config.train.batch_size,
        evaluate=evaluate,
        pictures=pictures,
        constants=architecture.constants(dataset),
        networks=("network",),
    )


def scores(logits, labels, smoothing: float = 0.0) -> dict[str, jax.Array]:
    """Cross-entropy in nats and whether the largest logit is right, {name: f32[B]}.

    Args:
      logits: f32[B, classes].
      labels: i32[B].
      smoothing: the share of the target's mass that all classes have in equal parts (Szegedy et al.
        2016, arXiv:1512.00567, §7).
    """
    if smoothing:
        classes = logits.shape[-1]
        target = optax.smooth_labels(jax.nn.one_hot(labels, classes), smoothing)
        loss = optax.softmax_cross_entropy(logits, target)
    else:
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return {"loss": loss, "accuracy": (logits.argmax(axis=-1) == labels).astype(jnp.float32)}


def _once(network: Callable, x):
    return network(x)
