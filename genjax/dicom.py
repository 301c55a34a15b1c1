"""Reads the picture of a DICOM file (radiology's format), as its display is defined.

DICOM PS3.3, C.7.6.3 and C.11: stored values become those of the modality, such as Hounsfield units,
by a slope and an intercept or a table; a window or another table makes grey levels of these; in
MONOCHROME1 the smallest value is white. Needs the package pydicom, the extra [dicom].
"""

import functools
import importlib.util
import io
import logging
import warnings

import numpy as np

from genjax import windows
from genjax.windows import Window

SUFFIXES = frozenset((".dcm", ".dicom"))
NEEDS = "pip install pydicom"  # what reads these files

# A file begins with 128 bytes of any content, and these.
_MARK_AT, _MARK = 128, b"DICM"
START = _MARK_AT + len(_MARK)

# Says that the data set is to be inflated as a whole, to any size. Hardly a picture is sent so.
_DEFLATED = b"1.2.840.10008.1.2.1.99"

_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_DECODERS = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"


class DicomError(Exception):
    """The file holds no picture that can be used; the message goes on after the file's name."""


def is_dicom(start: bytes) -> bool:
    """Whether a file's first `START` bytes are those of a DICOM file."""
    return start[_MARK_AT:START] == _MARK


@functools.cache
def installed() -> bool:
    """Whether pydicom is there."""
    if not importlib.util.find_spec("pydicom"):
        return False
    # Of values that break the standard, and can be read all the same.
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"pydicom\.")
    return True


def opened(contents: bytes):
    """The pydicom data set of a file that holds one picture, not decoded yet.

    Raises:
      DicomError: it holds none, or several, or pydicom is missing.
      Exception: of any kind, if it is damaged.
    """
    if not installed():
        raise DicomError(f"is a DICOM file: {NEEDS}, or save it as PNG")
    import pydicom

    if _DEFLATED in contents:
        raise DicomError("is a deflated DICOM file: save it uncompressed")
    found = pydicom.dcmread(io.BytesIO(contents))
    if not any(key in found for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        modality = found.get("Modality", "unknown")
        raise DicomError(f"is a DICOM file without a picture (modality {modality})")
    frames = int(found.get("NumberOfFrames") or 1)
    if frames != 1 or "SharedFunctionalGroupsSequence" in found:
        raise DicomError(
            f"is a DICOM file of several frames ({frames}): save each as a file of its own"
        )
    return found


def shades(found, window: Window | None) -> np.ndarray:
    """The picture of an opened file: u8[H, W] of grey values, u8[H, W, 3] of colours.

    Args:
      found: of `opened`.
      window: of the modality's values; None for the file's own. Of several windows of its own the
        first counts, by its function (PS3.3 C.11.2.1), and a table only where there is no window.
        Without either, values of at most 8 bits are shown in full; of more nobody knows which.
        Pixels of padding are black and in no percentile.

    Raises:
      DicomError: it has no window and needs one, is of an unknown kind, or is compressed in a way
        that needs another package.
    """
    from pydicom.pixels import apply_modality_lut, pixel_array

    _check_decoder(found.file_meta.TransferSyntaxUID)
    kind = found.PhotometricInterpretation
    stored = pixel_array(found)
    if kind in _COLOURS:
        if window:
            raise DicomError(windows.NO_GREY_OF_MANY_VALUES)
        if stored.dtype != np.uint8:
            raise DicomError(f"has colours of {stored.dtype}: save it as 8 bit")
        return stored
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise DicomError(f"is of the kind {kind}, which is not read: save it as PNG")
    stored = _used_bits(stored, found)
    values = apply_modality_lut(stored, found)
    padding = _padding(stored, found)
    levels = window.shades(values, ~padding) if window else _own(values, stored, found)
    if kind == "MONOCHROME1":
        levels = 255 - levels
    levels[padding] = 0
    return levels


def _check_decoder(syntax) -> None:
    from pydicom.pixels import get_decoder

    try:
        if get_decoder(syntax).is_available:
            return
    except NotImplementedError:
        raise DicomError(
            f"is compressed as {syntax.name}, which is not read: save it as PNG"
        ) from None
    raise DicomError(f"is compressed as {syntax.name}: {_DECODERS}")


def _used_bits(stored: np.ndarray, found) -> np.ndarray:
    """Values without what lies above their `BitsStored`, such as overlays; with their sign."""
    if stored.dtype.kind not in "iu":
        return stored
    unused = stored.dtype.itemsize * 8 - int(found.BitsStored)
    return (stored << unused) >> unused if unused > 0 else stored


def _padding(stored: np.ndarray, found) -> np.ndarray:
    """bool[H, W]: where there is no picture (PS3.3 C.7.5.1.1.2)."""
    value = found.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = found.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    return (stored >= low) & (stored <= high)


def _own(values: np.ndarray, stored: np.ndarray, found) -> np.ndarray:
    """u8[H, W] by the file's own window or table."""
    from pydicom.pixels import apply_modality_lut, apply_voi

    level, width = _first(found.get("WindowCenter")), _first(found.get("WindowWidth"))
    if level is not None and width is not None:
        function = found.get("VOILUTFunction") or "LINEAR"
        return _windowed(values, level, width, function)
    if found.get("VOILUTSequence"):
        bits = int(found.VOILUTSequence[0].LUTDescriptor[2])
        table = apply_voi(np.rint(values).astype(np.int64), found)
        return windows.shades(table, 0, 2**bits - 1)
    if stored.dtype.kind not in "iu" or int(found.BitsStored) > 8:
        raise DicomError(
            "has no window of its own: choose one, such as data.window=p1,p99, or save it as 8 bit"
        )
    least = -(2 ** (int(found.BitsStored) - 1)) if int(found.PixelRepresentation) else 0
    ends = apply_modality_lut(np.array([least, least + 2 ** int(found.BitsStored) - 1]), found)
    return windows.shades(values, float(ends.min()), float(ends.max()))


def _windowed(values: np.ndarray, level: float, width: float, function: str) -> np.ndarray:
    """u8[H, W]: PS3.3 C.11.2.1.2 (LINEAR), C.11.2.1.3.2 (LINEAR_EXACT), C.11.2.1.3.1 (SIGMOID).

    LINEAR counts a window's values, of which the first is black and the last is white, so that it
    is half a value off and one narrower than LINEAR_EXACT.
    """
    if function == "SIGMOID" and width > 0:
        share = 1 / (1 + np.exp(np.clip(-4 * (values - level) / width, -700, 700)))
        return windows.shades(share, 0, 1)
    if function == "LINEAR" and width >= 1:
        level, width = level - 0.5, width - 1
    elif function != "LINEAR_EXACT" or width <= 0:
        raise DicomError(f"has a window that means nothing: {function} of width {width:g}")
    return windows.shades(values, level - width / 2, level + width / 2)


def _first(value) -> float | None:
    """The first of several values, or the only one; None for none."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except TypeError:  # several
        return float(value[0]) if len(value) else None
