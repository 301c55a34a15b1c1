"""Brings a decoded picture to what networks are given: sRGB of 8 bits, without transparency."""

import functools
import io

import numpy as np
from PIL import Image, ImageCms, ImageOps

from genjax.windows import Window

# The colour space that an ICC profile's header has to name, for a picture of each mode.
_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}

# A profile that moves no colour by more than this is sRGB, and is left alone: the same bits.
_SAME = 1

# As Photoshop does by default. NOCACHE: threads share a transform.
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE

WHITE = 65535  # of 16 bits


def plain(
    image: Image.Image, white: int | None = None, window: Window | None = None
) -> Image.Image:
    """An upright, opaque picture of 8 bits a channel, in sRGB.

    An embedded ICC profile counts (Display P3, Adobe RGB, ProPhoto, CMYK, grey, ...), unless it is
    broken or that of another kind of picture. PNG's gAMA, cHRM and cICP, and the colour numbers of
    AVIF, do not: programs often write the first two wrongly, and Pillow does not show the others.

    Args:
      image: of any mode; not decoded yet, because only then does it tell how deep its colours are.
      white: the value of 16 bits that becomes 255; None for 65535.
      window: which values become 0 and 255, instead, of a picture that `is_wide`.

    Raises:
      ValueError: its values lie outside of what can be shown.
    """
    profile = image.info.get("icc_profile")
    deep = _was_deep(image)  # asked before it is decoded
    image = ImageOps.exif_transpose(image)
    if window:
        image = Image.fromarray(window.shades(np.asarray(image)))
    else:
        image = _eight_bits(image, deep, white or WHITE)
    if profile:
        image = _to_srgb(image, profile)
    return _over_white(image)


def largest_value(image: Image.Image) -> int | None:
    """The largest value of a picture of 16 bits; None for one of 8 bits, which is not decoded.

    Of 16-bit colours Pillow keeps 8 bits, so that there it is a multiple of 256, less 1.
    """
    if image.mode == "F" or not (is_wide(image) or _was_deep(image)):
        return None
    wide, largest = is_wide(image), int(np.asarray(image).max())
    return largest if wide else largest * 256 + 255


def _was_deep(image: Image.Image) -> bool:
    """Whether a colour picture that is not decoded yet has 16 bits a channel in its file."""
    return any(";16" in str(tile.args) for tile in getattr(image, "tile", ()))


def is_wide(image: Image.Image) -> bool:
    """Whether Pillow keeps more than 8 bits of a picture: of grey ones alone."""
    return image.mode in ("F", "I") or image.mode.startswith("I;16")


def _eight_bits(image: Image.Image, deep: bool, white: int) -> Image.Image:
    """Scales values so that `white` (of 16 bits) becomes 255; `convert` would clip them."""
    if not is_wide(image):
        if white == WHITE or not deep:
            return image
        if white < 256:
            raise ValueError("its colours use 8 of 16 bits, the lower ones; save it as 8 bit")
        scaled = [min(255, round(255 * i / (white >> 8))) for i in range(256)]
        return image.point(scaled * len(image.getbands()))
    values = np.asarray(image)
    low, high = values.min(), values.max()
    # Mode I has pictures of 16-bit files too. For true 32-bit integers nobody knows what is white.
    limit = 1.0 if image.mode == "F" else float(white)
    if not (low >= 0 and high <= limit):  # also true of NaN
        raise ValueError(
            f"its values lie in [{low}, {high}] where [0, {limit:g}] is needed; save it as 8 bit"
        )
    return Image.fromarray(np.rint(values * (255.0 / limit)).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    alpha = None
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        image = image.convert("L" if image.mode in ("L", "LA", "La") else "RGB")
    elif image.mode == "P":
        image = image.convert("RGB")
    fits = profile[16:20] == _SPACES.get(image.mode)
    if fits and (transform := _transform(profile, image.mode)):
        image = transform.apply(image)
    if alpha:
        image = image.convert("RGB")
        image.putalpha(alpha)
    return image


@functools.lru_cache(maxsize=16)  # pictures of one set mostly share a profile
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None where that changes nothing, or the profile is broken."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    bands = Image.getmodebands(mode)
    colours = np.stack(np.meshgrid(*[levels] * bands), axis=-1).reshape(-1, 1, bands)
    probe = Image.fromarray(colours[..., 0] if mode == "L" else colours, mode)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, srgb, mode, "RGB", _INTENT, _FLAGS)
        moved = transform.apply(probe)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    difference = np.asarray(moved, np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    return transform if abs(difference).max() > _SAME else None


def _over_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
