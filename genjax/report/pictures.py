"""The pictures of report.html: none twice, and compressed to keep the page small."""

import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from PIL import Image, UnidentifiedImageError

from genjax.files import natural_order
from genjax.images import grid
from genjax.report.report import find_pictures

MAX_HISTORY = 12  # pictures in a strip, which shows how the samples of one name developed
LARGE_BYTES = 2_000_000  # all large pictures together, before base64
HISTORY_BYTES = 800_000  # all strips together, before base64
LARGE_SIDE = 1600  # pixels
HISTORY_SIDE = 320


class Picture(NamedTuple):
    caption: str
    uri: str  # "" where the file cannot be read
    width: int  # in CSS pixels, unless the window is narrower
    pixelated: bool  # whether it is enlarged, and then without smoothing


def spread(items: Sequence[Any], limit: int) -> list[Any]:
    """At most `limit` of the items, evenly spaced, with the first and the last."""
    if len(items) <= limit:
        return list(items)
    return [items[round(i * (len(items) - 1) / (limit - 1))] for i in range(limit)]


def pictures(
    workdir: epath.Path,
) -> tuple[list[Picture], list[Picture], dict[str, list[Picture]]]:
    """(results, newest samples, {name: history of samples}), read from the run's folder.

    A picture that repeats another result or newest sample is left out (`_without_repeats`).
    """
    files = sorted(workdir.glob("result*.png"), key=natural_order)
    results = {path.name: _read(path) for path in files}
    by_name: dict[str, list[tuple[int, epath.Path]]] = {}
    for name, step, path in find_pictures(workdir):
        by_name.setdefault(name, []).append((step, path))
    newest = {}
    for name, found in by_name.items():
        step, path = found[-1]
        newest[f"{name or 'samples'} at step {step:,}"] = _read(path)
    shown = _without_repeats(results, newest)
    strips = {name: spread(found, MAX_HISTORY) for name, found in by_name.items() if len(found) > 1}
    large = LARGE_BYTES // max(1, len(shown))
    small = HISTORY_BYTES // max(1, sum(map(len, strips.values())))
    encoded = {x: _picture(image, x, LARGE_SIDE, large) for x, image in shown.items()}
    history = {
        name or "samples": [
            _picture(_read(path), f"{step:,}", HISTORY_SIDE, small) for step, path in found
        ]
        for name, found in strips.items()
    }
    return (
        [picture for x, picture in encoded.items() if x in results],
        [picture for x, picture in encoded.items() if x in newest],
        history,
    )


def _read(path: epath.Path) -> Image.Image | None:
    """The picture in a file; None where it cannot be read."""
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as file:
            return file.convert("RGBA" if "A" in file.getbands() else "RGB")
    except (UnidentifiedImageError, OSError):
        # A picture cut short by a crash must not break the page, which says that it is unreadable.
        return None


def _without_repeats(
    results: dict[str, Image.Image | None], newest: dict[str, Image.Image | None]
) -> dict[str, Image.Image | None]:
    """Results and newest samples, without pictures whose content another one shows.

    Left out are pictures equal to an earlier one, pixel for pixel, and a grid of all other results.
    A file that could not be read (None) is always kept.
    """
    pixels = {name: np.asarray(image) for name, image in (results | newest).items() if image}
    again, seen = set(), []
    for name, own in pixels.items():
        others = [pixels[other] for other in results if other in pixels.keys() - {name}]
        if any(np.array_equal(own, earlier) for earlier in seen) or _is_grid(own, others):
            again.add(name)
        seen.append(own)
    return {name: image for name, image in (results | newest).items() if name not in again}


def _is_grid(sheet: np.ndarray, parts: Sequence[np.ndarray]) -> bool:
    several = len(parts) > 1 and len({part.shape for part in parts}) == 1
    # A cheap check first, because laying out the grid takes long.
    fits = sheet.size > sum(part.size for part in parts)
    return several and fits and np.array_equal(sheet, grid(np.stack(parts)))


def _picture(image: Image.Image | None, caption: str, side: int, budget: int) -> Picture:
    """The picture as a data URI of at most about `budget` bytes before base64."""
    if image is None:
        return Picture(f"{caption}: the file cannot be read", "", 0, False)
    kind, data = _encode(image, side, budget)
    # Small pictures are enlarged by a whole factor, without smoothing.
    factor = max(1, 640 // image.width)
    encoded = base64.b64encode(data).decode("ascii")
    return Picture(caption, f"data:image/{kind};base64,{encoded}", image.width * factor, factor > 1)


def _encode(image: Image.Image, side: int, budget: int) -> tuple[str, bytes]:
    """(format, bytes): PNG if it fits into `budget`, else the largest JPEG that does."""
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = _saved(image, "png")
    if len(data) <= budget:
        return "png", data
    image = image.convert("RGB")
    while len(data := _saved(image, "jpeg")) > budget and max(image.size) > 64:
        image.thumbnail((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS)
    return "jpeg", data


def _saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    # PNG's best compression would take four times as long and save 3 % of a grid of digits.
    options = {"quality": 88} if kind == "jpeg" else {}
    image.save(buffer, kind, **options)
    return buffer.getvalue()
