"""TensorBoard's files, read back record by record."""

import struct

import numpy as np
import pytest
from etils import epath
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from genjax import images
from genjax.report import board
from genjax.report.board import Board


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path) / "tensorboard"


def events(folder):
    """{file name: [Event, ...]}, in the order in which TensorBoard reads; checksums are checked."""
    found = {}
    for path in sorted(folder.iterdir()):
        data, found[path.name] = path.read_bytes(), []
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            record, sums = data[12 : 12 + size], (data[8:12], data[12 + size : 16 + size])
            assert sums[0] == struct.pack("<I", masked_crc32c(data[:8]))
            assert sums[1] == struct.pack("<I", masked_crc32c(record))
            found[path.name].append(Event.FromString(record))
            data = data[16 + size :]
    return found


def test_what_is_added_can_be_read(folder):
    picture = np.zeros((3, 5, 1), np.uint8)
    writer = Board(folder, 0)
    writer.scalars(7, {"train/a": 0.5, "eval/b": -1.0})
    png = images.write(folder.parent / "samples.png", picture)
    writer.image(7, "samples", png, picture.shape)
    ((header, scalars, image),) = events(folder).values()  # there before any flush
    assert header.file_version == "brain.Event:2"
    values = {value.tag: value.simple_value for value in scalars.summary.value}
    assert (scalars.step, values) == (7, {"train/a": 0.5, "eval/b": -1.0})
    (value,) = image.summary.value
    assert (image.step, value.tag) == (7, "samples")
    assert (value.image.height, value.image.width) == (3, 5)
    assert scalars.wall_time > 1e9


def test_going_on_makes_tensorboard_forget_and_step_0_starts_afresh(folder, monkeypatch):
    monkeypatch.setattr(board.time, "time", lambda: 1.8e9)  # the names have whole seconds
    Board(folder, 0).scalars(1, {"train/a": 1})
    Board(folder, 20).scalars(21, {"train/a": 1})
    Board(folder, 20).flush()
    first, *others = events(folder).values()
    assert len(events(folder)) == 2, "the second try at one step takes the place of the first"
    assert [event.session_log.status for event in first] == [0, 0]
    _, start = others[0]
    assert (start.step, start.session_log.status) == (21, 1)
    Board(folder, 0)
    assert len(events(folder)) == 1


def test_files_stay_small_and_in_order(folder, monkeypatch):
    monkeypatch.setattr(board, "MAX_BYTES", 300)
    writer = Board(folder, 0)
    for step in range(1, 30):
        writer.scalars(step, {"train/a": step})
    files = events(folder)
    assert len(files) > 3
    assert all(path.stat().length <= 300 for path in folder.iterdir())
    assert all(file[0].file_version == "brain.Event:2" for file in files.values())
    steps = [event.step for file in files.values() for event in file[1:]]
    assert steps == list(range(1, 30))
