"""The training batches: that of step t is a pure function of (seed, t).

A feed has `arrays`, which are placed on the devices once, and `chunk(start_step, n)`, the inputs of
n steps with n as leading axis. Inside the compiled step, `select(arrays, x)` makes the batch of one
step from both. A small data set is resident on the devices: a chunk holds indices only. A large one
is streamed: a chunk holds the images. The batches are the same, byte for byte.

Where several processes share a run, each makes only the rows of a batch that its devices take.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from genjax.data import order
from genjax.data.dataset import Split
from genjax.errors import UserError

_THREADS = min(16, 2 * (os.cpu_count() or 1))  # Pillow releases the interpreter lock
_MOST_WORKERS = 4 * (os.cpu_count() or 1)
_SHARED_MEMORY = "/dev/shm"
_BATCHES_A_WORKER = 4  # that Grain keeps at once: read ahead, handed over, and in use
_LOOKED_AT = 1000  # held-out examples; a second or two for pictures of 256 px
_PATIENCE = 2  # seconds of decoding before a progress bar appears
_ENDLESS = 2**40  # steps, more than any run takes


def select(arrays: Mapping[str, jax.Array], x: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """The batch of one step: rows `x["index"]` (i32[B]) of `arrays`, and all of `x`. Traceable.

    Returns:
      {"image": u8[B, H, W, C], "label": i32[B], "index": i32[B]}.
    """
    return {**{key: array[x["index"]] for key, array in arrays.items()}, **x}


class Resident:
    """A training split that is decoded in full before the first step.

    Attributes:
      arrays: {"image": u8[N, H, W, C], "label": i32[N]}.
    """

    def __init__(self, split: Split, batch_size: int, rows: np.ndarray, seed: int):
        from tqdm import tqdm

        count = len(split)
        image, label = np.empty((count, *split.shape), np.uint8), np.empty(count, np.int32)
        self._found, skipped = np.empty(count, np.int32), np.empty(count, np.int32)
        with ThreadPoolExecutor(_THREADS) as pool:
            # Without decoding, threads would only wait for each other.
            read = pool.map if split.decodes else map
            records = read(split.read, range(count))
            for i, record in enumerate(tqdm(records, split.name, count, delay=_PATIENCE)):
                image[i], label[i] = record["image"], record["label"]
                self._found[i], skipped[i] = record["index"], record["skipped"]
        split.report(range(count), skipped)
        self.arrays = {"image": image, "label": label}
        self._batch_size, self._rows, self._seed = batch_size, rows, seed

    def chunk(self, start_step: int, n: int) -> dict[str, np.ndarray]:
        """{"index": i32[n, b]}: the examples of steps start_step ... start_step + n - 1."""
        batch = self._batch_size
        due = order.indices(self._seed, len(self._found), start_step * batch, n * batch)
        return {"index": self._found[due].reshape(n, batch)[:, self._rows]}

    def close(self) -> None:
        """Does nothing; a `Stream` has something to stop."""


class Stream:
    """A training split that Grain reads and decodes during the run, ahead of the loop.

    Attributes:
      arrays: {}, as nothing stays on the device.
    """

    def __init__(self, split: Split, batch_size: int, rows: np.ndarray, seed: int, workers: int):
        self.arrays = {}
        self._split, self._batch_size, self._rows, self._seed = split, batch_size, rows, seed
        self._workers = workers
        self._iterator, self._next_step = None, 0

    def chunk(self, start_step: int, n: int) -> dict[str, np.ndarray]:
        """The batches of steps start_step ... start_step + n - 1, stacked.

        Calls for consecutive steps return what was read ahead; any other start begins to read anew.

        Returns:
          {"image": u8[n, b, H, W, C], "label": i32[n, b], "index": i32[n, b]}. Where an example
          could not be read, the index is that of the one in its place.

        Raises:
          UserError: more than `data.max_corrupt` examples turned out to be unreadable.
        """
        if self._iterator is None or start_step != self._next_step:
            self.close()
            batches = _Batches(self._split, self._batch_size, self._rows, self._seed, start_step)
            self._iterator = _read_ahead(batches, self._workers)
        parts = [next(self._iterator) for _ in range(n)]
        self._next_step = start_step + n
        # np.stack copies, which is needed: the parts may lie in memory shared with the workers.
        stacked = {key: np.stack([part[key] for part in parts]) for key in parts[0]}
        self._split.report(stacked.pop("requested").ravel(), stacked.pop("skipped").ravel())
        return stacked

    def close(self) -> None:
        """Stops reading ahead, and the worker processes with it."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None


