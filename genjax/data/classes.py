"""Training on some classes of a data set: the others are what an evaluation is to find."""

from collections.abc import Sequence

import numpy as np

from genjax import images
from genjax.config import nearest
from genjax.data.dataset import Dataset, Split, Subset, digest
from genjax.errors import UserError

_SHOWN = 10  # classes that a message lists


class _Renumbered(Subset):
    """Examples of another split, with other labels."""

    def __init__(self, split: Split, examples: np.ndarray, labels: np.ndarray):
        super().__init__(split, examples)
        self.labels = labels[examples]

    def __getitem__(self, i: int) -> dict:
        return super().__getitem__(i) | {"label": self.labels[i]}

    def mask(self, i: int) -> np.ndarray | None:
        found = super().mask(i)
        if found is None and self.anomalous is not None and not self.anomalous[i]:
            return np.zeros(self.shape[:2], bool)  # a usual picture has no faults
        return found


def only(dataset: Dataset, named: Sequence[int | str]) -> Dataset:
    """The data set of which only the named classes train.

    They are the classes of what comes back, numbered anew from 0 in the data's order, whatever the
    order of their names: a conditional network and a classifier know these and no others. `test`
    has the held-out pictures of these classes, and `whole_test` all, where those of other classes
    are `anomalous` and have the numbers after them, in the data's order (`other_classes`).

    Args:
      dataset: of a source whose splits know their labels.
      named: names of classes or, where there is no such name, their numbers.

    Raises:
      UserError: the data have no classes, a class is unknown or named twice, or has no picture to
        train on, or no held-out picture is of the classes named.
    """
    known = _positions(dataset, named)
    others = [i for i in range(dataset.classes) if i not in known]
    there = np.bincount(dataset.train.labels, minlength=dataset.classes)
    names = dataset.class_names
    if missing := [names[i] for i in known if not there[i]]:
        raise UserError(
            f"{dataset.name} has no pictures of {_listed(missing)} to train on: leave"
            f" {'it' if len(missing) == 1 else 'them'} out of data.classes"
        )
    if not others:
        return dataset
    number = np.empty(dataset.classes, np.int32)
    number[[*known, *others]] = np.arange(dataset.classes)
    train, test = (_usual(split, number, len(known)) for split in (dataset.train, dataset.test))
    whole = _Renumbered(dataset.test, np.arange(len(dataset.test)), number[dataset.test.labels])
    whole.anomalous = whole.labels >= len(known)
    if len(whole) and not len(test):
        raise UserError(
            f"{dataset.name}: no held-out picture is of {_listed([names[i] for i in known])}, so"
            " that nothing says how usual ones score: hold some out"
        )
    left, found = int(there[others].sum()), int(whole.anomalous.sum())
    said = [f"{left:,} pictures do not train"] if left else []
    said += [f"{found:,} that are held out are to be found as anomalous"] if found else []
    other_classes = tuple(names[i] for i in others)
    note = [f"other classes ({_listed(other_classes)}): {', '.join(said)}"] if said else []
    class_names = tuple(names[i] for i in known)
    return dataset._replace(
        train=train,
        test=test,
        whole_test=whole if found else None,
        classes=len(known),
        class_names=class_names,
        other_classes=other_classes,
        digest=digest(dataset.digest, "classes", *class_names),
        notes=(*dataset.notes, *note),
    )


def _usual(split: Split, number: np.ndarray, known: int) -> Split:
    """The examples of a split whose new label is one of the first `known`."""
    labels = number[split.labels]
    return _Renumbered(split, np.flatnonzero(labels < known), labels)


def _positions(dataset: Dataset, named: Sequence[int | str]) -> list[int]:
    """The numbers of the named classes, rising."""
    names = dataset.class_names
    if not dataset.classes:
        raise UserError(
            f"data.classes={_listed(named)} names classes, and {dataset.name} has none: leave"
            " data.classes out"
        )
    found = {}
    for each in named:
        text = str(each)
        if text in names:
            position = names.index(text)
        elif text.isdecimal() and int(text) < dataset.classes:
            position = int(text)
        else:
            raise UserError(
                f"data.classes: {images.shown(text)} is no class of {dataset.name}, which has"
                f" {_listed(names)}{nearest(text, names)}"
            )
        if position in found:
            raise UserError(
                f"data.classes names {images.shown(names[position])} twice"
                + (f" (as {found[position]} and {text})" if found[position] != text else "")
                + ": name each class once"
            )
        found[position] = text
    return sorted(found)


def _listed(names: Sequence[int | str]) -> str:
    shown = [images.shown(str(name)) for name in names[:_SHOWN]]
    more = f", and {len(names) - _SHOWN:,} more" * (len(names) > _SHOWN)
    return ", ".join(shown) + more
