"""What a data set is: two splits with random access, read from any kind of source."""

import hashlib
import logging
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from genjax import images
from genjax.errors import UserError

_LISTED = 5  # file names that a message shows before it is shortened
_CLASSES_LISTED = 10


class Split:
    """Examples with random access: the base class of every source of data.

    `split[i]`, 0 <= i < len(split), is `{"image": u8[H, W, C], "label": np.int32}`, and raises
    `images.ImageError` where the example cannot be decoded. Splits can be pickled, because worker
    processes read them.

    Attributes:
      name: what messages call it, such as `folder:PATH`.
      shape: (H, W, C) of every image.
      max_corrupt: how many unreadable examples a run puts up with.
      decodes: whether reading an example takes decoding, which several threads do faster.
      labels: i32[N], the label of each example; None where only reading them all would tell.
      seen_through: what decides how files become pictures beside `shape`: a window, if any.
      anomalous: bool[N], which examples are none of what trains; None in a split of nothing else.
    """

    name: str
    shape: tuple[int, int, int]
    max_corrupt: int = 0
    decodes: bool = True
    labels: np.ndarray | None = None
    seen_through: tuple[str, ...] = ()
    anomalous: np.ndarray | None = None

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, i: int) -> dict:
        raise NotImplementedError

    def file(self, i: int) -> str:
        """What messages call example `i`."""
        return f"example {i}"

    def content(self, i: int) -> bytes | None:
        """The file of example `i`; None where it is in none of its own, or cannot be read."""
        return None

    def mask(self, i: int) -> np.ndarray | None:
        """bool[H, W], where example `i` has a fault, all false if nowhere; None if nobody says."""
        return None

    def read(self, i: int) -> dict:
        """Example `i` or, if it is unreadable, the next readable one.

        Returns:
          The example, with "index" (np.int32), its position, and "skipped" (np.int32), how many
          unreadable examples i, i + 1, ... (wrapping round) come before it. If more than
          `max_corrupt` come, the image is black, and `report` raises when it gets "skipped".
        """
        tries = min(self.max_corrupt, len(self) - 1) + 1
        for skipped in range(tries):
            index = (i + skipped) % len(self)
            try:
                record = self[index]
            except images.ImageError:
                continue
            return {**record, "index": np.int32(index), "skipped": np.int32(skipped)}
        record = {"image": np.zeros(self.shape, np.uint8), "label": np.int32(0)}
        return {**record, "index": np.int32(i), "skipped": np.int32(tries)}

    def report(self, requested: Iterable[int], skipped: Iterable[int]) -> None:
        """Counts the unreadable examples that `read` skipped, and warns of each of them once.

        Args:
          requested, skipped: for each call of `read`, its `i` and the "skipped" it returned.

        Raises:
          UserError: more than `max_corrupt` examples are unreadable, or all are.
        """
        known = self.__dict__.setdefault("_unreadable", set())
        new = {
            (int(i) + k) % len(self)
            for i, n in zip(requested, skipped, strict=True)
            for k in range(int(n))
        } - known
        if not new:
            return
        known |= new
        if len(known) > self.max_corrupt or len(known) == len(self):
            which = f"{self._listing(known)}; {self._reason(min(known))}; mend or remove them"
            if len(known) == len(self):  # then no other can stand in, whatever is allowed
                raise UserError(f"{self.name}: none of the {len(self)} images can be read: {which}")
            raise UserError(
                f"{self.name}: {len(known)} of {len(self)} images cannot be read (data.max_corrupt"
                f" allows {self.max_corrupt}): {which}, or raise data.max_corrupt"
            )
        logging.getLogger("genjax").warning(
            "%s: %d of %d images cannot be read, the next in order stand in: %s",
            *(self.name, len(known), len(self), self._listing(new)),
        )

    def _listing(self, examples: set[int]) -> str:
        names = [self.file(i) for i in sorted(examples)[:_LISTED]]
        return ", ".join(names) + (", ..." if len(examples) > _LISTED else "")

    def _reason(self, i: int) -> str:
        try:
            self[i]
        except images.ImageError as error:
            return str(error)
        return f"{self.file(i)} can be read by now"


