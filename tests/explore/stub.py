"""A VAE whose pictures say their latents: pixel j of the first row is latent j."""

import jax.numpy as jnp
import numpy as np
from PIL import Image

from genjax import images, runs
from genjax.latents import of_normals
from tests.tiny import tiny

MEANS = np.float32([0, 2, 1, 3])  # of every picture's posterior, of variance 1


def linear(points=None, **values) -> runs.Trained:
    """A run of digits with the latents of `MEANS`, each a pixel of brightness 1/2 + z/20.

    Args:
      points: of `Latents`, where they are not normal; then there is no posterior, and a picture's
        latents are `MEANS` times its mean brightness.
      values: of the config's `sample`.
    """
    run = runs.build(tiny("vae", **{f"sample.{key}": value for key, value in values.items()}))

    def generate(state, z, index):
        pixels = 0.5 + z[:, None, :, None] / 20
        return jnp.pad(pixels, ((0, 0), (0, 27), (0, 28 - z.shape[1]), (0, 0)))

    def encode(state, batch):
        brightness = images.to_float(batch["image"], low=0).mean((1, 2))
        said = jnp.ones_like(brightness) if points is None else brightness
        return said * MEANS[None]

    def posterior(state, batch, key):
        mean = encode(state, batch)
        return mean, jnp.zeros_like(mean)

    def pictures(x):
        return images.to_uint8(x, low=0)

    latents = of_normals(run.config, generate, pictures, 0, points=points, encode=encode)
    task = run.task._replace(
        latents=latents, sample=latents.sample, posterior=None if points else posterior
    )
    return runs.Trained(run._replace(task=task), (), 12)


def page(tool, trained: runs.Trained, folder) -> tuple[np.ndarray, str]:
    """(`cells` of what a module of `genjax.explore` writes to a folder, the line that it says)."""
    line = tool.write(trained, folder)
    return cells(np.asarray(Image.open(folder / tool.FILE))), line


def cells(sheet: np.ndarray, side: int = 28) -> np.ndarray:
    """u8[rows, columns, side, side] of a sheet of `images.grid`."""
    sheet = sheet[2:, 2:]
    rows, columns = (n // (side + 2) for n in sheet.shape)
    found = sheet.reshape(rows, side + 2, columns, side + 2).swapaxes(1, 2)
    return found[:, :, :side, :side]


def said(page: np.ndarray, latents: int = 4) -> np.ndarray:
    """f64[..., latents], those that pictures u8[..., 28, 28] of `linear` say, to 0.04."""
    return 20 * (page[..., 0, :latents] / 255 - 0.5)
