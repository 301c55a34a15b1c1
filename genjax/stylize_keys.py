"""The `stylize` keys: which pictures a trained network paints, and how, with `--mode=stylize`."""

from typing import Any

# The tasks whose networks bring pictures into styles.
TASKS = ("style_fast", "style_adain", "style_linear", "style_vae")


# Those whose styles are pictures that `stylize.style` names, rather than learned ones.
OF_PICTURES = ("style_adain", "style_linear", "style_vae")

# What `stylize.style` is for styles that the network draws.
DRAWN = "sample"


def defaults(task: str) -> dict[str, Any]:
    """The keys of a task with their defaults; a run's own say nothing about how it trains.

    Keys:
      style: which styles, with commas between them: numbers of learned ones, from 1 on, or "" for
        all of these; for a network that takes any style, pictures; for one that has a
        distribution of styles, also "sample": `sample.n` styles, drawn with `sample.seed`.
      weights: the shares of these styles in a mixture; () for a picture in each.
      alpha: how much of the style there is, from 0, the picture itself, to 1.
      size: px on the pictures' longer side; 0 for their own.
      style_size: px on the longer side of the styles' pictures; 0 for their own. Of OF_PICTURES.
      batch: how many pictures of one shape are painted at once.
    """
    keys = {"style": "", "weights": (), "alpha": 1.0, "size": 0, "batch": 4}
    return keys | ({"style_size": 512} if task in OF_PICTURES else {})
