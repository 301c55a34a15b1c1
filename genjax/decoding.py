"""Decodes the bytes of a picture's file: formats, limits, and what is wrong with one."""

import importlib.util
import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from genjax import colour, dicom, windows
from genjax.errors import UserError
from genjax.files import shown
from genjax.windows import Window

# The formats that people keep pictures in. Pillow knows 40 more. One of them is EPS: such a file is
# a program, which Pillow has Ghostscript execute. Each plugin is imported by itself, because all
# of them take a tenth of a second.
for _plugin in ("Bmp", "Gif", "Jpeg", "Jpeg2K", "Mpo", "Png", "Ppm", "Tiff", "WebP", "Avif"):
    if importlib.util.find_spec(f"PIL.{_plugin}ImagePlugin"):  # the last one is new in Pillow 11.3
        importlib.import_module(f"PIL.{_plugin}ImagePlugin")
if importlib.util.find_spec("pillow_heif"):  # the extra [heif]: what iPhones write
    import pillow_heif

    pillow_heif.register_heif_opener()
_FORMATS = [
    name
    for name in (
        *("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF"),
        "WEBP",
    )
    if name in Image.OPEN  # Pillow may have been built without some of them
]
_ANIMATED = ("GIF", "PNG", "WEBP")  # those whose pictures are moments, where TIFF's are pages
SUFFIXES = frozenset(s for s, name in Image.EXTENSION.items() if name in _FORMATS)

# What Pillow's decoders raise on bytes that are not the picture they claim to be.
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)

# Pillow warns of damage that does not keep it from reading a picture, and of pictures with many
# pixels, which `decode` refuses with a message that says what to do.
warnings.filterwarnings("ignore", module=r"PIL\.")


class ImageError(UserError):
    """A file exists but holds no picture that can be used."""


def decode(
    contents: bytes,
    path: Path,
    channels: int,
    white: int | None = None,
    window: Window | None = None,
) -> np.ndarray:
    """The picture in a file's bytes, u8[H, W, channels], as `images.read` describes it.

    Args:
      path: what messages call the file.
      channels, white, window: those of `images.read`.

    Raises:
      ImageError: the bytes are no picture, are cut off or damaged, have no pixels or too many, or
        are none that the window is for.
    """
    try:
        if dicom.is_dicom(contents[: dicom.START]):
            flat = _of_dicom(contents, path, window)
        else:
            with Image.open(io.BytesIO(contents), formats=_FORMATS) as image:
                _check_size(path, *image.size)
                if window and not colour.is_wide(image):
                    raise ImageError(f"{shown(path)} {windows.NO_GREY_OF_MANY_VALUES}")
                flat = colour.plain(image, white, window)
        flat = flat.convert("L" if channels == 1 else "RGB")
    except dicom.DicomError as error:
        raise ImageError(f"{shown(path)} {error}") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{shown(path)} is too large: {error}") from None
    except UnidentifiedImageError:
        reason = "is not an image in a known format; use PNG or JPEG"
        if not contents:
            reason = "is empty (0 bytes)"
        elif path.suffix.lower() in dicom.SUFFIXES:
            reason = "is no DICOM file: DICM has to follow its first 128 bytes"
        elif contents[4:11] in (b"ftyphei", b"ftypmif") and "HEIF" not in _FORMATS:
            reason = "is a HEIC picture: pip install pillow-heif, or save it as JPEG"
        raise ImageError(f"{shown(path)} {reason}") from None
    except _DECODE_ERRORS as error:
        raise _damaged(path, error) from None
    return np.asarray(flat).reshape(flat.height, flat.width, channels)


def moments(path: Path) -> Iterator[tuple[np.ndarray, float, int]]:
    """Yields (u8[H, W, 3], seconds that it is shown, how many there are) of an animation's frames.

    They are as `images.read` has pictures. A file that does not move has one, of 0 seconds.

    Raises:
      ImageError: as `decode`.
    """
    try:
        with _opened(path) as image:
            _check_size(path, *image.size)
            count = image.n_frames if image.format in _ANIMATED else 1
            for i in range(count):
                image.seek(i)
                picture = np.asarray(colour.plain(image).convert("RGB"))
                yield picture, image.info.get("duration", 0) / 1000, count
    except Image.DecompressionBombError as error:
        raise ImageError(f"{shown(path)} is too large: {error}") from None
    except _DECODE_ERRORS as error:
        raise _damaged(path, error) from None


def _of_dicom(contents: bytes, path: Path, window: Window | None) -> Image.Image:
    try:
        found = dicom.opened(contents)
        _check_size(path, int(found.Columns), int(found.Rows))
        return Image.fromarray(dicom.shades(found, window))
    except (ImageError, dicom.DicomError):
        raise
    except Exception as error:  # pydicom has kinds of its own for damaged bytes
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ImageError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ImageError(f"{shown(path)} cannot be decoded, it may be cut off: {reason}")


def _check_size(path: Path, width: int, height: int) -> None:
    if 0 in (width, height):
        raise ImageError(f"{shown(path)} has no pixels: {width} x {height}")
    if excess := too_many(width, height):
        raise ImageError(f"{shown(path)} has {excess}: make it smaller")


def too_many(width: int, height: int) -> str:
    """ "9 pixels, more than the limit of 8", or nothing where there are not too many."""
    pixels, limit = width * height, Image.MAX_IMAGE_PIXELS
    return f"{pixels} pixels, more than the limit of {limit}" if pixels > limit else ""


def largest_value(path: str | os.PathLike) -> int | None:
    """The largest value in a picture of 16 bits; None for one of 8 bits, or that is unreadable."""
    try:
        with _opened(path) as image:
            return colour.largest_value(image)
    except (Image.DecompressionBombError, *_DECODE_ERRORS):
        return None


def is_picture(path: str | os.PathLike) -> bool:
    """Whether a file's header is that of a picture that `decode` would try to decode."""
    if is_dicom(path):
        return dicom.installed()
    try:
        with _opened(path):
            return True
    except Image.DecompressionBombError:
        return True  # one that is too large, which `decode` says
    except _DECODE_ERRORS:
        return False


def is_dicom(path: str | os.PathLike) -> bool:
    """Whether a file's header is that of DICOM, which needs a package to be read."""
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb") as file:
                return dicom.is_dicom(file.read(dicom.START))
    except OSError:  # it may not be read, or is a broken link
        pass
    return False


def _opened(path: str | os.PathLike) -> Image.Image:
    """The picture in a file of Pillow's formats, of which only the header is read."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe waits until somebody writes
        raise OSError(f"{shown(path)} is no file")
    return Image.open(path, formats=_FORMATS)
