"""Damaged and arbitrary input: what comes out is a result or a `UserError` of one line.

Each property runs on a few hundred inputs here and on thousands under `pytest -m slow`; always on
the same ones.
"""

import io
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from genjax import command, images
from genjax import config as config_lib
from genjax.cnn import vgg, weights
from genjax.data import open_dataset
from genjax.data.archives import read_npz
from genjax.errors import UserError, one_line
from tests.tiny import CONFIGS, ROOT

MANY = 15  # times as many examples under `slow`
LEVELS = [pytest.param(1, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]
levels = pytest.mark.parametrize("level", LEVELS)

pytestmark = [
    pytest.mark.filterwarnings("ignore:::PIL"),  # of damage that it can live with
    pytest.mark.filterwarnings("ignore:.*created on Python 2"),
    pytest.mark.filterwarnings("ignore:invalid escape sequence"),  # read before it is refused
]


def fuzz(level, examples, *strategies):
    """Runs the decorated function at once, on `level * examples` draws of the strategies."""

    def run(check):
        limits = settings(
            max_examples=level * examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        limits(given(*strategies)(check))()

    return run


def clean(function, *arguments):
    """What a function returns, or None if it raises a clean error; all else fails the test."""
    try:
        return function(*arguments)
    except UserError as error:
        assert len(one_line(error).splitlines()) == 1
        return None


@st.composite
def damaged(draw, originals):
    """One of several texts of bytes with up to four cuts, flips, insertions and repetitions."""
    contents = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(contents) - 1, 0)))
        how = draw(st.sampled_from(("flip", "write", "insert", "drop", "cut", "extreme")))
        if how == "flip" and contents:
            contents[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "write":
            new = draw(st.binary(min_size=1, max_size=8))
            contents[at : at + len(new)] = new
        elif how == "insert":
            contents[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif how == "drop":
            del contents[at : at + draw(st.integers(1, 64))]
        elif how == "cut":
            del contents[at:]
        else:
            new = draw(st.sampled_from((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4))))
            contents[at : at + 4] = new
    return bytes(contents)


def encoded(array, mode, kind, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).convert(mode).save(file, kind, **options)
    return file.getvalue()


def pictures() -> dict[str, list[bytes]]:
    """{format: valid files}, of the ways in which pictures of that format differ."""
    noise = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [Image.fromarray(noise).convert("P"), Image.fromarray(noise[::-1]).convert("P")]
    extras = dict(save_all=True, append_images=frames[1:])
    described = dict(exif=exif, icc_profile=profile)
    return {
        "PNG": [
            encoded(noise, "RGB", "PNG", **described),
            encoded(noise, "P", "PNG", transparency=3),
            encoded(noise, "LA", "PNG"),
            encoded(noise, "I;16", "PNG"),
            encoded(noise, "P", "PNG", **extras),
        ],
        "JPEG": [
            encoded(noise, "RGB", "JPEG", **described),
            encoded(noise, "CMYK", "JPEG", progressive=True),
            encoded(noise, "RGB", "MPO", save_all=True, append_images=[Image.fromarray(noise)]),
        ],
        "GIF": [encoded(noise, "P", "GIF", **extras), encoded(noise, "P", "GIF", transparency=3)],
        "WEBP": [
            encoded(noise, "RGB", "WEBP", **described),
            encoded(noise, "RGBA", "WEBP", lossless=True),
            encoded(noise, "RGB", "WEBP", **extras),
        ],
        "TIFF": [
            *(
                encoded(noise, "RGB", "TIFF", compression=c, exif=exif)
                for c in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg")
            ),
            encoded(noise, "1", "TIFF", compression="group4"),
            encoded(noise, "F", "TIFF"),
            encoded(noise, "I;16", "TIFF"),
        ],
        "BMP": [encoded(noise, mode, "BMP") for mode in ("RGB", "P", "1")],
        "PPM": [encoded(noise, mode, "PPM") for mode in ("RGB", "I;16")],
    }


def with_checksums(png: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what they hold, so that a decoder reads on."""
    whole, at = png[:8], 8
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        chunk = png[at + 4 : at + 8 + length]
        whole += png[at : at + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + length
    return whole


@levels
@pytest.mark.parametrize("kind", pictures())
def test_pictures(tmp_path, kind, level):
    path = tmp_path / "picture"

    @fuzz(level, 100, damaged(pictures()[kind]), st.booleans(), st.sampled_from((1, 3)))
    def check(contents, mend, channels):
        path.write_bytes(with_checksums(contents) if mend and kind == "PNG" else contents)
        picture = clean(images.read, path, channels)
        assert picture is None or (picture.dtype, picture.shape[2]) == (np.uint8, channels)


@levels
def test_bytes_that_are_no_picture(tmp_path, level):
    path = tmp_path / "picture"
    starts = st.sampled_from([b"", *(file[:12] for files in pictures().values() for file in files)])

    @fuzz(level, 100, starts, st.binary(max_size=200))
    def check(start, rest):
        path.write_bytes(start + rest)
        clean(images.read, path)


def zipped(members: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return file.getvalue()


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


ARRAYS = {
    "x_train": np.arange(48, dtype=np.uint8).reshape(3, 4, 4),
    "y_train": np.arange(3),
    "conv1_1/kernel": np.ones((3, 3, 3, 64), np.float32),
}
MEMBERS = {f"{name}.npy": npy(array) for name, array in ARRAYS.items()}
NPZ = [zipped(MEMBERS), zipped(MEMBERS, zipfile.ZIP_STORED)]


def check_npz(path):
    """All that reads an npz, on one."""
    arrays = clean(read_npz, str(path), "it")
    assert arrays is None or all(isinstance(a, np.ndarray) for a in arrays.values())
    clean(vgg.load, "vgg16", str(path))
    data = config_lib.dataset(f"npz:{path}", 0)
    dataset = clean(open_dataset, data)
    assert dataset is None or dataset.train[0]["image"].dtype == np.uint8


@levels
def test_damaged_archives(tmp_path, level):
    path = tmp_path / "arrays.npz"

    @fuzz(level, 150, damaged(NPZ))
    def check(contents):
        path.write_bytes(contents)
        check_npz(path)


@levels
def test_archives_of_damaged_arrays(tmp_path, level):
    path = tmp_path / "arrays.npz"

    @fuzz(level, 150, st.sampled_from(list(MEMBERS)), st.data())
    def check(name, data):
        member = data.draw(damaged([MEMBERS[name]]))
        path.write_bytes(zipped({**MEMBERS, name: member}))
        check_npz(path)


@levels
def test_headers_of_arrays(tmp_path, level):
    path = tmp_path / "arrays.npz"
    number = st.sampled_from(
        ("0", "1", "-1", "3", "4", "True", "10**9", "9" * 30, "(", "'x'", "3L")
    )
    shapes = st.lists(number, max_size=5).map(lambda numbers: f"({', '.join(numbers)},)")
    kinds = st.sampled_from(("|u1", "<f4", ">i8", "|O", "|V4", "<U3", "<M8[s]", "|S0", "[]", "nan"))
    texts = st.one_of(
        st.builds("{{'descr': '{}', 'fortran_order': False, 'shape': {}}}".format, kinds, shapes),
        st.text(max_size=60),
    )

    @fuzz(level, 150, texts, st.sampled_from((1, 2, 3, 9)), st.binary(max_size=64))
    def check(text, version, contents):
        header = text.encode("utf-8", "surrogatepass")
        length = struct.pack("<H" if version == 1 else "<I", len(header))
        member = b"\x93NUMPY" + bytes([version, 0]) + length + header + contents
        path.write_bytes(zipped({"x_train.npy": member}))
        check_npz(path)


PICKLES = [
    pickle.dumps({"net": {name: array for name, array in ARRAYS.items()}}, protocol)
    for protocol in (3, 4)
]


@levels
def test_damaged_pickles(tmp_path, level):
    path = tmp_path / "weights.ckpt"

    @fuzz(level, 300, damaged(PICKLES))
    def check(contents):
        path.write_bytes(contents)
        tree = clean(weights.read_pickle, path)
        assert tree is None or isinstance(tree, dict)


@levels
def test_pickles_of_any_instructions(tmp_path, level):
    path = tmp_path / "weights.ckpt"
    cut = [PICKLES[0][at : at + n] for n in (1, 2, 3, 8) for at in range(0, 400, 3)]

    @fuzz(level, 300, st.lists(st.one_of(st.sampled_from(cut), st.binary(max_size=3)), max_size=30))
    def check(parts):
        path.write_bytes(b"".join(parts) + b".")
        clean(weights.read_pickle, path)


# What people type, and what nobody does.
VALUES = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.floats().map(str),
    st.text("()[]{},.'\"1-+eExj \\#\n\x00", max_size=12),
    st.sampled_from(
        ("1e999", "-inf", "nan", "9" * 400, "9" * 5000, "(" * 300, "(1,)" * 9, "lambda: 1", "None")
    ),
)
FILES = {name: f"{ROOT}/configs/{name}.py" for name in CONFIGS}
KEYS = sorted(
    (name, key) for name, file in FILES.items() for key in config_lib.flatten(config_lib.read(file))
)


@levels
def test_arguments_of_configs(level):
    defaults = dict(size=1, rate=0.5, flag=False, name="x")
    pairs = st.tuples(st.sampled_from((*defaults, "siz", "")), VALUES).map("=".join)

    @fuzz(level, 150, st.lists(st.one_of(pairs, st.text(max_size=9)), max_size=3).map(",".join))
    def check(arg):
        config = clean(lambda: config_lib.parse_arg(arg, **defaults))
        assert config is None or {k: type(v) for k, v in config.items()} == {
            k: type(v) for k, v in defaults.items()
        }


@levels
def test_values_of_every_key(level):
    @fuzz(level, 300, st.sampled_from(KEYS), VALUES)
    def check(name_and_key, text):
        name, key = name_and_key
        config = clean(config_lib.read, FILES[name], {key: text})
        if config is not None:
            clean(config_lib.check, config)


@levels
def test_command_lines(level):
    options = ("--config=configs/style.py", "--mode", "--mode=train", "--workdir=x", "--config")
    option = st.one_of(
        st.sampled_from(options),
        st.text(max_size=12),
        st.builds("--config.{}={}".format, st.sampled_from([key for _, key in KEYS]), VALUES),
        st.builds(
            "--config={}/configs/{}.py:{}".format, st.just(ROOT), st.sampled_from(CONFIGS), VALUES
        ),
    )

    @fuzz(level, 100, st.lists(option, max_size=4))
    def check(arguments):
        clean(command.parse, ["main.py", *arguments])
