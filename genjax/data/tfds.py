"""Image data sets of TensorFlow Datasets (TFDS), read by random access, without TensorFlow."""

import difflib

import numpy as np

from genjax.data.dataset import Dataset, Split, Subset, conform, digest, hold_out
from genjax.errors import UserError


class Source(Split):
    """One split of a prepared TFDS builder; `source` is its random-access data source."""

    def __init__(self, name: str, source, shape, labelled: bool, size: int, channels: int, labels):
        self.name, self.shape, self.labels = name, shape, labels
        self._source, self._labelled = source, labelled
        self._size, self._channels = size, channels

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> dict:
        record = self._source[i]
        image = conform(record["image"], self._size, self._channels)
        return {"image": image, "label": np.int32(record["label"] if self._labelled else 0)}


def tfds(set_name: str, config_data) -> Dataset:
    """Opens a TFDS image set: features `image` (uint8) and, where there is one, `label`.

    Splits are `train` and `test`, or `validation` where there is no `test` (or only one without
    labels); with neither, `data.test_fraction` of `train` is held out, evenly spaced, because TFDS
    has shuffled it already. The files lie in TFDS_DATA_DIR; a set that is not there is downloaded
    and prepared first.

    Raises:
      UserError: no such set, no images in it, images of several sizes without `data.size`, or it
        cannot be prepared here.
    """
    name = f"tfds:{set_name}"
    builder = _builder(name, set_name)
    _prepare(name, set_name, builder)
    features, splits = builder.info.features, builder.info.splits
    if "image" not in features or features["image"].np_dtype != np.uint8:
        raise UserError(f"{name} has no uint8 feature image, it has {', '.join(features)}")
    if "train" not in splits:
        raise UserError(f"{name} has no split train, it has {', '.join(splits)}")
    # Only a ClassLabel has a number of classes; any other feature named "label" is not one.
    classes = getattr(features["label"], "num_classes", None) or 0 if "label" in features else 0

    height, width, stored = features["image"].shape
    size, channels = config_data.size, config_data.channels
    if not size and None in (height, width):
        raise UserError(f"{name} has images of several sizes: set one, such as data.size=64")
    channels = channels or (3 if stored is None else 0)
    shape = (size or height, size or width, channels or stored)

    def split(which: str) -> Source:
        try:
            source = builder.as_data_source(split=which)
        except NotImplementedError as error:
            raise UserError(
                f"{name} is prepared in a format without random access ({_line(error)}): prepare"
                " it as array_record"
            ) from None
        labels = _labels(builder, which) if classes and config_data.classes else None
        return Source(name, source, shape, bool(classes), size, channels, labels)

    bits = digest(builder.info.full_name, *(f"{k} {splits[k].num_examples}" for k in splits))
    names = tuple(features["label"].int2str(i) for i in range(classes))
    train = split("train")
    for held in ("test", "validation"):
        if held in splits:
            test = split(held)
            if test[0]["label"] >= 0:  # -1 in a test split whose labels are not published
                return Dataset(name, train, test, classes, shape, bits, names)
    # Not by class, so that the parts are the same whether labels are known or not.
    parts = hold_out(np.zeros(len(train), np.int32), config_data.test_fraction, name)
    held_out = (Subset(train, part) for part in parts)
    return Dataset(name, *held_out, classes, shape, bits, names)


def _builder(name: str, set_name: str):
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(set_name, file_format="array_record")
    except tfds.core.registered.DatasetNotFoundError:
        known = tfds.list_builders(with_community_datasets=False)
        near = difflib.get_close_matches(set_name.split("/")[0].split(":")[0], known, n=1)
        hint = f"; did you mean tfds:{near[0]}?" if near else ""
        raise UserError(f"{name} is no data set of TFDS{hint}") from None
    except (ValueError, AssertionError, TypeError, ImportError) as error:
        # An unknown config, version or option of a known set, or one that needs another package.
        raise UserError(f"{name} cannot be opened: {_line(error)}") from None


def _labels(builder, which: str) -> np.ndarray:
    """i32[N], the labels of a split, for which its whole file is read but no picture decoded."""
    from tensorflow_datasets.core.decode import SkipDecoding

    source = builder.as_data_source(split=which, decoders={"image": SkipDecoding()})
    return np.array([source[i]["label"] for i in range(len(source))], np.int32)


def _prepare(name: str, set_name: str, builder) -> None:
    from tensorflow_datasets.core.download import downloader

    downloader.MAX_RETRIES = 4  # TFDS' 10 take over three minutes without a network
    try:
        builder.download_and_prepare()
    except ImportError as error:
        raise UserError(
            f'{name} needs TensorFlow to be prepared, once: pip install "genjax[tfds]"'
            f" ({_line(error)})"
        ) from None
    except AssertionError as error:  # TFDS' way to ask for files that it may not download
        raise UserError(f"{name} needs files that you download: {_line(error)}") from None
    except OSError as error:
        raise UserError(
            f"{name} is not prepared in {builder.data_dir}, and preparing it, which needs the"
            f" network once, failed: {_line(error)}"
        ) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
