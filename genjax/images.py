"""Reads, writes and converts pictures; only this file converts between uint8 and float images.

Files, data sets and everything shown to a person are uint8; models see float32 in [-1, 1] or
[0, 1].
"""

import difflib
import importlib.util
import io
import os
import stat
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from PIL import Image

from genjax.decoding import ImageError, decode, too_many
from genjax.errors import UserError, advice
from genjax.files import shown, write_atomically
from genjax.windows import Window

# Photographs in the packages scikit-image and scikit-learn: {name: (package, folder, file)}.
_SKIMAGE = ("skimage", "data")
_SKLEARN = ("sklearn", "datasets/images")
BUILTIN = {
    "astronaut": (*_SKIMAGE, "astronaut.png"),
    "brick": (*_SKIMAGE, "brick.png"),
    "camera": (*_SKIMAGE, "camera.png"),
    "cat": (*_SKIMAGE, "chelsea.png"),
    "chelsea": (*_SKIMAGE, "chelsea.png"),
    "china": (*_SKLEARN, "china.jpg"),
    "coffee": (*_SKIMAGE, "coffee.png"),
    "coins": (*_SKIMAGE, "coins.png"),
    "colorwheel": (*_SKIMAGE, "color.png"),
    "flower": (*_SKLEARN, "flower.jpg"),
    "grass": (*_SKIMAGE, "grass.png"),
    "gravel": (*_SKIMAGE, "gravel.png"),
    "hubble_deep_field": (*_SKIMAGE, "hubble_deep_field.jpg"),
    "immunohistochemistry": (*_SKIMAGE, "ihc.png"),
    "moon": (*_SKIMAGE, "moon.png"),
    "motorcycle": (*_SKIMAGE, "motorcycle_left.png"),
    "retina": (*_SKIMAGE, "retina.jpg"),
    "rocket": (*_SKIMAGE, "rocket.jpg"),
}

# Limit of a file's size. Even a picture with as many pixels as `read` accepts, uncompressed and
# with 16 bits a channel, is smaller.
_MAX_BYTES = 2**30


def read(
    path: str | os.PathLike,
    channels: int = 3,
    white: int | None = None,
    window: Window | None = None,
) -> np.ndarray:
    """Reads a picture as u8[H, W, channels].

    The EXIF orientation is applied, colours are brought from an embedded ICC profile to sRGB,
    transparency is laid over white, 16-bit values are scaled to 8 bits, float values are taken to
    lie in [0, 1], and the first frame of an animation is used.

    Args:
      path: a file in one of the formats of `genjax.decoding`, whatever its suffix.
      channels: 3 for RGB, 1 for luminance (ITU-R 601).
      white: the value of 16-bit pictures that becomes 255; None for 65535.
      window: which values become black and white, of grey pictures of more than 8 bits a value and
        of DICOM files; None for all, or for a DICOM file's own window (`genjax.dicom`).

    Raises:
      ImageError: the file is no picture, is cut off or damaged, has no pixels or too many, or is
        no file at all but a device or a pipe, or none that the window is for.
      UserError: there is no such file, or it may not be read.
    """
    path = Path(path)
    return decode(_contents(path), path, channels, white, window)


def _contents(path: Path) -> bytes:
    """Reads a file in full, so that errors of the disk are told apart from those of the picture."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UserError(f"{shown(path)} is a directory where an image file is needed")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe waits until somebody writes
            raise ImageError(f"{shown(path)} is no file but a device or a pipe: use a copy of it")
        if status.st_size > _MAX_BYTES:
            raise ImageError(f"{shown(path)} has {status.st_size} bytes, over {_MAX_BYTES}")
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no such image: {shown(path)}{nearest_files(path)}") from None
    except NotADirectoryError:
        parent = shown(path.parent)
        raise UserError(f"no such image: {shown(path)} ({parent} is not a directory)") from None
    except PermissionError:
        raise UserError(f"{shown(path)} may not be read: change its permissions") from None
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a name with a zero byte, or one that the system cannot encode
        raise UserError(f"{shown(path)} is no name of a file: {error}") from None


def _unsqueeze(image: np.ndarray) -> np.ndarray:
    return image[:, :, None] if image.ndim == 2 else image


def nearest_files(path: Path) -> str:
    """ "; did you mean x.png?" for names near a missing file's, or nothing."""
    if not os.path.isdir(path.parent):
        return f" (there is no directory {shown(path.parent)})"
    near = difflib.get_close_matches(path.name, _listing(path.parent))
    return f"; did you mean {' or '.join(map(shown, near))}?" if near else ""


