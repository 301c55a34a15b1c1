"""The images that networks of doublings from 4 x 4 pixels can make."""

from genjax.errors import UserError


def check_square(network: str, shape: tuple[int, int, int]) -> tuple[int, int]:
    """(size, channels) of square images (H, W, C) with a power of two as side, 8 px at least.

    Raises:
      UserError: they are not; `network` is what the message calls the one that cannot.
    """
    height, width, channels = shape
    if height != width or height < 8 or height & (height - 1):
        raise UserError(
            f"{network} makes squares of 8, 16, 32, 64 … px, not {width}x{height}: set data.size"
        )
    return height, channels
