"""The `sample` keys: which pictures of a trained run are drawn, of which latents, and as what."""

from collections.abc import Mapping
from typing import Any

CHOICES = {
    "format": ("npz", "png"),
    "kind": (
        *("pictures", "truncation", "temperature", "interpolation", "projection"),
        *("traversal", "map", "swap"),
    ),
    "animation": ("gif", "mp4", "none"),
    "prior": ("model", "mixture"),
}

# Those of the modules in `genjax/explore/`, which no training reads.
OF_TOOLS = ("kind", "shown", "stops", "frames", "animation", "input", "steps")

_EVERY = {"every": 100, "n": 64, "seed": 0, "format": "npz"}
_LATENTS = {
    "threshold": 0.0,
    "kind": "pictures",
    "shown": 8,
    "stops": 4,
    "frames": 20,
    "animation": "gif",
    "input": "",
    "steps": 1000,
}
_VAE = {"prior": "model"}
_TEMPERATURE = {"temperature": 1.0}
_GAN = {"psi": 1.0, "label": -1, "standing": 0}


def defaults(task: str) -> dict[str, Any]:
    """The keys with their defaults, of which `genjax.config.base` gives each experiment its copy.

    Keys:
      every: in steps, how often training draws a grid; 0 for never.
      n, seed: how many samples to draw, and the seed of their noise.
      format: how `--mode=sample` writes them: "npz", one array, or "png", a file each in
        `pictures/`, for any number of them.
      Of a "gan", a "vae" and a "style_vae", too:
      threshold: latents are normal numbers between -threshold and threshold: BigGAN's truncation
        (Brock et al. 2019, arXiv:1809.11096, section 3.1); 0 for none.
      kind: what `--mode=sample` makes (`genjax.explore`): "pictures"; "truncation", the same
        latents in each row, truncated less and less; "temperature", the same in each row, spread
        more and more; "interpolation", ways between latents; "projection", the pictures nearest to
        given ones; "map", of two latents. What encodes pictures has two kinds of held-out ones:
        "traversal", along one latent after the other, and "swap", as each class.
      shown: how many latents a truncation, a temperature, an interpolation or a swap is of, of each
        class in turn where they are samples'.
      stops: through how many latents each loop of an interpolation goes; frames: how many pictures
        there are from one to the next; animation: "gif", "mp4" or "none".
      input: the pictures of a projection: a file, a folder, a glob, several with commas between.
      steps: how many steps each of them is fitted for.
      Of a "gan", too:
      psi: the generator's styles are psi times as far from their mean (`genjax.gan.mapping`); 1
        changes nothing. For generators with a mapping network, which have no threshold.
      label: the class of all samples, from 0 on; -1 for each class in turn.
      standing: how many batches of train.batch_size pictures the averaged generator draws for the
        statistics of its BatchNorm, "standing" ones; 0 for the running ones (`genjax.nn.standing`).
      Of a "vae", too:
      prior: what latents of a trained run's samples are drawn from: "model", its own prior; or
        "mixture", one of ten normal distributions that is fitted to the latents of the training
        pictures (`genjax.aggregate`). While it trains, it is the model's.
      Of "codes" and a "vdvae", too:
      temperature: 1 for the prior's own samples, less for likelier and less varied ones: what the
        logits of codes are divided by, and the deviations of a vdvae's priors multiplied by.
    """
    found = dict(_EVERY)
    if task in ("codes", "vdvae"):
        found |= _TEMPERATURE
    if task in ("gan", "vae", "style_vae"):
        found |= _LATENTS
    if task == "gan":
        found |= _GAN
    if task == "vae":
        found |= _VAE
    return found


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a config, with what an older run did where its config lacks a key."""
    if not isinstance(values.get("sample"), dict) or not isinstance(values.get("task"), str):
        return values
    return values | {"sample": defaults(values["task"]) | values["sample"]}


def chosen(options: Mapping) -> dict[str, Any]:
    """Which samples are drawn, where not all kinds of them are: for the record of a score."""
    none = {"psi": 1.0, "threshold": 0.0, "label": -1, "temperature": 1.0, "prior": "model"}
    return {key: options[key] for key, off in none.items() if options.get(key, off) != off}
