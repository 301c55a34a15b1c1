"""TFDS sets, with a tiny one that is prepared here, as array_record and without TensorFlow."""

import io
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from ml_collections import ConfigDict
from PIL import Image

from genjax import config as config_lib
from genjax.data import open_dataset
from genjax.errors import UserError


def picture(i):
    return np.full((5, 4, 3), i, np.uint8)


class GenjaxTiny(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=name) for name in ("plain", "ragged", "arrays", "sound")
    ]

    def _info(self):
        name = self.builder_config.name
        shape = (None, None, 3) if name == "ragged" else (5, 4, 3)
        features = {"image": tfds.features.Image(shape=shape)}
        if name == "sound":
            features = {"text": tfds.features.Text()}
        elif name != "ragged":
            features["label"] = tfds.features.ClassLabel(num_classes=7)
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        held = {} if self.builder_config.name == "ragged" else {"test": self._generate_examples(3)}
        return {"train": self._generate_examples(10), **held}

    def _generate_examples(self, n):
        for i in range(n):
            file = io.BytesIO()  # TFDS needs TensorFlow to encode arrays, but not for files
            Image.fromarray(picture(i)).save(file, "png")
            file.seek(0)
            image = picture(i) if self.builder_config.name == "arrays" else file
            example = {"image": image, "label": i % 7, "text": "word"}
            yield i, {key: example[key] for key in self.info.features}


@pytest.fixture
def opened(tmp_path, monkeypatch):
    monkeypatch.setattr(GenjaxTiny, "pkg_dir_path", tmp_path)
    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))

    def opened(name, **changes):
        values = config_lib.dataset(f"tfds:{name}", 0).to_dict() | {"test_fraction": 0.2}
        return open_dataset(ConfigDict({**values, **changes}))

    return opened


def test_splits_labels_and_shapes(opened):
    loaded = "tensorflow" in sys.modules
    data = opened("genjax_tiny")
    assert (len(data.train), len(data.test), data.classes, data.shape) == (10, 3, 7, (5, 4, 3))
    assert ("tensorflow" in sys.modules) == loaded
    for i in range(10):  # TFDS shuffles when it prepares
        record = data.train[i]
        value = int(record["image"][0, 0, 0])
        assert (record["image"] == picture(value)).all() and record["label"] == value % 7
    names = ", ".join(map(str, range(7)))  # counting each class would take reading them all
    assert data.describe() == f"train on 10 pictures of 7 classes ({names}), 3 are held out"
    assert data.digest != opened("genjax_tiny/ragged", size=6).digest
    assert opened("genjax_tiny", size=8, channels=1).train[0]["image"].shape == (8, 8, 1)


def test_classes_are_read_without_decoding_pictures(opened, monkeypatch):
    loaded, decoded = "tensorflow" in sys.modules, []
    decode = tfds.features.Image.decode_example_np
    monkeypatch.setattr(
        tfds.features.Image, "decode_example_np", lambda *x: [decode(*x), decoded.append(x)][0]
    )
    data = opened("genjax_tiny", classes=(1, 2))
    assert ("tensorflow" in sys.modules) == loaded
    assert len(decoded) == 1  # which tells whether the labels of a split to hold out are known
    values = [int(data.train[i]["image"][0, 0, 0]) for i in range(len(data.train))]
    assert sorted(values) == [1, 2, 8, 9]
    assert [data.train[i]["label"] for i in range(4)] == [value % 7 - 1 for value in values]
    assert (len(data.test), data.whole_test.anomalous.sum(), data.classes) == (2, 1, 2)
    with pytest.raises(UserError, match="names classes, and tfds:genjax_tiny/ragged has none"):
        opened("genjax_tiny/ragged", size=6, classes=(1,))


def test_without_a_test_split_some_is_held_out(opened):
    data = opened("genjax_tiny/ragged", size=6)
    assert (len(data.train), len(data.test), data.classes) == (8, 2, 0)
    values = [int(s[i]["image"][0, 0, 0]) for s in (data.train, data.test) for i in range(len(s))]
    assert sorted(values) == list(range(10))
    with pytest.raises(UserError, match=r"several sizes: set one, such as data.size=64"):
        opened("genjax_tiny/ragged")


def test_what_cannot_be_opened(opened):
    with pytest.raises(UserError, match=r"tfds:cifar1o is no data set.*did you mean tfds:cifar10"):
        opened("cifar1o")
    with pytest.raises(UserError, match="genjax_tiny/nothing cannot be opened"):
        opened("genjax_tiny/nothing")
    with pytest.raises(UserError, match="has no uint8 feature image, it has text"):
        opened("genjax_tiny/sound")


@pytest.mark.skipif("tensorflow" in sys.modules, reason="needs TensorFlow to be absent")
def test_what_cannot_be_prepared_says_why(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if it were not installed
    with pytest.raises(UserError, match=r'needs TensorFlow.* pip install "genjax\[tfds\]"'):
        opened("genjax_tiny/arrays")

    def offline(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(GenjaxTiny, "download_and_prepare", offline)
    with pytest.raises(UserError, match="needs the network once, failed: no route"):
        opened("genjax_tiny")

    def manual(*_, **__):
        raise AssertionError("put two files\ninto a folder")

    monkeypatch.setattr(GenjaxTiny, "download_and_prepare", manual)
    with pytest.raises(UserError, match="files that you download: put two files into a folder"):
        opened("genjax_tiny")
