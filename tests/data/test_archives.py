"""npz files: what is in them, and what of them is refused before it can do harm."""

import os
import struct
import zipfile
import zlib

import numpy as np
import pytest

from genjax import config as config_lib
from genjax.data import archives, open_dataset
from genjax.errors import UserError


def refused(message, path):
    with pytest.raises(UserError, match=f"^it is not a readable .npz of arrays: .*{message}") as e:
        archives.read_npz(str(path), "it")
    assert str(e.value).isprintable()


def header(shape="(3,)", descr="'|u1'") -> bytes:
    content = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content


def archive(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for member, content in members:
            file.writestr(member, content)


def edited(path, offset_in_directory, kind, value):
    """Changes a field of the first entry of a zip's directory."""
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, content.index(b"PK\x01\x02") + offset_in_directory, value)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (header(descr="'|O'") + b"x", "a holds Python objects"),
        (header(descr="[('x', '|O')]") + b"x", "a holds Python objects"),
        (header("(10**12,)") + b"123", "damaged"),
        (header("(1000000000000,)") + b"123", r"declares 10000000000\d\d bytes and has \d\d"),
        (header("(-1, -3)") + b"123", "declares"),
        (header("(3,)") + b"12", "declares"),
        (header("(3,)") + b"1234", "declares"),
        (header("(1000000000000,)", "'|S0'"), "is no plain number or text"),
        (header("(" * 4000), "damaged"),
        (header("(3,)", "'f4', " + "1, " * 20_000), "damaged"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "damaged"),
        (b"\x93NUMPY\x09\x00", r"version \(9, 0\)"),
        (b"plain text", "damaged"),
        (b"", "damaged"),
    ],
)
def test_archives_whose_headers_lie(tmp_path, member, message):
    path = tmp_path / "a.npz"
    archive(path, [("a.npy", member)])
    refused(message, path)


def test_names_of_members_are_keys_and_no_more(tmp_path, monkeypatch):
    """Nothing is unpacked to disk, so that a path in an archive leads nowhere."""
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    outside, content = str(tmp_path / "outside"), header() + b"123"
    archive("a.npz", [(f"{n}.npy", content) for n in ("../x", outside, "a/../../y")])
    assert list(archives.read_npz("a.npz", "it")) == ["../x", outside, "a/../../y"]
    assert os.listdir(tmp_path) == ["in"] and os.listdir() == ["a.npz"]
    with pytest.raises(UserError, match=r"has no x_train, it has \.\./x"):
        open_dataset(config_lib.dataset("npz:a.npz", 0))


def test_bombs_are_refused_before_they_are_inflated(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(300)) + packer.flush()
    archive(path, [("a.npy", packed)], zipfile.ZIP_STORED)
    edited(path, 10, "<H", zipfile.ZIP_DEFLATED)  # what lies there stored is called deflated
    edited(path, 24, "<I", 300 * 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # nothing of it is read
    refused("bytes inflate to 314572800, over 200 times", path)


def test_what_inflates_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(10**5))
    assert archives.read_npz(str(path), "it")["a"].shape == (10**5,)  # 1000 times, but little
    monkeypatch.setattr(archives, "_HARMLESS", 10**5)
    refused("over 200 times as many: .* with numpy.savez", path)
    np.savez(path, a=np.zeros(10**5))
    assert archives.read_npz(str(path), "it")["a"].shape == (10**5,)
    monkeypatch.setattr(archives, "_memory", lambda: 10**5)
    refused("take 800128 bytes of memory, this machine has 100000", path)


def test_archives_of_other_kinds(tmp_path):
    path, content = tmp_path / "a.npz", header() + b"123"
    with pytest.warns(UserWarning, match="Duplicate"):
        archive(path, [("a.npy", content), ("a.npy", content)])
    refused("two arrays have one name", path)
    archive(path, [("a.npy", content), ("a", content)])
    refused("two arrays have one name", path)
    archive(path, [("a\x1b[2J.npy", content)])
    refused("cannot be printed", path)
    archive(path, [("a.npy", content)], zipfile.ZIP_LZMA)
    refused("a is compressed in a way", path)
    archive(path, [("a.npy", content)])
    edited(path, 8, "<H", 1)
    refused("a is encrypted", path)
    archive(path, [("a.npy", content)])
    edited(path, 20, "<I", 2**30)
    refused("overlap", path)
