"""Files that are whole whatever happens, on disks that are really full or read-only."""

import errno
import os
import stat
import threading

import pytest
from etils import epath

from genjax import files
from genjax.files import append_durably, create, growing, is_local, write_atomically
from tests.disks import fill, make_read_only, small_disk


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", "256k") as folder:
        yield folder


@pytest.mark.parametrize(
    ("path", "local"),
    [("runs/x", True), ("/tmp/x", True), ("gs://bucket/x", False), ("s3://bucket/x", False)],
)
def test_which_places_are_local(path, local):
    assert is_local(path) is is_local(epath.Path(path)) is local


def test_write_atomically(tmp_path):
    path = tmp_path / "file"
    for content in ("é\n", b"\xff\x00", ""):
        write_atomically(path, content)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert os.listdir(tmp_path) == ["file"]


def test_readers_see_the_old_file_until_the_new_one_is_complete(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    write_atomically(path, "old")
    sync = os.fsync

    def look(descriptor):
        kind = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append((path.read_text(), "folder" if kind else "file"))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_atomically(path, "new")
    # The bytes are on the disk before the name is, and the name before the call returns.
    assert seen == [("old", "file"), ("new", "folder")]


def test_create_makes_what_is_not_there(tmp_path):
    create(tmp_path / "file", "é\n")
    with pytest.raises(FileExistsError):
        create(tmp_path / "file", "other")
    assert (tmp_path / "file").read_text() == "é\n"


def test_create_on_a_full_disk_leaves_nothing(disk):
    ballast = fill(disk)
    with pytest.raises(OSError) as error:
        create(disk / "file", "x" * 100_000)
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(disk / "file")
    assert os.listdir(disk) == [ballast.name]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(disk):
    write_atomically(disk / "file", "old")
    ballast = fill(disk)
    with pytest.raises(OSError) as error:
        write_atomically(disk / "file", b"x" * 100_000)
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(disk / "file")
    assert (disk / "file").read_text() == "old"
    assert sorted(os.listdir(disk)) == ["ballast", "file"]
    ballast.unlink()
    write_atomically(disk / "file", b"x" * 100_000)


def test_a_read_only_disk(disk):
    write_atomically(disk / "file", "old")
    make_read_only(disk)
    for write in (
        lambda: write_atomically(disk / "file", "new"),
        lambda: growing(disk / "file").append(b"new"),
    ):
        with pytest.raises(OSError) as error:
            write()
        assert error.value.errno == errno.EROFS and error.value.filename == str(disk / "file")
    assert (disk / "file").read_text() == "old"


def test_two_processes_never_share_a_partial_file(tmp_path):
    path = epath.Path(tmp_path) / "file"
    assert files.partial_name(path) == path.parent / f".file.{os.getpid()}.partial"
    assert files.partial_name(path, 1) != files.partial_name(path)


def test_an_append_that_does_not_fit_is_taken_back(disk):
    """The disk has room for the first 96 bytes of the line: the system writes them and stops."""
    path = disk / "log"
    lines = b"x" * 3999 + b"\n"
    path.write_bytes(lines)
    ballast = fill(disk)
    log = growing(path)
    with pytest.raises(OSError) as error:
        log.append(b"y" * 199 + b"\n")
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(path)
    assert path.read_bytes() == lines
    log.append(b"short\n")
    ballast.unlink()
    log.append(b"y" * 199 + b"\n")
    assert path.read_bytes() == lines + b"short\n" + b"y" * 199 + b"\n"


def test_an_append_in_several_pieces_is_complete(tmp_path):
    """A pipe takes 64 KiB at once; so do some file systems."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data, received = bytes(range(256)) * 4096, bytearray()

    def read():
        with open(path, "rb") as pipe:
            received.extend(pipe.read())

    reader = threading.Thread(target=read)
    reader.start()
    growing(path).append(data)
    reader.join()
    assert received == data


def test_flush_puts_the_bytes_on_the_disk(tmp_path, monkeypatch):
    path, synced = tmp_path / "log", []
    path.write_bytes(b"")
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_size))
    log = growing(path)
    log.append(b"line\n")
    assert path.read_bytes() == b"line\n" and synced == []
    log.flush()
    assert synced == [5]


def test_append_durably_makes_the_file(disk):
    append_durably(disk / "log", "a\n")
    append_durably(disk / "log", "b\n")
    assert (disk / "log").read_text() == "a\nb\n"
    fill(disk)
    with pytest.raises(OSError, match="No space"):
        append_durably(disk / "other", "a\n")
    assert sorted(os.listdir(disk)) == ["ballast", "log"]


def test_an_object_is_uploaded_as_a_whole_now_and_then(tmp_path, monkeypatch):
    path, now = epath.Path(tmp_path) / "object", [0.0]
    monkeypatch.setattr(files.time, "monotonic", lambda: now[0])
    path.write_bytes(b"a")
    log = files.GrowingObject(path)
    log.append(b"b")
    assert path.read_bytes() == b"a"
    log.flush()
    assert path.read_bytes() == b"ab"
    now[0] = files.REMOTE_SECONDS - 1
    log.append(b"c")
    assert path.read_bytes() == b"ab"
    now[0] += 1
    log.append(b"d")
    assert path.read_bytes() == b"abcd"
    path.unlink()
    log.flush()  # nothing new, nothing to upload
    assert not path.exists()


def test_natural_order():
    ordered = [
        *("a/img.png", "a/img2.png", "a/img10.jpg", "a/img10.png", "a/img10b.png"),
        *("a b/1.png", "frames2/9.png", "frames10/1.png", "result_9.png", "result_10.png"),
        *("x01", "x1", "²/x1.png"),  # the same number twice; a digit that is no number
    ]
    assert sorted(reversed(ordered), key=files.natural_order) == ordered
