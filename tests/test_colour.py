"""Colour profiles and bit depths, against profiles that are written here from their definitions."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from genjax import decoding, images

# Columns XYZ of red, green and blue, adapted to D50 (B. Lindbloom, "RGB/XYZ Matrices"), and the
# exponent of the tone curve; None for that of sRGB.
SPACES = {
    "sRGB": (
        [[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.7141]],
        None,
    ),
    "Display P3": (
        [[0.51512, 0.2412, -0.00105], [0.29198, 0.69225, 0.04189], [0.1571, 0.06657, 0.78407]],
        None,
    ),
    "Adobe RGB": (
        [[0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457]],
        563 / 256,
    ),
    "ProPhoto": (
        [[0.79767, 0.28804, 0.0], [0.13519, 0.71187, 0.0], [0.03135, 0.00009, 0.82521]],
        461 / 256,
    ),
}


def profile(space: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    """An ICC profile of version 2 (ICC.1:2001-04): header, table of tags, data."""
    start, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    head = struct.pack(
        ">I4sI4s4s4s", start + len(data), b"", 0x02400000, b"mntr", space, connection
    )
    head += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data


def fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(x * 65536) for x in numbers))


def curve(gamma: float | None) -> bytes:
    if gamma is None:  # type 3: ((x + 0.055) / 1.055) ** 2.4 from 0.04045 on, x / 12.92 below
        numbers = fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + numbers
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def rgb_profile(name: str) -> bytes:
    columns, gamma = SPACES[name]
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249)}
    for letter, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*column)
        tags[letter + b"TRC"] = curve(gamma)
    return profile(b"RGB ", tags)


def converted(colours: np.ndarray, old: str, new: str) -> np.ndarray:
    """Colours u8[..., 3] of one space in another, by the definitions; what lies outside is cut."""
    (old_columns, old_gamma), (new_columns, new_gamma) = SPACES[old], SPACES[new]
    x = colours / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    linear = x**old_gamma if old_gamma else linear
    x = np.clip(linear @ np.array(old_columns) @ np.linalg.inv(new_columns), 0, 1)
    curved = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return np.rint(255 * (x ** (1 / new_gamma) if new_gamma else curved)).astype(np.uint8)


def colours() -> np.ndarray:
    """u8[8, 8, 3], from pale to saturated, with greys."""
    picture = np.random.default_rng(0).integers(40, 216, (8, 8, 3)).astype(np.uint8)
    picture[0] = np.linspace(0, 255, 8).astype(np.uint8)[:, None]
    return picture


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("name", ["Display P3", "Adobe RGB", "ProPhoto"])
def test_wide_spaces_come_as_srgb(tmp_path, name, suffix):
    stored = converted(colours(), "sRGB", name)
    assert abs(stored.astype(int) - colours()).max() > 12
    expected = converted(stored, name, "sRGB").astype(int)
    assert abs(expected - colours()).max() <= 3  # ProPhoto's steps of 8 bits are that wide
    path = tmp_path / f"a.{suffix}"
    lossless = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(stored).save(path, icc_profile=rgb_profile(name), **lossless)
    assert abs(images.read(path) - expected).max() <= 1
    grey = images.to_channels(images.read(path), 1)
    assert (images.read(path, 1) == grey).all()


@pytest.mark.parametrize("made_by", ["us", "lcms"])
def test_srgb_profiles_change_no_bit(tmp_path, made_by):
    lcms = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = {"us": rgb_profile("sRGB"), "lcms": lcms}[made_by]
    Image.fromarray(colours()).save(tmp_path / "a.png", icc_profile=content)
    assert (images.read(tmp_path / "a.png") == colours()).all()


def test_broken_and_foreign_profiles_are_passed_over(tmp_path):
    whole, picture = rgb_profile("Adobe RGB"), Image.fromarray(colours())
    grey = profile(b"GRAY", {b"kTRC": curve(1.0)})
    for i, content in enumerate((b"?", whole[:150], whole[:16], b"\0" * 200, grey)):
        picture.save(tmp_path / f"{i}.png", icc_profile=content)
        assert (images.read(tmp_path / f"{i}.png") == colours()).all(), i
    picture.convert("L").save(tmp_path / "l.png", icc_profile=whole)
    expected = np.asarray(picture.convert("L"))
    assert (images.read(tmp_path / "l.png", 1)[..., 0] == expected).all()
    picture.convert("CMYK").save(tmp_path / "c.tif", icc_profile=whole)
    assert (images.read(tmp_path / "c.tif") == colours()).all()


def test_grey_profiles(tmp_path):
    """A grey of 0.502 of the light is 188 in sRGB: 1.055 * 0.502 ** (1 / 2.4) - 0.055 = 0.737."""
    content = profile(
        b"GRAY", {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249), b"kTRC": curve(1.0)}
    )
    Image.new("L", (4, 4), 128).save(tmp_path / "l.png", icc_profile=content)
    Image.new("LA", (4, 4), (128, 0)).save(tmp_path / "la.png", icc_profile=content)
    wide = Image.fromarray(np.full((4, 4), 128 * 257, np.uint16))
    wide.save(tmp_path / "wide.png", icc_profile=content)
    for name in ("l", "wide"):
        assert abs(images.read(tmp_path / f"{name}.png").astype(int) - 188).max() <= 1
        assert abs(images.read(tmp_path / f"{name}.png", 1).astype(int) - 188).max() <= 1
    assert (images.read(tmp_path / "la.png", 1) == 255).all()


def test_cmyk_profiles(tmp_path):
    """A profile in which cyan alone is a grey of L* 50: 119 in sRGB; without it, cyan is [0, 255,
    255]."""
    lab = np.full((2, 2, 2, 2, 3), (0, 128, 128), np.uint8)  # black, but for
    lab[0, 0, 0, 0, 0], lab[1, 0, 0, 0, 0] = 255, 128  # the paper, and cyan
    identity = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += identity * 4 + lab.tobytes() + identity * 3
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1.0, 0.8249), b"A2B0": table}
    inks = np.zeros((1, 2, 4), np.uint8)
    inks[0, 1, 0] = 255
    path = tmp_path / "a.tif"
    Image.fromarray(inks, "CMYK").save(path, icc_profile=profile(b"CMYK", tags, b"Lab "))
    assert abs(images.read(path)[0].astype(int) - [[255] * 3, [119] * 3]).max() <= 2


def test_transparency_palettes_and_orientation_with_a_profile(tmp_path):
    content = rgb_profile("Adobe RGB")
    stored = converted(colours(), "sRGB", "Adobe RGB")
    alpha = np.full((8, 8, 1), 255, np.uint8)
    alpha[4:] = 0
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture = Image.fromarray(np.concatenate([stored, alpha], axis=-1)[::-1, ::-1])
    picture.save(tmp_path / "a.png", icc_profile=content, exif=exif)
    read = images.read(tmp_path / "a.png").astype(int)
    assert abs(read[:4] - colours()[:4]).max() <= 2 and (read[4:] == 255).all()
    palette = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8), "P")
    palette.putpalette(stored.tobytes())
    palette.save(tmp_path / "p.png", icc_profile=content)
    assert abs(images.read(tmp_path / "p.png").astype(int) - colours()).max() <= 2


def save_deep(path, values):
    """A PNG of 16-bit colours, u16[H, W, 3], which Pillow does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)


