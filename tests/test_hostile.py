"""Files and sizes that somebody chose to do harm: each is refused with one line, and does none."""

import io
import os
import pickletools
import struct
import zlib

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from configs import style as style_config
from genjax import config as config_lib
from genjax import images
from genjax.cnn import vgg, weights
from genjax.data import open_dataset
from genjax.errors import UserError
from genjax.style import inputs


def refused(message, function, *arguments):
    """Checks that a function raises a clean error that `message` (a pattern) is found in."""
    with pytest.raises(UserError, match=message) as caught:
        function(*arguments)
    assert str(caught.value).isprintable()


# Pickles: written here by hand, an instruction at a time.

CODES = {opcode.name: opcode.code.encode("latin1") for opcode in pickletools.opcodes}


def program(*instructions) -> bytes:
    """A pickle of instructions: names, or (name, the bytes of its argument)."""
    text = b"\x80\x04"
    for instruction in instructions:
        name, argument = (instruction, b"") if isinstance(instruction, str) else instruction
        text += CODES[name] + argument
    return text + b"."


def text(string):
    return ("BINUNICODE", struct.pack("<I", len(string)) + string.encode())


def number(value):
    return ("BININT", struct.pack("<i", value))


def name(module, attribute):
    return ("GLOBAL", f"{module}\n{attribute}\n".encode())


def array(shape, dtype="f4", contents=b"", kind=("numpy", "ndarray"), parts="NONE"):
    """What a pickle says to make an array."""
    make = name("numpy._core.multiarray", "_reconstruct")
    empty = (make, name(*kind), number(0), "TUPLE1", ("SHORT_BINBYTES", b"\x01b"), "TUPLE3")
    code = (name("numpy", "dtype"), text(dtype), "NEWFALSE", "NEWTRUE", "TUPLE3", "REDUCE")
    order = ("MARK", number(3), text("<"), parts, *["NONE"] * 2, *[number(-1)] * 2, number(0))
    data = ("BINBYTES", struct.pack("<I", len(contents)) + contents)
    state = ("MARK", number(1), "MARK", *map(number, shape), "TUPLE", *code, *order, "TUPLE")
    return (*empty, "REDUCE", *state, "BUILD", "NEWFALSE", data, "TUPLE", "BUILD")


def in_dict(*value):
    return program("EMPTY_DICT", text("a"), *value, "SETITEM")


MKDIR = name("posix", "mkdir")
PICKLES = {
    "calls": (in_dict(MKDIR, text("MARKER"), "TUPLE1", "REDUCE"), "posix.mkdir, which is no array"),
    "inst": (program("MARK", text("MARKER"), ("INST", b"posix\nmkdir\n")), "instruction INST"),
    "obj": (program("MARK", MKDIR, text("MARKER"), "OBJ"), "posix.mkdir, which is no array"),
    "newobj": (program(MKDIR, "EMPTY_TUPLE", "NEWOBJ"), "posix.mkdir"),
    "stack global": (in_dict(text("os"), text("mkdir"), "STACK_GLOBAL"), "os.mkdir, which is no"),
    "attribute": (in_dict(name("numpy", "ndarray.tofile")), "ndarray.tofile, which is no array"),
    "persistent": (program(text("x"), "BINPERSID"), "instruction BINPERSID"),
    "extension": (program(("EXT1", b"\x01")), "instruction EXT1"),
    "calls a text": (
        in_dict(text("mkdir"), text("MARKER"), "TUPLE1", "REDUCE"),
        "calls what is no",
    ),
    "builds a dict": (in_dict("EMPTY_DICT", "EMPTY_DICT", "BUILD"), "gives contents to what is no"),
    "objects": (in_dict(*array((1,), "O8", b"12345678")), "'O8' is no plain number"),
    "fields": (in_dict(*array((1,), "V8", b"12345678")), "'V8' is no plain number"),
    "type with parts": (in_dict(*array((1,), "f4", b"1234", parts="EMPTY_DICT")), "has parts"),
    "foreign kind": (
        in_dict(*array((1,), "f4", b"1234", kind=("numpy", "memmap"))),
        "numpy.memmap",
    ),
    "other kind": (in_dict(*array((1,), "f4", b"1234", kind=("numpy", "dtype"))), "no array"),
    "huge shape": (in_dict(*array((2**31 - 1,) * 8, "f8", b"1234")), "has 4 bytes, not those of"),
    "negative shape": (in_dict(*array((-1, -1), "f4", b"1234")), "impossible shape"),
    "many axes": (in_dict(*array((1,) * 99, "f4", b"1234")), "impossible shape"),
    "half an array": (in_dict(*array((1,))[:8], "REDUCE"), "cannot be read"),
    "no dict": (program(*array((1,), "f4", b"1234")), "no dict of arrays"),
    "a text in it": (in_dict(text("b")), "'a' is no array"),
    "a number as key": (program("EMPTY_DICT", number(1), *array((0,)), "SETITEM"), "as keys"),
    "declared length": (program(("BINBYTES8", struct.pack("<Q", 2**62))), "cannot be read"),
    "declared frame": (program(("FRAME", struct.pack("<Q", 2**63))), "cannot be read"),
    # C's unpickler makes a table of 2**33 places for this one.
    "memo": (program("NONE", ("LONG_BINPUT", b"\xff\xff\xff\xff")), "no dict of arrays"),
    "deep tuples": (in_dict("EMPTY_TUPLE", *["TUPLE1"] * 10**5), "'a' is no array"),
    # Python would hash this key recursively, without a limit.
    "deep key": (
        program("EMPTY_DICT", "EMPTY_TUPLE", *["TUPLE1"] * 10**5, "NONE", "SETITEM"),
        "no dict with texts as keys",
    ),
    "deep dicts": (
        program(*["EMPTY_DICT", text("a")] * 10**4, "EMPTY_DICT", *["SETITEM"] * 10**4),
        "more than 32 deep",
    ),
    "itself": (
        program("EMPTY_DICT", "MEMOIZE", text("a"), ("BINGET", b"\x00"), "SETITEM"),
        "in two places",
    ),
    "doubled tuples": (
        in_dict("NONE", *["MEMOIZE", ("BINGET", b"\x00"), "TUPLE2"] * 200),
        "'a' is no array",
    ),
}


