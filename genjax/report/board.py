"""TensorBoard's event files.

tensorboardX makes the events. Its own writer is not used: it writes from a thread, which a full
disk ends unheard, and the run then waits for ever for room in that thread's queue.
"""

import socket
import struct
import time
from collections.abc import Mapping

import numpy as np
from etils import epath

from genjax.files import growing, write_atomically

# An object store has no append, so a file is written as a whole each time: files stay small.
# TensorBoard reads one after the other, by name.
MAX_BYTES = 8_000_000


class Board:
    """The scalars and pictures of one run, from a step on."""

    def __init__(self, folder: epath.Path, step: int) -> None:
        """Goes on after `step` in `folder`, which is made where it is missing; 0 starts afresh.

        TensorBoard is told to forget what earlier files say of later steps.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if step == 0:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
        # The step and the part keep a quick resume from overwriting the file of the run before it.
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{step:08d}"
        self._stem = folder / name
        self._part = 0
        self._begin()
        if step:
            self._add(step + 1, session_log={"status": "START"})

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds finite values."""
        from tensorboardX import summary

        together = summary.Summary()
        for name, value in values.items():
            together.MergeFrom(summary.scalar(name, value))
        self._add(step, summary=together)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Adds a picture, u8[H, W, C]."""
        from tensorboardX import summary

        self._add(step, summary=summary.image(name, image, dataformats="HWC"))

    def flush(self) -> None:
        """Returns once everything added is where it shall stay."""
        self._file.flush()

    def _begin(self) -> None:
        header = _record({"file_version": "brain.Event:2"})
        path = self._stem.with_name(f"{self._stem.name}.{self._part:03d}")
        write_atomically(path, header)
        self._file, self._size = growing(path), len(header)

    def _add(self, step: int, **what) -> None:
        record = _record({"step": step, **what})
        if self._size + len(record) > MAX_BYTES:
            self._file.flush()
            self._part += 1
            self._begin()
        self._file.append(record)
        self._size += len(record)


def _record(fields: dict) -> bytes:
    """An event as a TFRecord: length, its checksum, data, its checksum."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data = Event(wall_time=time.time(), **fields).SerializeToString()
    length = struct.pack("<Q", len(data))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return length + checksums[0] + data + checksums[1]
