"""Windows: which grey values of a picture become black and white, of the many that a scan has.

As radiology writes it, a window of level L and width W shows the values from L - W/2, black, to
L + W/2, white. Values between are scaled in proportion, those outside are cut.
"""

import math
from typing import NamedTuple

import numpy as np

from genjax.errors import UserError

# What a message says of a picture that no window is for.
NO_GREY_OF_MANY_VALUES = (
    "has colours or 8 bits, and data.window is for grey values of more: leave data.window out, or"
    " move it elsewhere"
)


class Window(NamedTuple):
    """What `data.window` names.

    Attributes:
      black, white: values, or percentiles of the values of each picture.
      percentiles: which of both.
    """

    black: float
    white: float
    percentiles: bool

    def shades(self, values: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
        """Values of any type, [...], as u8[...].

        Args:
          counted: bool[...], which of them percentiles are of; None for all. (Linear interpolation
            between the two nearest values, NumPy's definition.)

        Raises:
          ValueError: a value is infinite or not a number.
        """
        black, white = self.black, self.white
        if self.percentiles:
            of = values if counted is None or not counted.any() else values[counted]
            black, white = np.percentile(of, [black, white])
        return shades(values, float(black), float(white))


def parse(text: str) -> Window | None:
    """The window that a text describes; None for "", the values as they are stored.

    Args:
      text: `LEVEL,WIDTH`, such as "40,400", or percentiles `pLOW,pHIGH`, such as "p1,p99".

    Raises:
      UserError: it has another form, or names no window.
    """
    if not text.strip():
        return None
    parts = [part.strip().lower() for part in text.split(",")]
    percentiles = all(part.startswith("p") for part in parts)
    try:
        one, other = (float(part.removeprefix("p") if percentiles else part) for part in parts)
    except ValueError:
        raise UserError(
            f"data.window={text!r} has to be LEVEL,WIDTH, such as 40,400, or percentiles, such as"
            " p1,p99"
        ) from None
    if percentiles:
        if not 0 <= one < other <= 100:
            raise UserError(f"data.window={text!r}: percentiles rise, from p0 to p100 at most")
        return Window(one, other, True)
    if not (math.isfinite(one) and math.isfinite(other) and other > 0):
        raise UserError(f"data.window={text!r}: a level is finite, and a width more than 0")
    return Window(one - other / 2, one + other / 2, False)


def shades(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """u8[...] of values [...]: 0 up to `black`, 255 from `white` on, in proportion between.

    Where `black` is `white`, only what is larger is white.

    Raises:
      ValueError: a value is infinite or not a number.
    """
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has values that are no finite numbers")
    if white <= black:
        return (values > black).astype(np.uint8) * np.uint8(255)
    share = (values - black) * (1 / (white - black))
    return np.rint(255 * share.clip(0, 1)).astype(np.uint8)