@pytest.mark.parametrize("case", PICKLES)
def test_pickles(tmp_path, case):
    pickled, message = PICKLES[case]
    marker, path = tmp_path / "M12345", tmp_path / "weights.ckpt"
    pickled = pickled.replace(*(s.encode() for s in ("MARKER", "M12345")))
    path.write_bytes(pickled)
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        refused(message, weights.read_pickle, path)
    finally:
        os.chdir(before)
    assert not marker.exists()


def test_the_hand_written_pickle_of_an_array_is_one(tmp_path):
    """So that what is refused above is refused for what is wrong with it."""
    path = tmp_path / "weights.ckpt"
    path.write_bytes(in_dict(*array((2, 1), "f4", struct.pack("<2f", 1.5, 2))))
    np.testing.assert_array_equal(weights.read_pickle(path)["a"], [[1.5], [2]])


def test_weights_that_are_no_finite_floats(tmp_path):
    path = str(tmp_path / "w.npz")
    kernel = np.ones((3, 3, 3, 64), np.float32)
    for value, message in ((np.nan, "no finite"), (np.inf, "no finite")):
        np.savez(path, **{"conv1_1/kernel": kernel * value})
        refused(f"conv1_1/kernel has values that are {message}", vgg.load, "vgg16", path)
    np.savez(path, **{"conv1_1/kernel": np.full(kernel.shape, 1e300)})
    refused("no finite float32", vgg.load, "vgg16", path)
    for kind in ("U3", "complex64", "bool"):
        np.savez(path, **{"conv1_1/kernel": kernel.astype(kind)})
        refused("conv1_1/kernel is .*, not float32", vgg.load, "vgg16", path)