def _listing(folder: str | os.PathLike) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it may not be listed: then there is no hint
        return []


def load(name_or_path: str | os.PathLike, channels: int = 3) -> np.ndarray:
    """Reads the built-in photograph of that name (see BUILTIN), or the file at that path.

    Returns:
      u8[H, W, channels].

    Raises:
      UserError: neither exists; everything that `read` raises.
    """
    name = os.fspath(name_or_path)
    if name in BUILTIN:
        package, folder, file = BUILTIN[name]
        # The package is found without importing it: scikit-learn alone would take a second.
        root = Path(importlib.util.find_spec(package).origin).parent
        return read(root / folder / file, channels)
    if not os.path.exists(name) and os.path.basename(name) == name:
        near = difflib.get_close_matches(name, [*BUILTIN, *_listing(".")], n=1)
        hint = f"; did you mean {shown(near[0])}?" if near else ""
        raise UserError(
            f"no image {shown(name)}: no such file, built in are {', '.join(BUILTIN)}{hint}"
        )
    return read(name, channels)


_FILTERS = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}


def resize(image: np.ndarray, height: int, width: int, by: str = "lanczos") -> np.ndarray:
    """Resizes u8[H, W, C], C in {1, 3}, to u8[height, width, C].

    Args:
      by: "lanczos", antialiased, for pictures; "box", means of areas, for what must have no values
        beside an edge that are on neither side of it.

    Raises:
      UserError: that is more pixels than `read` accepts.
    """
    if image.shape[:2] == (height, width):
        return image
    if excess := too_many(width, height):
        raise UserError(f"a picture of {width} x {height} px has {excess}: choose a smaller size")
    resized = _to_pillow(image).resize((width, height), _FILTERS[by])
    return _unsqueeze(np.asarray(resized))


def fit(image: np.ndarray, size: int) -> np.ndarray:
    """Resizes u8[H, W, C] so that its longer side is `size` pixels, keeping the aspect.

    Returns:
      u8[h, w, C] with max(h, w) == size and both sides at least 1.
    """
    _check_size(size)
    height, width = image.shape[:2]
    scale = size / max(height, width)
    return resize(image, max(1, round(height * scale)), max(1, round(width * scale)))


def crop_square(image: np.ndarray, size: int) -> np.ndarray:
    """Cuts the central square out of u8[H, W, C] and resizes it to u8[size, size, C]."""
    _check_size(size)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(image[top : top + side, left : left + side], size, size)