def open_feed(
    split: Split,
    config_data,
    batch_size: int,
    rows: np.ndarray,
    seed: int,
    log: Callable[[str], None],
) -> Resident | Stream:
    """Makes a training split resident or streams it.

    Args:
      split: the training split.
      config_data: `config.data`. Read here: `placement` (`resident`, `stream`, or `auto`: resident
        if the decoded split takes at most `resident_limit_mb`, in units of 10^6 bytes), and
        `workers` (processes that read a stream, 0 for threads of this one).
      batch_size: examples of the global batch.
      rows: i64[b], which of them this process makes.
      seed: of the order of the examples.
      log: called with a line that says what was decided.

    Raises:
      UserError: a value is not possible, or the split cannot be read.
    """
    if config_data.placement not in ("auto", "resident", "stream"):
        raise UserError(f"data.placement={config_data.placement} must be auto, resident or stream")
    if config_data.workers < 0:
        raise UserError(f"data.workers={config_data.workers} must be 0 (threads) or more")
    if config_data.workers > _MOST_WORKERS:
        raise UserError(
            f"data.workers={config_data.workers} are more processes than this machine's cores can "
            f"keep busy: use {_MOST_WORKERS} at most"
        )
    megabytes, limit = len(split) * int(np.prod(split.shape)) / 1e6, config_data.resident_limit_mb
    fits = megabytes <= limit
    what = f"{split.name}: {len(split)} images, {megabytes:.1f} MB decoded"
    if config_data.placement == "resident" or (config_data.placement == "auto" and fits):
        log(f"{what}, resident on the device")
        return Resident(split, batch_size, rows, seed)
    if config_data.workers:
        _check_shared_memory(batch_size * int(np.prod(split.shape)), config_data.workers)
    how = f"{config_data.workers} processes" if config_data.workers else f"{_THREADS} threads"
    log(f"{what}, streamed by {how}")
    return Stream(split, batch_size, rows, seed, config_data.workers)


def _check_shared_memory(batch_bytes: int, workers: int) -> None:
    """Raises UserError where /dev/shm, through which workers hand over batches, is too small."""
    try:
        about = os.statvfs(_SHARED_MEMORY)
    except OSError:  # systems without it have no such limit
        return
    needed, free = batch_bytes * workers * _BATCHES_A_WORKER, about.f_bavail * about.f_frsize
    if needed > free:
        raise UserError(
            f"data.workers={workers} hand over their batches through {_SHARED_MEMORY}, which has "
            f"{free / 1e6:.0f} MB free of the {needed / 1e6:.0f} MB needed: set data.workers=0, or "
            "make it larger (docker run --shm-size=…)"
        )


