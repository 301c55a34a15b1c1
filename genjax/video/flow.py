"""Optical flow: where each pixel of one picture is in another one."""

import numpy as np

from genjax import images


def flow(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """f32[H, W, 2], in px: how far each pixel of picture `a` has to go to be in picture `b`.

    With (u, v) = flow[y, x], a[y, x] is the same thing as b[y + v, x + u]; u is to the right, v
    down. So `warp(b, flow)` looks like `a` wherever that thing is seen in both.

    TV-L1, coarse to fine, of the pictures' luminance (Zach, Pock and Bischof 2007, DAGM, "A duality
    based approach for realtime TV-L1 optical flow"), as scikit-image has it. It keeps edges of
    moving things sharp.

    Args:
      a, b: u8[H, W, 3].
    """
    from skimage.registration import optical_flow_tvl1  # takes a second to import

    down, right = optical_flow_tvl1(*(images.to_channels(x, 1)[..., 0] for x in (a, b)))
    return np.stack([right, down], axis=-1).astype(np.float32)
