"""The `score` keys of experiments whose samples are compared with their data."""

from typing import Any

from ml_collections import ConfigDict

from genjax.config import choose

SPLITS = ("train", "test")


def defaults() -> ConfigDict:
    """The keys with their defaults.

    Keys:
      metrics: which scores `--mode=evaluate` takes of samples, names of `genjax.scores.measure` or
        "path_length"; of a VAE also of held-out data: "nll", "reconstruction", "lpips", "codes",
        "active_units", "kl_per_dimension", "anomalies", "disentanglement" and "dci" (docs/vae.md);
        () for none.
      net: the feature network: `lite0`, `vgg16`, `cnn:WORKDIR` or `inception:PATH`
        (`genjax.metrics.rulers`).
      n: how many samples are drawn for it, with sample.seed.
      split: the pictures that they are compared with, "train" or "test".
      every: in steps, how often training takes a score; 0 for never. The best checkpoint of the
        steps that also save one is kept, where checkpoint.best names no other metric.
      metric, few: which score training takes, "frechet" or "kid", and of how many samples.
    """
    return ConfigDict(
        {
            "metrics": ("frechet", "kid", "precision_recall", "density_coverage", "memorisation"),
            "net": "lite0",
            "n": 5000,
            "split": "train",
            "every": 0,
            "metric": "frechet",
            "few": 1000,
        }
    )


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a config, with what an older run of codes lacks: it took no such scores."""
    if values.get("task") != "vq" or "score" in values:
        return values
    return values | {"score": defaults().to_dict() | {"metrics": ()}}


def name_of(score: str, net: str) -> str:
    """What a score of sets of pictures is called with a net: `frechet_lite0`.

    With Inception it has the name that the literature knows: `fid`, `kid`, `inception_score`.
    """
    kind = net.partition(":")[0]
    return score.replace("frechet", "fid") if kind == "inception" else f"{score}_{kind}"


def watched(config: ConfigDict) -> str:
    """`eval/…`, the score that training takes; "" for none."""
    if "score" not in config or not config.score.every:
        return ""
    return f"eval/{name_of(config.score.metric, config.score.net)}"


def best(config: ConfigDict) -> tuple[str, str]:
    """(the metric whose best checkpoint is kept, "min" or "max"); ("", …) for none."""
    if config.checkpoint.best:
        return config.checkpoint.best, config.checkpoint.best_mode
    return watched(config), "min"


def check(config: ConfigDict) -> None:
    """Raises UserError where a value is not possible."""
    if "score" in config:
        choose("score.split", config.score.split, dict.fromkeys(SPLITS))
        choose("score.metric", config.score.metric, dict.fromkeys(("frechet", "kid")))
