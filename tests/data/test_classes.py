"""Training on some classes: what trains, what is held out, and how both are numbered."""

import pickle

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from genjax import config as config_lib
from genjax.data import evaluation_batches, open_dataset, open_feed, order, select
from genjax.errors import UserError
from tests.tiny import ROOT

BATCH = 4
ROWS = np.arange(BATCH)


def opened(name, size=0, **changes):
    values = config_lib.dataset(name, size).to_dict() | {"max_corrupt": 0}
    return open_dataset(ConfigDict({**values, **changes}))


def labels(split):
    return [int(split[i]["label"]) for i in range(len(split))]


def test_digits_of_two_kinds():
    every, some = opened("mnist"), opened("mnist", classes=(3, 8))
    chosen = np.isin(every.train.labels, (3, 8))
    assert (some.classes, some.class_names, len(some.train)) == (2, ("3", "8"), 900)
    assert some.train.labels.tolist() == (every.train.labels[chosen] == 8).tolist()
    first, last = np.flatnonzero(chosen)[[0, -1]]
    assert (some.train[0]["image"] == every.train[first]["image"]).all()
    assert (some.train[899]["image"] == every.train[last]["image"]).all()
    assert some.train[899]["label"] == 1 and some.train.anomalous is None
    # Held out: 50 of each digit, as without classes.
    assert (len(some.test), sorted(set(labels(some.test)))) == (100, [0, 1])
    whole = some.whole_test
    assert len(whole) == 500 and whole.anomalous.sum() == 400 and whole.mask(0) is None
    assert some.other_classes == ("0", "1", "2", "4", "5", "6", "7", "9")
    names = (*some.class_names, *some.other_classes)
    assert [int(names[label]) for label in labels(whole)] == every.test.labels.tolist()
    assert (whole.anomalous == ~np.isin(every.test.labels, (3, 8))).all()
    assert (whole[7]["image"] == every.test[7]["image"]).all()
    assert some.lines() == (
        "train on 900 pictures of 2 classes (3, 8; 450 of each), 100 are held out (50 of each)",
        "other classes (0, 1, 2, 4, 5, 6, 7, 9): 3,600 pictures do not train, 400 that are held out"
        " are to be found as anomalous",
    )


def test_the_digest_is_of_what_trains():
    every, some = opened("mnist"), opened("mnist", classes=(3, 8))
    assert every.digest != some.digest != opened("mnist", classes=(3, 7)).digest
    # The order in which they are named is none of the data's.
    other = opened("mnist", classes=("8", 3))
    assert (other.digest, other.class_names) == (some.digest, some.class_names)
    assert (other.train.labels == some.train.labels).all()
    # All classes are what there is without the key, to the digest.
    assert opened("mnist", classes=tuple(range(10))).digest == every.digest
    assert every.whole_test is None and every.other_classes == ()


@pytest.fixture
def root(tmp_path):
    """Names that sort otherwise than their numbers; `test` has a class that `train` has not."""
    for i, name in enumerate([*(f"train/{x}" for x in ("10", "2", "cat")), "test/2", "test/dog"]):
        (tmp_path / name).mkdir(parents=True)
        for k in range(4):
            Image.new("RGB", (5, 4), (i, 10 * k, 0)).save(tmp_path / f"{name}/{k}.png")
    return tmp_path


def test_folders(root):
    """A name counts before a number, and the held-out pictures may have classes of their own."""
    data = opened(f"folder:{root}", 3, classes=(2,))
    assert (data.class_names, data.other_classes) == (("2",), ("10", "cat", "dog"))
    assert [data.train.file(i) for i in range(4)] == [f"2/{k}.png" for k in range(4)]
    assert (len(data.test), labels(data.whole_test)) == (4, [0] * 4 + [3] * 4)
    assert data.whole_test.anomalous.tolist() == [False] * 4 + [True] * 4
    assert data.whole_test.content(4) == (root / "test/dog/0.png").read_bytes()
    assert opened(f"folder:{root}", 3, classes=(1,)).class_names == ("2",)
    assert opened(f"folder:{root}", 3, classes=("2", "cat")).classes == 2
    with pytest.raises(UserError, match=r"dog, which is no class of train: .*data\.classes"):
        opened(f"folder:{root}", 3)


def test_feeds_and_evaluations(root):
    """Resident and streamed give the same bytes, in the order that the seed and the step say."""
    data = opened(f"folder:{root}", 3, classes=("2", "cat"))
    found = {}
    for placement in ("resident", "stream"):
        options = ConfigDict(dict(placement=placement, resident_limit_mb=1, workers=0))
        feed = open_feed(pickle.loads(pickle.dumps(data.train)), options, BATCH, ROWS, 3, str)
        x = feed.chunk(5, 2)
        found[placement] = select(feed.arrays, {key: x[key][1] for key in x})
        feed.close()
    due = order.indices(3, 8, 6 * BATCH, BATCH)
    for batch in found.values():
        assert batch["index"].tolist() == due.tolist()
        assert batch["label"].tolist() == (due >= 4).tolist()
        assert batch["image"][:, 0, 0, 0].tolist() == [1 + (i >= 4) for i in due]
    batches = list(evaluation_batches(data.whole_test, BATCH, ROWS))
    index = np.concatenate([batch["index"] for batch in batches])
    seen = np.concatenate([batch["image"][:, 0, 0, 0] for batch in batches])
    assert sorted(index) == list(range(8))
    assert (data.whole_test.anomalous[index] == (seen == 4)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classes": ("dgo",)},
            r"dgo is no class of folder:.*, which has 10, 2, cat, dog; did you",
        ),
        ({"classes": (4,)}, "4 is no class of folder:.*, which has 10, 2, cat, dog"),
        ({"classes": (0.5,)}, "0.5 is no class"),
        ({"classes": (True,)}, "True is no class"),
        ({"classes": ("2", "2")}, "data.classes names 2 twice: name each class once"),
        ({"classes": ("2", 1)}, r"data.classes names 2 twice \(as 2 and 1\): name each"),
        ({"classes": ("2", "dog")}, "has no pictures of dog to train on: leave it out of data.cl"),
        ({"classes": ("cat",)}, "no held-out picture is of cat, so that nothing says how usual"),
        (
            {"classes": ("cat",), "labels": "none"},
            "data.classes=cat names classes, and folder:.* h",
        ),
    ],
)
def test_classes_that_cannot_train_alone(root, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        opened(f"folder:{root}", 3, **changes)
    assert "\n" not in str(caught.value)


def test_nothing_held_out(root):
    data = opened(f"folder:{root}/train", 3, classes=("cat",), test_fraction=0.0)
    assert (len(data.train), len(data.test), data.whole_test) == (4, 0, None)
    assert data.notes[-1] == "other classes (10, 2): 8 pictures do not train"
    # Nothing is to be found where no others are held out.
    (root / "test/dog").rename(root / "dog")
    data = opened(f"folder:{root}", 3, classes=("2",))
    assert (len(data.test), data.whole_test, data.other_classes) == (4, None, ("10", "cat"))
    few = opened(f"folder:{root}/train", 3, classes=("cat",), test_fraction=0.25)
    assert (len(few.train), len(few.test), len(few.whole_test)) == (3, 1, 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", (3,)),
        ("3,8", (3, 8)),
        ("(3, 8)", (3, 8)),
        ("cat", ("cat",)),
        ("cat, sea lion", ("cat", "sea lion")),
        ("10,cat", ("10", "cat")),
    ],
)
def test_on_the_command_line(text, value):
    config = config_lib.read(f"{ROOT}/configs/vae.py", [f"--config.data.classes={text}"])
    assert config.data.classes == value
