"""The image sizes of networks that start from 4 x 4 pixels and double them."""

from genjax.errors import UserError


def check_square(network: str, shape: tuple[int, int, int]) -> tuple[int, int]:
    """(size, channels) of square images of shape (H, W, C).

    Raises:
      UserError: they are not squares of 8, 16, 32, 64 … px. The message names `network`.
    """
    height, width, channels = shape
    if height != width or height < 8 or height & (height - 1):
        raise UserError(
            f"{network} makes squares of 8, 16, 32, 64 … px, not {width}x{height}: set data.size"
        )
    return height, channels
