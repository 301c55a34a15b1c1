"""Which styles a content is painted in: all of them as one, or each in a picture of its own."""

from collections.abc import Sequence

import jax
import numpy as np

from genjax import images
from genjax.config import choose
from genjax.errors import UserError

PAIRS = ("blend", "each")


def numbers(config, contents: int, styles: int) -> np.ndarray | None:
    """i32[contents * styles], which style each picture has; None where all have all of them.

    Pictures are in the order of their contents, and of one content in that of the styles.

    Raises:
      UserError: `pairs` is unknown, or weights are given to styles that are not mixed.
    """
    choose("pairs", config.pairs, dict.fromkeys(PAIRS))
    if config.pairs == "blend":
        return None
    if len(config.style_weights):
        raise UserError(
            "style_weights mix styles, and pairs='each' paints each by itself: leave them, or use"
            " --config.pairs=blend"
        )
    if config.content_fit == "own":
        raise UserError(
            "pairs='each' is a batch of contents of one shape, and content_fit='own' paints one"
            " after the other: use --config.content_fit=crop"
        )
    return np.tile(np.arange(styles, dtype=np.int32), contents)


def stacked(targets: Sequence):
    """Equal trees of arrays as one, with a leading axis for the styles.

    Of arrays whose first axes differ, as sets of features do, the last row of the shorter ones is
    repeated: no feature has a nearer neighbour for it (`genjax.style.neighbours`).
    """

    def stack(*arrays):
        longest = max(len(x) for x in arrays)
        return np.stack(
            [
                np.pad(x, ((0, longest - len(x)), *[(0, 0)] * (x.ndim - 1)), mode="edge")
                for x in map(np.asarray, arrays)
            ]
        )

    return jax.tree.map(stack, *targets)


def chosen(targets, number):
    """The tree of one style, of those that `stacked` has; the tree itself with `number` None."""
    return targets if number is None else jax.tree.map(lambda x: x[number], targets)


def outputs(
    results: np.ndarray, contents: Sequence[np.ndarray], styles: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """{`result.png`: all pictures on a sheet; `result_2_1.png`: the second content in style 1, …}.

    The sheet has a row for each content and a column for each style, with the contents as they were
    in its first column, and the styles in its first row.

    Args:
      results: u8[contents * styles, H, W, 3].
      contents: u8[H, W, 3] each.
      styles: u8[h, w, 3] each, of any shapes.
    """
    shape = results.shape[1:]
    rows = results.reshape(len(contents), len(styles), *shape)
    white = np.full(shape, 255, np.uint8)
    sheet = np.stack(
        [
            np.stack([white, *(_inside(style, white) for style in styles)]),
            *(np.stack([content, *row]) for content, row in zip(contents, rows, strict=True)),
        ]
    )
    single = {
        f"result_{c}_{s}.png": picture
        for c, row in enumerate(rows, 1)
        for s, picture in enumerate(row, 1)
    }
    return {"result.png": images.grid(sheet)} | single


def _inside(picture: np.ndarray, sheet: np.ndarray) -> np.ndarray:
    """`sheet` u8[H, W, 3] with a picture u8[h, w, 3] in its middle, as large as it can be there."""
    (height, width), (h, w) = sheet.shape[:2], picture.shape[:2]
    scale = min(height / h, width / w)
    h, w = max(1, round(h * scale)), max(1, round(w * scale))
    top, left = (height - h) // 2, (width - w) // 2
    sheet = sheet.copy()
    sheet[top : top + h, left : left + w] = images.resize(picture, h, w)
    return sheet