def to_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Converts u8[H, W, C] to u8[H, W, channels], both 1 or 3: luminance, or grey three times."""
    if image.shape[2] == channels:
        return image
    if channels == 3 and image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return _unsqueeze(np.asarray(_to_pillow(image).convert("L" if channels == 1 else "RGB")))


def _check_size(size: int) -> None:
    if size < 1:
        raise UserError(f"image size {size} is not possible: it must be at least 1 pixel")
    if size > Image.MAX_IMAGE_PIXELS:  # and maybe more than a float can hold
        raise UserError(f"image size {size} is not possible: choose a smaller one")


def _to_pillow(image: np.ndarray) -> Image.Image:
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(image))


def to_float(image: jax.Array, low: int) -> jax.Array:
    """Scales u8[...] in [0, 255] to f32[...] in [low, 1], `low` being -1 or 0. Traceable."""
    _check_low(low)
    # In this order 0 and 255 become exactly `low` and 1, with and without fused multiply-add.
    return (image.astype(jnp.float32) + low * 127.5) * ((1 - low) / 255)


def to_uint8(image: jax.Array, low: int) -> jax.Array:
    """Scales float[...] in [low, 1] to the nearest u8[...]; what lies outside is clipped.

    The inverse of `to_float`. Traceable. NaN has no defined result.
    """
    _check_low(low)
    scaled = (image.astype(jnp.float32) - low) * (255 / (1 - low))
    return jnp.clip(jnp.round(scaled), 0, 255).astype(jnp.uint8)


def dequantize(image: jax.Array, noise: jax.Array) -> jax.Array:
    """u8[...] and noise f32[...] in [0, 1) to f32[...] in [-1, 1]: (u + noise) / 128 - 1.

    Traceable. Each of the 256 levels becomes an interval of 1/128, and together they fill what tanh
    can reach. With noise beside `to_float`, white would lie beyond, and all be half a level bright.
    """
    return (image.astype(jnp.float32) + noise) / 128 - 1


def quantize(image: jax.Array) -> jax.Array:
    """float[...] in [-1, 1] to the u8[...] in whose interval it lies; the inverse of `dequantize`.

    What lies outside is clipped. Traceable. NaN has no defined result.
    """
    levels = jnp.floor((image.astype(jnp.float32) + 1) * 128)
    return jnp.clip(levels, 0, 255).astype(jnp.uint8)


def _check_low(low: int) -> None:
    if low not in (-1, 0):
        raise ValueError(f"images are scaled to [-1, 1] or [0, 1], not to [{low}, 1]")


def grid(pictures: np.ndarray, columns: int | None = None, pad: int = 2) -> np.ndarray:
    """Lays pictures out on a white sheet, row by row.

    Args:
      pictures: u8[N, H, W, C], or u8[rows, columns, H, W, C] to set the layout.
      columns: pictures in a row; None for the squarest grid, ceil(sqrt(N)).
      pad: pixels of white between the pictures and around them.

    Returns:
      u8[rows * (H + pad) + pad, columns * (W + pad) + pad, C]; one picture is returned as it is.
    """
    pictures = np.asarray(pictures)
    if pictures.ndim == 5:
        columns = pictures.shape[1]
        pictures = pictures.reshape(-1, *pictures.shape[2:])
    n, height, width, channels = pictures.shape
    if n == 1:
        return pictures[0]
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    shape = (rows * (height + pad) + pad, columns * (width + pad) + pad, channels)
    sheet = np.full(shape, 255, np.uint8)
    for i, picture in enumerate(pictures):
        top = pad + i // columns * (height + pad)
        left = pad + i % columns * (width + pad)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def write(path: str | os.PathLike, image: np.ndarray) -> bytes:
    """Writes u8[H, W, C] or u8[H, W], C in {1, 3}, in the format of the suffix (none: PNG).

    Missing directories are made. The file appears at once and complete, or not at all. Returns its
    bytes.

    Raises:
      UserError: the suffix names no known format, or the place cannot be written to.
    """
    path = epath.Path(path)
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise TypeError(f"pictures are written from uint8, not {image.dtype}")
    kind = Image.registered_extensions().get(path.suffix.lower()) if path.suffix else "PNG"
    if kind not in Image.SAVE:
        raise UserError(f"cannot write {path}: {path.suffix} is no image format; use .png")
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    _to_pillow(image).save(encoded := io.BytesIO(), format=kind, **options)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, encoded.getvalue())
    except OSError as error:
        hint = advice(error) or "choose another place"
        raise UserError(f"cannot write {path}: {error.strerror or error}; {hint}") from error
    return encoded.getvalue()