# Pictures.


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(width, height, *chunks) -> bytes:
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(3 * 1 + 1)))
    return b"\x89PNG\r\n\x1a\n" + size + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def patched(kind, marker, offset, fmt, *values) -> bytes:
    """A small picture with other numbers at an offset from a marker."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, kind)
    content = bytearray(file.getvalue())
    struct.pack_into(fmt, content, content.index(marker) + offset, *values)
    return bytes(content)


BOMB = zlib.compress(bytes(2**26), 9)  # 64 MB of zeros
PICTURES = {
    "png": (png(50_000, 50_000), "too large.*2500000000 pixels"),
    "large png": (png(10_000, 10_000), "100000000 pixels, more than the limit"),
    "png without pixels": (png(0, 5), "x.png"),
    "png with a text": (png(1, 1, chunk(b"zTXt", b"k\0\0" + BOMB)), "cannot be decoded"),
    "png with more texts": (png(1, 1, chunk(b"iTXt", b"k\0\1\0\0\0" + BOMB)), "cannot be decoded"),
    "png with a profile": (png(1, 1, chunk(b"iCCP", b"k\0\0" + BOMB)), "cannot be decoded"),
    "gif": (patched("GIF", b"GIF", 6, "<HH", 65535, 65535), "too large"),
    "gif frame": (patched("GIF", b"\x2c\0\0\0\0", 5, "<HH", 65535, 65535), "too large"),
    "webp": (patched("WEBP", b"\x9d\x01\x2a", 3, "<HH", 16383, 16383), "too large|cannot be|known"),
    "bmp": (patched("BMP", b"BM", 18, "<ii", 2**31 - 1, 2**31 - 1), "too large"),
    "tiff": (patched("TIFF", b"\x00\x01\x04\x00\x01", 8, "<I", 2**31 - 1), "too large"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "known format"),
}


@pytest.mark.filterwarnings("ignore:::PIL")  # of many pixels, which `read` refuses by itself
@pytest.mark.parametrize("case", PICTURES)
def test_pictures(tmp_path, case):
    content, message = PICTURES[case]
    path = tmp_path / "x.png"
    path.write_bytes(content)
    refused(message, images.read, path)


def test_files_larger_than_any_picture(tmp_path):
    path = tmp_path / "x.png"
    with open(path, "wb") as file:
        file.truncate(2**30 + 1)  # takes no room on the disk
    refused("has 1073741825 bytes, over 1073741824", images.read, path)


def data_config(name, **changes):
    values = config_lib.dataset(name, 4).to_dict() | {"test_fraction": 0.0, "max_corrupt": 9}
    return ConfigDict({**values, **changes})


def test_what_is_no_file_is_refused_and_skipped_in_a_folder(tmp_path):
    Image.new("RGB", (4, 4), "red").save(tmp_path / "z.png")
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "a\nb\x1b.png").write_bytes(b"?")
    (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(b"?")
    for name, message in (
        ("fifo", "no file but a device or a pipe"),
        ("device", "no file but a device or a pipe"),
        ("broken", "no such image"),
        ("itself", "symbolic links"),
        ("folder", "is a directory"),
        ("a\nb\x1b", r"a\\nb\\x1b.png' is not an image"),
        ("\udcff", r"\\udcff.png' is not an image"),
        ("a" * 300, "too long"),
        ("\0", "no name of a file"),
        ("\ud800", "no name of a file"),
    ):
        refused(message, images.read, tmp_path / f"{name}.png")
    split = open_dataset(data_config(f"folder:{tmp_path}")).train
    assert len(split) == 7 and all(split.file(i).isprintable() for i in range(7))
    records = [split.read(i) for i in range(7)]
    assert {int(record["index"]) for record in records} == {5}  # z.png, the one picture
    split.report(range(7), [int(record["skipped"]) for record in records])
    strict = open_dataset(data_config(f"folder:{tmp_path}", max_corrupt=2)).train
    refused("6 of 7 images cannot be read", strict.report, range(7), [5, 4, 3, 2, 1, 0, 1])


def test_folders_that_lead_to_each_other(tmp_path):
    """Each is read once: a dozen folders with links to all others have 10^9 paths."""
    for i in range(12):
        (tmp_path / f"{i:02}").mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / f"{i:02}" / "x.png")
        for j in range(12):
            (tmp_path / f"{i:02}" / f"to{j:02}").symlink_to(tmp_path / f"{j:02}")
    split = open_dataset(data_config(f"folder:{tmp_path}")).train
    assert len(split) == 12


def test_folders_in_folders_deeper_than_python_recurses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    Image.new("RGB", (4, 4)).save("x.png")
    assert len(open_dataset(data_config(f"folder:{tmp_path}")).train) == 1
    os.remove("x.png")
    for _ in range(1200):  # or pytest would have to, and does recurse
        os.chdir("..")
        os.rmdir("d")


def test_folders_that_are_none():
    refused("is nobody's home folder", open_dataset, data_config("folder:~nobody-here/x"))
    refused("there is no such folder", open_dataset, data_config("folder:" + "a" * 300))
    refused("is nobody's home folder", open_dataset, data_config("npz:~nobody-here/x"))
    refused("there is no such folder", open_dataset, data_config("folder:a\0b"))


# Sizes that are asked for.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 10**6}, "size=1000000 has to be from 1 to 16384 px"),
        ({"size": 10**400}, "has to be from 1 to 16384 px"),
        ({"size": -3}, "size=-3 has to be"),
        ({"style_scale": 1e9}, "style_scale=1000000000.0 makes styles of 1.6e.10 px"),
        ({"style_scale": 1e308}, "makes styles of"),
        ({"style_scale": 1e-9}, "makes styles of 1.6e-08 px"),
    ],
)
def test_sizes_of_style_runs(changes, message):
    config = style_config.get_config("size=16")
    config.content, config.style = "astronaut", "coffee"
    config.update(changes)
    refused(message, inputs.load, config, lambda name: [images.load(name)])


def test_sizes_of_single_pictures():
    picture = np.zeros((2, 3, 3), np.uint8)
    refused("choose a smaller", images.fit, picture, 10**400)
    refused("choose a smaller size", images.fit, picture, 20_000)
    refused("choose a smaller size", images.crop_square, picture, 10_000)


def test_narrow_pictures_are_halved_no_further():
    narrow = images.fit(np.zeros((50_000, 1, 3), np.uint8), 256)
    assert narrow.shape == (256, 1, 3)
    layer = {"kernel": np.zeros((3, 3, 3, 3)), "bias": np.zeros(3)}
    net = {"conv1_1": layer, "conv2_1": layer}
    found = vgg.apply(net, np.zeros((1, 256, 1, 3), np.float32), ("relu2_1",))
    assert found["relu2_1"].shape == (1, 128, 1, 3)
