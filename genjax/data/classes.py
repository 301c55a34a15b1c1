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
    train, test = dataset.train, dataset.test
    there = np.bincount(train.labels, minlength=dataset.classes)
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

    def split(part: Split, whole: bool) -> Split:
        labels = number[part.labels]
        chosen = np.arange(len(part)) if whole else np.flatnonzero(labels < len(known))
        found = _Renumbered(part, chosen, labels)
        found.anomalous = found.labels >= len(known) if whole else None
        return found

    usual, whole = split(test, False), split(test, True) if len(test) else None
    if whole and not len(usual):
        raise UserError(
            f"{dataset.name}: no held-out picture is of {_listed([names[i] for i in known])}, so"
            " that nothing says how usual ones score: hold some out"
        )
    renamed = tuple(names[i] for i in known), tuple(names[i] for i in others)
    left, held = int(there[others].sum()), int(whole.anomalous.sum()) if whole else 0
    said = [f"{left:,} pictures do not train"] if left else []
    said += [f"{held:,} that are held out are to be found as anomalous"] if held else []
    note = f"other classes ({_listed(renamed[1])}): {', '.join(said)}"
    return dataset._replace(
        train=split(train, False),
        test=usual,
        whole_test=whole,
        classes=len(known),
        class_names=renamed[0],
        other_classes=renamed[1],
        digest=digest(dataset.digest, "classes", *renamed[0]),
        notes=(*dataset.notes, note),
    )


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
