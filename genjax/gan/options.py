"""The options of a GAN's config, and which of them make no sense together."""

from collections.abc import Callable

from genjax.config import choose
from genjax.errors import UserError
from genjax.gan import adaptive, augment, optimizers, schedules
from genjax.gan.consistency import METHODS, Consistency
from genjax.gan.lecam import LeCam
from genjax.gan.losses import LOSSES
from genjax.gan.state import Lengths
from genjax.nn import spectral_norm


def read(config) -> dict:
    """The fields of `genjax.gan.state.Gan` that follow from the config alone.

    Raises:
      UserError: a name or a value is not possible, or the learning rate is 0 before the last step.
    """
    scheduled, rates = schedules.read(config), config.optimizer
    lazy = config.regularizer.interval if config.regularizer.name != "none" else 1
    d_rate = {"factor": rates.discriminator_factor, "updates": config.n_dis, "lazy": lazy}
    paths = config.path_length
    lengths = Lengths(paths.weight, paths.interval, paths.decay)
    factors = config.rotation.discriminator, config.rotation.generator
    return {
        "g_optimizer": optimizers.make(config, scheduled, lazy=lengths.interval),
        "d_optimizer": optimizers.make(config, scheduled, **d_rate),
        "scheduled": scheduled,
        "augment": augment.read(config.augment),
        "target": _target(config),
        "lecam": _lecam(config.lecam),
        "consistency": _consistency(config.consistency),
        "lengths": lengths if lengths.weight else None,
        "rotation": factors if config.model.get("head", "none") == "rotation" else None,
        "clip": config.clip,
        "orthogonal": config.orthogonal,
    }


def check(config, generator, shapes: Callable) -> None:
    """Refuses what makes no sense together.

    Args:
      generator: of the config's networks.
      shapes: `() -> (the generator's variables, the discriminator's)`; called only where an option
        asks for them.

    Raises:
      UserError: such a combination; one line that says what to change.
    """
    model, regularizer = config.model.name, config.regularizer.name
    if regularizer != "none" and "batch_stats" in shapes()[1]:
        # Batch statistics make each logit depend on all images: see `genjax.gan.regularizers`.
        raise UserError(
            f"regularizer.name={regularizer!r} needs a discriminator without BatchNorm, which "
            f"model.name={model!r} has: use configs/wgan_gp.py or configs/r1.py"
        )
    if config.accumulate > 1 and any("batch_stats" in network for network in shapes()):
        raise UserError(
            f"accumulate={config.accumulate} needs networks without statistics of a batch, which"
            f" model.name={model!r} keeps: set accumulate=1 and a smaller train.batch_size"
        )
    if config.accumulate > 1 and config.path_length.weight:
        raise UserError("path_length.weight needs the batch in one part: set accumulate=1")
    if config.path_length.weight and not hasattr(generator, "path_length"):
        raise UserError(
            f"path_length.weight={config.path_length.weight} needs a generator with a mapping"
            f" network, which model.name={model!r} has not: set path_length.weight=0"
        )
    if config.clip and spectral_norm.COLLECTION in shapes()[1]:
        raise UserError(
            f"clip={config.clip} changes nothing that spectral norms let pass: set"
            " --config.model.norm=none, or --config.clip=0"
        )
    if _target(config) and (config.loss == "wasserstein" or LOSSES[config.loss].relativistic):
        raise UserError(
            f"augment.target goes by the signs of the discriminator's answers, which loss="
            f"{config.loss!r} gives no meaning: set --config.augment.target=0 and augment.p"
        )


def _target(config) -> adaptive.Target | None:
    options = config.augment
    sign, images = options.target, options.interval * config.train.batch_size
    speed = options.images
    if options.name != "ada" or not sign:
        return None
    return adaptive.Target(sign, options.interval, config.n_dis, images / speed)


def _lecam(options) -> LeCam | None:
    chosen = LeCam(options.weight, options.decay, options.start)
    return chosen if chosen.weight else None


def _consistency(options) -> Consistency | None:
    weights = {
        "real": options.real,
        "fake": options.fake,
        "z_discriminator": options.z_discriminator,
        "z_generator": options.z_generator,
    }
    parts = choose("consistency.name", options.name, METHODS)
    on = {name: x if name.partition("_")[0] in parts else 0.0 for name, x in weights.items()}
    found = Consistency(**on, z_noise=options.z_noise)
    return found if parts else None
