"""The classification task: cross-entropy, accuracy, and pictures of the hardest images."""

from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from genjax import images
from genjax.cnn.classifier import Classifier
from genjax.devices import pmean
from genjax.errors import UserError
from genjax.nn import apply, backend, check_lasts, compute_type, descend, with_params
from genjax.task import Inputs, Task

_COLUMNS = 8  # of the pictures


@flax.struct.dataclass
class CnnState:
    """Everything that a resume needs.

    Attributes:
      network: Linen variables, `params` and `batch_stats`.
      optimizer: the optax state.
    """

    network: Any
    optimizer: Any


def classifier(config, classes: int, **common) -> Classifier:
    """The network that a config with `task` "cnn" describes."""
    model = config.model
    return Classifier(classes, model.width, model.blocks, **common)


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "cnn".

    Adam with a learning rate that falls to 0 along half a cosine (Loshchilov and Hutter 2017,
    arXiv:1608.03983) over `optimizer.decay_steps`.

    Raises:
      UserError: the data has no labels or one class only, the pictures are too small for so many
        blocks, or the learning rate is 0 before the last step.
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
    side, halvings = min(dataset.shape[:2]), config.model.blocks - 1
    if not side >> halvings:
        raise UserError(
            f"model.blocks={config.model.blocks} halve a picture of {side} px to nothing: "
            f"use {side.bit_length()} at most"
        )
    make = partial(classifier, config, dataset.classes, dtype=compute_type(config.precision))
    check_lasts(config, "decay_steps")
    options = config.optimizer
    optimizer = optax.adam(
        optax.cosine_decay_schedule(options.learning_rate, options.decay_steps),
        b1=options.b1,
        b2=options.b2,
    )

    @backend.native()
    def init(key, constants):
        network = make().init(key, jnp.zeros((1, *dataset.shape)), train=True)
        return CnnState(network, optimizer.init(network["params"]))

    def scores(logits, labels):
        """{name: f32[B]}."""
        return {
            "loss": optax.softmax_cross_entropy_with_integer_labels(logits, labels),
            "accuracy": (logits.argmax(axis=-1) == labels).astype(jnp.float32),
        }

    def step(state, batch, key, axis_name):
        x = images.to_float(batch["image"], low=-1)

        def loss(params):
            network = make(axis_name=axis_name)
            logits, updated = apply(network, with_params(state.network, params), x)
            metrics = jax.tree.map(jnp.mean, scores(logits, batch["label"]))
            return metrics["loss"], (metrics, updated)

        params = state.network["params"]
        grads, (metrics, updated) = jax.grad(loss, has_aux=True)(params)
        grads = pmean(grads, axis_name)
        metrics["grad_norm"] = optax.tree.norm(grads)
        params, opt_state = descend(optimizer, grads, state.optimizer, params)
        return CnnState(updated | {"params": params}, opt_state), metrics

    @backend.native()
    def evaluate(state, batch, key):
        x = images.to_float(batch["image"], low=-1)
        return scores(make().apply(state.network, x, train=False), batch["label"])

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
        networks=("network",),
    )
