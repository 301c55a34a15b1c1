import jax.numpy as jnp
import numpy as np

from genjax.video.example import Example
from genjax.video.warp import warp


def test_its_flow_leads_from_frame_to_frame():
    """A frame warped by the true flow is the next one, but where the disc's edge is or was."""
    example = Example(length=6, side=96)
    frames = example.frames()
    assert frames.shape == (6, 64, 96, 3) and frames.dtype == np.uint8
    height, width = example.shape
    for i, j in ((1, 0), (3, 4), (5, 3)):
        flow = example.flow(i, j)
        warped, inside = warp(jnp.asarray(frames[j], jnp.float32), flow, (0.0, 0.0, 0.0))
        there = np.round(np.moveaxis(np.indices(example.shape)[::-1], 0, -1) + flow).astype(int)
        x, y = there[..., 0].clip(0, width - 1), there[..., 1].clip(0, height - 1)
        seen = np.asarray(inside) & (example.is_disc(i) == example.is_disc(j)[y, x])
        off = np.abs(np.asarray(warped) - frames[i])[seen].mean(axis=-1)
        assert np.median(off) < 2 and off.mean() < 4, (i, j, off.mean())
        still = np.abs(frames[j].astype(float) - frames[i])[seen].mean()
        assert still > 4 * off.mean()


def test_the_disc_moves_against_the_table():
    example = Example(side=96)
    flow, disc = example.flow(0, 1), example.is_disc(0)
    assert flow[disc].std(axis=0).max() < 1e-5  # as a whole
    assert flow[disc][0, 0] > 0 > flow[~disc][:, 0].mean()  # to the right; the camera goes there
