"""How well a run's scores find the held-out pictures of kinds that it was not trained on."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from genjax import data, images, runs
from genjax.errors import UserError
from genjax.metrics import detection, pca
from genjax.scores import reconstructions
from genjax.scores.measure import Value

SHEET = "anomalies.png"

_COMPONENTS = 50  # of the baseline
_FITTED = 2**25  # numbers of training pictures that it is fitted to: 256 MB
_SHOWN = 8  # pictures in a row of the sheet
_BRIGHTEST = 99.5  # per cent of the errors of usual pictures are below the sheet's white


def check(trained: runs.Trained) -> None:
    """Raises UserError where nothing is to be found, or the task scores no pictures."""
    run = trained.run
    if run.dataset is None or run.dataset.whole_test is None:
        raise UserError(
            "anomalies needs held-out pictures of other kinds: set data.classes to those that"
            " train, or take a folder with train/good and test/KIND"
        )
    reconstructions.check(trained, "anomalies")


def of(
    trained: runs.Trained,
    values: Mapping[str, np.ndarray],
    batches: Callable[[], Iterable[Mapping[str, np.ndarray]]],
    perceptual: bool = False,
) -> tuple[dict[str, tuple[Value, dict]], np.ndarray]:
    """({name of a score: (its value, the record's `setting`)}, a sheet of pictures).

    `auroc/SCORE` is the area under the ROC curve, and `average_precision/SCORE` the average
    precision, of each score that the task gives a held-out picture, of the mean squared error of
    its reconstruction ("mse"), and of the same of principal components ("pca"), the baseline that
    needs no training (`genjax.metrics.pca`); and of LPIPS ("lpips") where that is asked for. Where
    masks of faults are known, `pixel_auroc/…` is of the errors of pixels. Of eight usual and eight
    anomalous pictures, the sheet has the picture and below it the squared errors of its pixels.

    Args:
      values: {name: f64[N]} of `dataset.whole_test`, NaN where a picture cannot be read.
      batches: `data.evaluation_batches` of it, anew each time.
      perceptual: whether "lpips" is a score, too.

    Raises:
      UserError: of the usual pictures or of the anomalous ones, none can be read.
    """
    dataset = trained.run.dataset
    split, fitted = dataset.whole_test, _baseline(dataset)
    measured = ["squared_error", *["lpips"] * perceptual]
    own = ("mse", *measured[1:], "pca")
    scores = {**values, **{name: np.full(len(split), np.nan) for name in own}}
    counts = {}
    shown = {False: [], True: []}
    for batch in reconstructions.each(trained, batches(), measured):
        maps = batch["squared_error"]
        both = {"mse": maps, "pca": pca.error_maps(fitted, batch["image"] / 255)}
        if perceptual:
            scores["lpips"][batch["index"]] = batch["lpips"]
        for name, each in both.items():
            scores[name][batch["index"]] = each.mean((1, 2))
        for row, i in enumerate(batch["index"]):
            anomalous = bool(split.anomalous[i])
            if len(shown[anomalous]) < _SHOWN:
                shown[anomalous].append((batch["image"][row], maps[row]))
            if (mask := split.mask(i)) is not None:
                for name, each in both.items():
                    counts[name] = detection.pixel_counts(each[row], mask, counts.get(name))
    found = {}
    for name, each in scores.items():
        read = np.isfinite(each)
        anomalous = split.anomalous[read]
        setting = {"anomalous": int(anomalous.sum()), "usual": int((~anomalous).sum())}
        if not (setting["anomalous"] and setting["usual"]):
            raise UserError(
                "anomalies needs usual and anomalous pictures that can be read: of"
                f" {(~split.anomalous).sum()} usual ones {setting['usual']} have a score ({name}),"
                f" of {split.anomalous.sum()} anomalous ones {setting['anomalous']}"
            )
        if name == "pca":
            setting["components"] = len(fitted.directions)
        if name == "lpips":
            setting |= reconstructions.perceptual_setting(trained.run.dataset.shape)
        area = detection.auroc(each[read], anomalous)
        several = min(anomalous.sum(), (~anomalous).sum()) > 1
        error = detection.auroc_error(each[read], anomalous) if several else None
        found[f"auroc/{name}"] = Value(area, error), setting
        precision = detection.average_precision(each[read], anomalous)
        found[f"average_precision/{name}"] = Value(precision), setting
    for name, each in counts.items():
        if each.any(axis=1).all():  # there are masks, and faults in them
            pixels = detection.of_pixel_counts(each)
            found[f"pixel_auroc/{name}"] = Value(pixels.auroc), {"bins": detection.BINS}
    return found, _sheet(shown)


def _baseline(dataset) -> pca.Pca:
    """Principal components of evenly spaced training pictures."""
    size = int(np.prod(dataset.shape))
    n = min(len(dataset.train), max(2, _FITTED // size))
    pictures = data.examples(dataset.train, n)["image"] / 255
    return pca.fit(pictures, min(_COMPONENTS, n - 1, size))


def _sheet(shown: Mapping[bool, list]) -> np.ndarray:
    """u8[H, W, 3]: rows of usual pictures and of anomalous ones, each with its map below."""
    import matplotlib as mpl

    usual = np.concatenate([each.ravel() for _, each in shown[False]])
    brightest = max(np.percentile(usual, _BRIGHTEST), 1e-6)
    rows = []
    for kind in (False, True):
        pictures = [np.broadcast_to(x, (*x.shape[:2], 3)) for x, _ in shown[kind]]
        colours = [mpl.colormaps["inferno"](each / brightest)[..., :3] for _, each in shown[kind]]
        blank = np.full_like(pictures[0], 255)
        for row in (pictures, [np.uint8(np.round(255 * x)) for x in colours]):
            rows.append([*row, *[blank] * (_SHOWN - len(row))])
    return images.grid(np.array(rows))
