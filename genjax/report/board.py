"""TensorBoard's event files.

TensorBoard's own package encodes the events, but its writer of files is not used. That one writes
from a thread, so that a full disk is seen at some later call, and its file grows without bound.
"""

import io
import socket
import time
from collections.abc import Mapping

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
            self._append(_record(step=step + 1, session_log={"status": "START"}))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds finite values."""
        self._add(step, [{"tag": name, "simple_value": value} for name, value in values.items()])

    def image(self, step: int, name: str, png: bytes, shape: tuple[int, ...]) -> None:
        """Adds a picture that is a PNG file of `shape`, (H, W, C)."""
        size = dict(zip(("height", "width", "colorspace"), shape, strict=True))
        self._add(step, [{"tag": name, "image": {"encoded_image_string": png, **size}}])

    def flush(self) -> None:
        """Returns once everything added is stored durably."""
        self._file.flush()

    def _begin(self) -> None:
        header = _record(file_version="brain.Event:2")
        path = self._stem.with_name(f"{self._stem.name}.{self._part:03d}")
        write_atomically(path, header)
        self._file, self._size = growing(path), len(header)

    def _add(self, step: int, values: list[dict]) -> None:
        self._append(_record(step=step, summary={"value": values}))

    def _append(self, record: bytes) -> None:
        if self._size + len(record) > MAX_BYTES:
            self._file.flush()
            self._part += 1
            self._begin()
        self._file.append(record)
        self._size += len(record)


def _record(**fields) -> bytes:
    """An event as a TFRecord: its length and data, with their checksums."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    data = Event(wall_time=time.time(), **fields).SerializeToString()
    RecordWriter(record := io.BytesIO()).write(data)
    return record.getvalue()
