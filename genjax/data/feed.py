"""What the loop consumes: the batch of step t is a pure function of (seed, t).

A feed has `arrays`, which the loop places on the devices once, and `chunk(start_step, n)`, which
gives the inputs of n steps with n as leading axis. `select(arrays, x)` makes the batch of one step
from both, inside the compiled step. A small set is resident: the chunk is positions only. A large
one streams: the chunk holds the images. The batches are the same bytes either way.

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
_PATIENCE = 2  # seconds that decoding may take before it shows a bar
_ENDLESS = 2**40  # steps


def select(arrays: Mapping[str, jax.Array], x: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """The batch of one step: rows `x["index"]` (i32[B]) of `arrays`, and all of `x`. Traceable.

    Returns:
      {"image": u8[B, H, W, C], "label": i32[B], "index": i32[B]}.
    """
    return {**{key: array[x["index"]] for key, array in arrays.items()}, **x}


class Resident:
    """A training split as arrays, all of it decoded beforehand.

    Attributes:
      arrays: {"image": u8[N, H, W, C], "label": i32[N]}.
    """

    def __init__(self, split: Split, batch_size: int, rows: np.ndarray, seed: int):
        from tqdm import tqdm

        count = len(split)
        image, label = np.empty((count, *split.shape), np.uint8), np.empty(count, np.int32)
        self._found, skipped = np.empty(count, np.int32), np.empty(count, np.int32)
        with ThreadPoolExecutor(_THREADS) as pool:
            # Where nothing is decoded, threads would only wait for each other.
            read = pool.map if split.decodes else map
            records = read(split.read, range(count))
            for i, record in enumerate(tqdm(records, split.name, count, delay=_PATIENCE)):
                image[i], label[i] = record["image"], record["label"]
                self._found[i], skipped[i] = record["index"], record["skipped"]
        split.report(range(count), skipped)
        self.arrays = {"image": image, "label": label}
        self._batch_size, self._rows, self._seed = batch_size, rows, seed

    def chunk(self, start_step: int, n: int) -> dict[str, np.ndarray]:
        """{"index": i32[n, b]}: examples of the batches of steps start_step ... + n - 1."""
        batch = self._batch_size
        due = order.indices(self._seed, len(self._found), start_step * batch, n * batch)
        return {"index": self._found[due].reshape(n, batch)[:, self._rows]}

    def close(self) -> None:
        """Nothing is running."""


class Stream:
    """A training split that is decoded while it is used, ahead of the loop, by Grain.

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

        Consecutive calls are served from what was read ahead; any other start seeks.

        Returns:
          {"image": u8[n, b, H, W, C], "label": i32[n, b], "index": i32[n, b]}, the index being
          that of the example used, where the one that was due could not be read.

        Raises:
          UserError: more than `data.max_corrupt` examples turned out to be unreadable.
        """
        if self._iterator is None or start_step != self._next_step:
            self.close()
            batches = _Batches(self._split, self._batch_size, self._rows, self._seed, start_step)
            self._iterator = _read_ahead(batches, self._workers)
        parts = [next(self._iterator) for _ in range(n)]
        self._next_step = start_step + n
        # np.stack copies, as the parts may lie in memory that worker processes share.
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
      seed: of the order.
      log: is told in one line what was decided.

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
    how = f"{config_data.workers} processes" if config_data.workers else f"{_THREADS} threads"
    log(f"{what}, streamed by {how}")
    return Stream(split, batch_size, rows, seed, config_data.workers)


def evaluation_batches(
    split: Split, batch_size: int, rows: np.ndarray
) -> Iterator[dict[str, np.ndarray]]:
    """The whole split once, in order, in batches of one size; of each, the given rows.

    Yields:
      {"image": u8[b, H, W, C], "label": i32[b], "index": i32[b], "weight": f32[b]}. The weight is
      1 for an example that counts, and 0 for the repeats of the last one that fill the last batch
      and for those that stand in for an unreadable one.

    Raises:
      UserError: more than `data.max_corrupt` examples are unreadable.
    """
    iterator = _read_ahead(_InOrder(split, batch_size, rows), workers=0)
    try:
        for batch in iterator:
            requested, skipped = batch.pop("requested"), batch.pop("skipped")
            split.report(requested, skipped)
            counts = batch.pop("inside") & (skipped == 0)
            yield {**batch, "weight": counts.astype(np.float32)}
    finally:
        iterator.close()


def examples(split: Split, n: int) -> dict[str, np.ndarray]:
    """A batch of `n` examples, evenly spaced in a split's order, as `evaluation_batches` gives.

    What to show of it: splits are often sorted by class, and their beginning is one class. An
    unreadable one is represented by the next.
    """
    batch = _read_batch(split, np.linspace(0, len(split) - 1, n).astype(np.int32))
    return {key: batch[key] for key in ("image", "label", "index")}


class _Batches:
    """Rows of batch first, first + 1, ... of the training order, for Grain to read at random."""

    def __init__(self, split: Split, batch_size: int, rows: np.ndarray, seed: int, first: int):
        self._split, self._batch_size, self._rows = split, batch_size, rows
        self._seed, self._first = seed, first

    def __setstate__(self, state):
        """What a worker process gets."""
        self.__dict__.update(state)
        _end_with_parent()

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        start = (self._first + i) * self._batch_size
        examples = order.indices(self._seed, len(self._split), start, self._batch_size)
        return _read_batch(self._split, examples[self._rows])


class _InOrder:
    """The batches of one pass over a split; the last repeats the last example."""

    def __init__(self, split: Split, batch_size: int, rows: np.ndarray):
        self._split, self._batch_size, self._rows = split, batch_size, rows

    def __len__(self) -> int:
        return -(-len(self._split) // self._batch_size)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        examples = (i * self._batch_size + self._rows).astype(np.int32)
        inside = examples < len(self._split)
        batch = _read_batch(self._split, np.minimum(examples, len(self._split) - 1))
        return {**batch, "inside": inside}


def _read_batch(split: Split, examples: np.ndarray) -> dict[str, np.ndarray]:
    records = [split.read(int(i)) for i in examples]
    batch = {key: np.stack([record[key] for record in records]) for key in records[0]}
    return {**batch, "requested": examples}


def _end_with_parent():
    """Has a worker process end when the run is gone; a killed run tells its workers nothing."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait():
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _read_ahead(batches: _Batches | _InOrder, workers: int):
    """A Grain iterator that reads batches, in order, in threads or worker processes."""
    import grain

    threads = 2 if workers else _THREADS
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    data = grain.MapDataset.source(batches).to_iter_dataset(options)
    if workers:
        from absl import flags

        if not flags.FLAGS.is_parsed():  # Grain's workers read flags, and not only under absl.app
            flags.FLAGS.mark_as_parsed()
        data = data.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers))
    return iter(data)