def test_the_white_of_colours_of_sixteen_bits(tmp_path):
    """Pillow keeps the upper 8 bits: of 12, 16 levels are left, of the lower 8, nothing."""
    path = tmp_path / "a.png"
    save_deep(path, np.array([[[0, 2048, 4095]]]))
    assert decoding.largest_value(path) == 4095
    assert images.read(path).ravel().tolist() == [0, 8, 15]
    assert images.read(path, white=4095).ravel().tolist() == [0, 136, 255]
    save_deep(path, np.array([[[0, 100, 255]]]))
    assert decoding.largest_value(path) == 255
    with pytest.raises(images.ImageError, match="save it as 8 bit"):
        images.read(path, white=255)


def test_the_white_of_sixteen_bits(tmp_path):
    values = np.array([[0, 2048, 4095]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert decoding.largest_value(tmp_path / "a.png") == 4095
    assert images.read(tmp_path / "a.png", 1).ravel().tolist() == [0, 8, 16]
    assert images.read(tmp_path / "a.png", 1, white=4095).ravel().tolist() == [0, 128, 255]
    with pytest.raises(images.ImageError, match=r"values lie in \[0, 4095\] where \[0, 1023\]"):
        images.read(tmp_path / "a.png", white=1023)
    Image.fromarray(colours()).save(tmp_path / "b.png")
    assert decoding.largest_value(tmp_path / "b.png") is None
    assert (images.read(tmp_path / "b.png", white=4095) == colours()).all()