class Subset(Split):
    """The given examples of another split, in the given order."""

    def __init__(self, split: Split, examples: np.ndarray):
        self.name, self.shape, self.max_corrupt = split.name, split.shape, split.max_corrupt
        self.decodes, self.seen_through = split.decodes, split.seen_through
        self.labels = None if split.labels is None else split.labels[examples]
        self.anomalous = None if split.anomalous is None else split.anomalous[examples]
        self._split, self._examples = split, examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, i: int) -> dict:
        return self._split[int(self._examples[i])]

    def file(self, i: int) -> str:
        return self._split.file(int(self._examples[i]))

    def content(self, i: int) -> bytes | None:
        return self._split.content(int(self._examples[i]))

    def mask(self, i: int) -> np.ndarray | None:
        return self._split.mask(int(self._examples[i]))


class Factors(NamedTuple):
    """What the pictures of a set were made from: the known factors of variation.

    Attributes:
      names: of the factors.
      sizes: how many values each has; they count from 0.
      of: `(index i64[N]) -> i32[N, F]`, the values that made these pictures of `whole`.
      whole: all pictures, held out or not: scores of disentanglement are of every combination.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    of: Callable[[np.ndarray], np.ndarray]
    whole: Split


class Dataset(NamedTuple):
    """A data set, opened.

    Attributes:
      name: as the config names it.
      train, test: the splits; `test` is empty where `data.test_fraction` is 0 and the source holds
        nothing out itself. All are of the kinds that train.
      classes: how many classes the labels count; 0 for an unlabelled set, where each label is 0.
      shape: (H, W, C) of the images of both splits.
      digest: hexadecimal; equal for equal data, wherever it lies and on any machine. Of a folder it
        sees names and sizes of files, of a TFDS set its version, of arrays each byte, and of
        sprites each pixel.
      class_names: the name of each label, in order; "0", "1", ... where the source has none.
      notes: lines for the start of a run, of what was left out or decided about the data.
      validation: what is looked at while training, where that is not `test` (`data.validation`).
      whole_test: `test` and, among it, what is to be found as `Split.anomalous`: held-out pictures
        of kinds that do not train (`data.classes`, or the faults of MVTec's folders). Labels from
        `classes` on are theirs. None where there are no such pictures.
      other_classes: the names of those labels.
      factors: of a set whose factors of variation are known; None of any other.
    """

    name: str
    train: Split
    test: Split
    classes: int
    shape: tuple[int, int, int]
    digest: str
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    validation: Split | None = None
    whole_test: Split | None = None
    other_classes: tuple[str, ...] = ()
    factors: Factors | None = None

    @property
    def watched(self) -> Split:
        """What is looked at while training: `validation` where there is one, else `test`."""
        return self.test if self.validation is None else self.validation

    def describe(self) -> str:
        """One line for people: how many pictures of which classes train, and are held out.

        "train on 9 pictures of 2 classes (cat 4, dog 5), 2 are held out (1 of each)"; of many
        classes only the first ten are named.
        """
        what = "pictures without classes"
        if self.classes:
            what = f"pictures of {self.classes:,} class{'es' * (self.classes > 1)}"
        count = f"{len(self.test):,}" if len(self.test) else "none"
        held = f"{count} {'is' if len(self.test) == 1 else 'are'} held out"
        return (
            f"train on {len(self.train):,} {what}{self._per_class(self.train)}, "
            f"{held}{self._of_each(self.test)}"
        )

    def lines(self) -> tuple[str, ...]:
        """What a run says of its data: `describe()` and the notes."""
        return (self.describe(), *self.notes)

    def _of_each(self, split: Split) -> str:
        """ " (1 of each)" or " (1 to 3 of each)"; nothing where it is not known."""
        if not self.classes or not len(split) or split.labels is None:
            return ""
        counts = np.bincount(split.labels, minlength=self.classes)
        low, high = f"{counts.min():,}", f"{counts.max():,}"
        return f" ({low if low == high else f'{low} to {high}'} of each)"

    def _per_class(self, split: Split) -> str:
        """ " (cat 4, dog 5)", without numbers where they are not known; or nothing."""
        if not self.classes or not len(split):
            return ""
        names = [images.shown(name) for name in self.class_names]
        more = f", and {self.classes - _CLASSES_LISTED:,} more" * (self.classes > _CLASSES_LISTED)
        if split.labels is None:
            return f" ({', '.join(names[:_CLASSES_LISTED])}{more})"
        counts = np.bincount(split.labels, minlength=self.classes)
        low, high = counts.min(), counts.max()
        if low == high:
            return f" ({', '.join(names[:_CLASSES_LISTED])}{more}; {low:,} of each)"
        named = [f"{name} {count:,}" for name, count in zip(names, counts, strict=True)]
        more += f"; {low:,} to {high:,} of each" * bool(more)
        return f" ({', '.join(named[:_CLASSES_LISTED])}{more})"


def validated(dataset: Dataset, n: int) -> Dataset:
    """The data set of which n of the images to train on, evenly spaced, are its `validation`.

    Raises:
      UserError: nothing would be left to train on.
    """
    train = dataset.train
    if n >= len(train):
        raise UserError(
            f"data.validation={n} has to be less than the {len(train)} images to train on"
        )
    chosen = np.zeros(len(train), bool)
    chosen[np.arange(n) * len(train) // n] = True
    return dataset._replace(
        train=Subset(train, np.flatnonzero(~chosen)),
        validation=Subset(train, np.flatnonzero(chosen)),
        digest=digest(dataset.digest, "validation", str(n)),
        notes=(*dataset.notes, f"{n:,} of the pictures to train on watch the training instead"),
    )


def digest(*parts: str | np.ndarray) -> str:
    """A digest of texts and arrays: `Dataset.digest`. It knows where one part ends."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            content, kind = part.encode(errors="surrogateescape"), "text"
        else:
            content, kind = np.ascontiguousarray(part), f"{part.dtype.str}{part.shape}"
        total.update(f"{kind} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()[:32]


def conform(image: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Brings a stored image to the configured size and number of channels.

    28 x 28 becomes 32 x 32 by two rows and columns of zeros on each side, as is usual for MNIST.
    Anything else is cropped to its central square and resized, antialiased.

    Args:
      image: u8[H, W, C], C in {1, 3}.
      size: pixels of a side; 0 leaves the image as it is.
      channels: 1 (luminance) or 3 (RGB); 0 leaves them as they are.
    """
    if size == 32 and image.shape[:2] == (28, 28):
        image = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    elif size:
        image = images.crop_square(image, size)
    return images.to_channels(image, channels) if channels else image


def hold_out(labels: np.ndarray, fraction: float, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Divides examples into those to train on and those to hold out.

    Held out are evenly spaced examples of those sorted by label: each class gives its share, to
    within one, and the choice depends on labels and fraction alone.

    Args:
      labels: i32[N].
      fraction: the share to hold out, in [0, 1); above 0, at least one example is held out.
      name: what an error calls the data set.

    Returns:
      (train, test): the sorted positions of both, i64[N - n] and i64[n].

    Raises:
      UserError: there are too few examples to hold any out.
    """
    count = len(labels)
    if fraction and count < 2:
        raise UserError(f"{name} has one image, none can be held out: set data.test_fraction=0")
    held = min(max(1, round(fraction * count)), count - 1) if fraction else 0
    spaced = np.floor((np.arange(held) + 0.5) * count / max(held, 1)).astype(np.int64)
    test = np.sort(np.argsort(labels, kind="stable")[spaced])
    return np.setdiff1d(np.arange(count), test), test