def look_at(split: Split) -> None:
    """Reads held-out examples before the first step, so that the first evaluation does not fail.

    Each is decoded whole, because a header says nothing of a file that was cut off. Of a large
    split it is 1,000, evenly spaced: where so many are sound, an evaluation seldom meets more than
    `data.max_corrupt` that are not.

    Raises:
      UserError: more than `data.max_corrupt` of them are unreadable.
    """
    from tqdm import tqdm

    if not split.decodes:
        return
    count = min(len(split), _LOOKED_AT)
    looked = [i * len(split) // count for i in range(count)]
    with ThreadPoolExecutor(_THREADS) as pool:
        skipped = pool.map(lambda i: split.read(i)["skipped"], looked)
        name = f"{split.name}, held out"
        split.report(looked, list(tqdm(skipped, name, count, delay=_PATIENCE)))


def evaluation_batches(
    split: Split, batch_size: int, rows: np.ndarray
) -> Iterator[dict[str, np.ndarray]]:
    """Reads the split once in batches of equal size; yields the given rows of each.

    Of n batches, batch i has the examples i, i + n, i + 2n, ...: splits are often sorted by class,
    and a batch whose statistics count should be like those of training.

    Yields:
      {"image": u8[b, H, W, C], "label": i32[b], "index": i32[b], "weight": f32[b]}. The weight is
      1 for an example that counts. It is 0 for repeats of the first examples, which fill
      batches, and for examples in the place of unreadable ones.

    Raises:
      UserError: more than `data.max_corrupt` examples are unreadable.
    """
    iterator = _read_ahead(_Once(split, batch_size, rows), workers=0)
    try:
        for batch in iterator:
            requested, skipped = batch.pop("requested"), batch.pop("skipped")
            split.report(requested, skipped)
            counts = batch.pop("inside") & (skipped == 0)
            yield {**batch, "weight": counts.astype(np.float32)}
    finally:
        iterator.close()


def examples(split: Split, n: int) -> dict[str, np.ndarray]:
    """A batch of `n` examples to show: "image", "label" and "index" as of `evaluation_batches`.

    They are evenly spaced in the split, because splits are often sorted by class and the first `n`
    would be of one class. In the place of an unreadable example comes the next.
    """
    batch = _read_batch(split, np.linspace(0, len(split) - 1, n).astype(np.int32))
    return {key: batch[key] for key in ("image", "label", "index")}


class _Batches:
    """A source for Grain: item i is this process' rows of the batch of step `first` + i."""

    def __init__(self, split: Split, batch_size: int, rows: np.ndarray, seed: int, first: int):
        self._split, self._batch_size, self._rows = split, batch_size, rows
        self._seed, self._first = seed, first

    def __setstate__(self, state):
        """Unpickles the source in a worker process, which is to end with the run."""
        self.__dict__.update(state)
        _end_with_parent()

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        start = (self._first + i) * self._batch_size
        examples = order.indices(self._seed, len(self._split), start, self._batch_size)
        return _read_batch(self._split, examples[self._rows])


class _Once:
    """A source for Grain: one pass over a split in strides, filled up with its first examples."""

    def __init__(self, split: Split, batch_size: int, rows: np.ndarray):
        self._split, self._batch_size, self._rows = split, batch_size, rows

    def __len__(self) -> int:
        return -(-len(self._split) // self._batch_size)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        examples = (i + len(self) * self._rows).astype(np.int32)
        inside = examples < len(self._split)
        batch = _read_batch(self._split, examples % len(self._split))
        return {**batch, "inside": inside}


def _read_batch(split: Split, examples: np.ndarray) -> dict[str, np.ndarray]:
    records = [split.read(int(i)) for i in examples]
    batch = {key: np.stack([record[key] for record in records]) for key in records[0]}
    return {**batch, "requested": examples}


def _end_with_parent():
    """Makes a worker process end with the run's process, which may be killed without notice."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait():
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _read_ahead(batches: _Batches | _Once, workers: int):
    """A Grain iterator that reads batches, in order, in threads or worker processes."""
    import grain

    threads = 2 if workers else _THREADS
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    data = grain.MapDataset.source(batches).to_iter_dataset(options)
    if workers:
        from absl import flags

        if not flags.FLAGS.is_parsed():  # as in a program without absl.app; Grain reads flags
            flags.FLAGS.mark_as_parsed()
        data = data.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    return iter(data)
