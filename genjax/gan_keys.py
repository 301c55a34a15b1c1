"""The options of every GAN experiment, all of them off, so that a config names those it uses."""

from typing import Any


def defaults() -> dict[str, Any]:
    """The keys with their defaults, of which `genjax.config.base` gives every GAN its copy.

    Keys:
      own_batch: the generator's update has real images and latents of its own, as in R3GAN's code,
        instead of those of the discriminator's last update; a step then sees n_dis + 1 batches.
      accumulate: in how many parts a batch passes the networks, one after the other; the update is
        the same to rounding, and takes the memory of one part (`genjax.nn.parts`).
      augment.name: what every image passes before the discriminator sees it: "none",
        "diffaugment" (`genjax.gan.diffaugment`) or "ada" (`genjax.gan.ada`).
      augment.policy: its parts, with commas between, in that order: of DiffAugment `color`,
        `translation` and `cutout`; of ADA `blit`, `geometry`, `color`, `filter`, `noise` and
        `cutout`, each with a factor of its probability if wanted (`color:0.5`); "" for
        color,translation,cutout and for blit,geometry,color.
      augment.p: the probability of ADA's parts; with augment.target, where it begins.
      augment.target: the mean sign of the discriminator's answers to real images that ADA steers p
        to; 0 leaves p as it is, or as `schedule` says.
      augment.interval: in steps, how often p is adjusted; augment.images: in how many images it can
        rise from 0 to 1.
      lecam.weight: of LeCam's penalty (`genjax.gan.lecam`), 0 for none; lecam.decay: of its
        averages, at each of the discriminator's updates; lecam.start: the step that it begins at.
      consistency.name: "none", "cr" (real images), "bcr" (generated ones too), "zcr" (latents) or
        "icr" (all), see `genjax.gan.consistency`.
      consistency.real, fake, z_discriminator, z_generator: the weights of its parts;
        consistency.z_noise: the deviation of the noise on latents.
      rotation.discriminator, rotation.generator: the weights of SSGAN's loss where the
        discriminator has a head for it, model.head="rotation" (`genjax.gan.rotation`).
      path_length.weight: of StyleGAN2's path-length penalty of the generator, 0 for none;
        path_length.interval: in steps; path_length.decay: of the average of lengths, which moves by
        1 - decay each time.
      clip: the discriminator's parameters are clipped to [-clip, clip] after each update, as in
        WGAN; 0 for never.
      orthogonal: factor of the orthogonal regularisation of the generator (`genjax.gan.weights`).
      schedule.name: "constant", "linear" or "cosine": how the values of keys change over
        schedule.images images (train.batch_size a step); schedule.final: their last values, such
        as `optimizer.learning_rate=5e-5,ema.half_life=5e6` (`genjax.gan.schedules`).
    """
    return {
        "own_batch": False,
        "accumulate": 1,
        "augment": {
            "name": "none",
            "policy": "",
            "p": 0.0,
            "target": 0.6,
            "interval": 4,
            "images": 500_000,
        },
        "lecam": {"weight": 0.0, "decay": 0.9, "start": 1000},
        "consistency": {
            "name": "none",
            "real": 10.0,
            "fake": 10.0,
            "z_discriminator": 20.0,
            "z_generator": 0.5,
            "z_noise": 0.05,
        },
        "rotation": {"discriminator": 1.0, "generator": 0.2},
        "path_length": {"weight": 0.0, "interval": 1, "decay": 0.99},
        "clip": 0.0,
        "orthogonal": 0.0,
        "schedule": {"name": "constant", "images": 20_000_000, "final": ""},
    }


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a GAN's config, with what an older run did where its config lacks a key."""
    before = defaults() | {
        "optimizer": {"name": "adam", "discriminator_factor": 1.0},
        "regularizer": {"interval": 1},
    }
    groups = {key: x | values.get(key, {}) for key, x in before.items() if isinstance(x, dict)}
    return before | values | groups
