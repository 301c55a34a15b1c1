"""TensorBoard's event files.

tensorboardX encodes the events, but its writer is not used. That one writes from a thread, which a
full disk ends without a message, and the run then blocks for ever on the thread's full queue.
"""

import socket
import struct
import time
from collections.abc import Mapping

import numpy as np
from etils import epath

from genjax.files import growing, write_atomically

# Object stores cannot append, so each write there uploads a whole file. Files are therefore kept
# small: a full one is followed by another, and TensorBoard reads them in the order of their names.
MAX_BYTES = 8_000_000


class Board:
    """Writes the scalars and pictures of one run, from a given step on."""

    def __init__(self, folder: epath.Path, step: int) -> None:
        """Goes on after `step` in `folder`, which is created if it is missing.

        Step 0 deletes earlier files. At any other step, TensorBoard is told to drop what earlier
        files contain of later steps.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if step == 0:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
        # The step is in the name so that a run that resumes within a second overwrites no file.
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
        """Returns once everything added is stored durably."""
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
    """An event as a TFRecord: length, checksum of the length, data, checksum of the data."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    data = Event(wall_time=time.time(), **fields).SerializeToString()
    length = struct.pack("<Q", len(data))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, data)]
    return length + checksums[0] + data + checksums[1]
