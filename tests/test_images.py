import contextlib
import os
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from genjax import images
from genjax.errors import UserError


def save(path, array, mode=None, **options):
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def gradient(height=8, width=12):
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def test_rgb_png_is_read_as_it_is(tmp_path):
    array = gradient()
    assert (images.read(save(tmp_path / "a.png", array)) == array).all()


def test_every_exif_orientation_is_applied(tmp_path):
    upright = gradient()
    undo = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }
    for orientation, stored in undo.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = save(tmp_path / f"{orientation}.png", stored, exif=exif)
        np.testing.assert_array_equal(images.read(path), upright, str(orientation))


def test_alpha_is_laid_over_white(tmp_path):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 3] = 0, 255, 51  # black: invisible, opaque, one fifth
    assert images.read(save(tmp_path / "a.png", rgba))[0, :, 0].tolist() == [255, 0, 204]
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([9, 9, 9, 7, 8, 9])
    palette.save(tmp_path / "p.png", transparency=0)
    assert images.read(tmp_path / "p.png").tolist() == [[[255] * 3, [7, 8, 9]]]
    grey = Image.fromarray(np.array([[[0, 0], [0, 255]]], np.uint8), "LA")
    grey.save(tmp_path / "la.png")
    assert images.read(tmp_path / "la.png", channels=1).ravel().tolist() == [255, 0]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, suffix):
    values = np.array([[0, 256, 257, 32896, 65535]], np.uint16)
    path = save(tmp_path / f"a.{suffix}", values)
    assert images.read(path, channels=1).ravel().tolist() == [0, 1, 1, 128, 255]
    assert images.read(path).shape == (1, 5, 3)


def test_modes_of_integers_and_floats(tmp_path):
    path = save(tmp_path / "i.tif", np.array([[0, 65535]], np.int32))
    assert images.read(path, 1).ravel().tolist() == [0, 255]
    path = save(tmp_path / "f.tif", np.array([[0, 0.5, 1]], np.float32))
    assert images.read(path, 1).ravel().tolist() == [0, 128, 255]
    for i, bad in enumerate(([[-1.0, 1]], [[0, 255.0]], [[np.nan, 0]])):
        path = save(tmp_path / f"{i}.tif", np.array(bad, np.float32))
        with pytest.raises(images.ImageError, match=r"values lie in .*\[0, 1\] is needed"):
            images.read(path)


def test_cmyk_bilevel_and_animation(tmp_path):
    white = np.full((8, 8, 3), 255, np.uint8)
    assert (images.read(save(tmp_path / "c.jpg", white, "CMYK")) == 255).all()
    assert images.read(save(tmp_path / "1.png", white, "1"), channels=1).max() == 255
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert images.read(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def test_luminance_keeps_grey_and_weighs_colours(tmp_path):
    levels = np.arange(256, dtype=np.uint8)[None]
    path = save(tmp_path / "g.png", np.stack([levels] * 3, -1))
    assert (images.read(path, channels=1)[:, :, 0] == levels).all()
    assert images.to_channels(np.array([[[255, 0, 0]]], np.uint8), 1).tolist() == [[[76]]]
    assert images.to_channels(np.array([[[5]]], np.uint8), 3).tolist() == [[[5, 5, 5]]]


def test_what_is_no_image_says_so(tmp_path):
    save(tmp_path / "photo.png", gradient())
    with pytest.raises(UserError, match=r"phto.png; did you mean photo.png\?"):
        images.read(tmp_path / "phto.png")
    with pytest.raises(UserError, match="there is no directory"):
        images.read(tmp_path / "nowhere" / "a.png")
    with pytest.raises(UserError, match="is a directory"):
        images.read(tmp_path)
    with pytest.raises(UserError, match="not a directory"):
        images.read(tmp_path / "photo.png" / "a.png")
    (tmp_path / "text.png").write_text("this is no picture")
    with pytest.raises(images.ImageError, match=r"not an image.*use PNG"):
        images.read(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(images.ImageError, match="empty"):
        images.read(tmp_path / "empty.png")


@pytest.mark.filterwarnings("ignore:::PIL")  # Pillow warns of some damage that it can live with
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
def test_damage_is_an_image_error_or_an_image(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    whole = save(tmp_path / f"a.{suffix}", noise).read_bytes()
    (tmp_path / f"half.{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(images.ImageError) as caught:
        images.read(tmp_path / f"half.{suffix}")
    assert "\n" not in str(caught.value)
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), images.ImageError)
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(0, min(len(whole), 400), 3):
            damaged[place] = random.integers(256)
        path = tmp_path / f"b.{suffix}"
        path.write_bytes(damaged)
        with contextlib.suppress(images.ImageError):
            assert images.read(path).dtype == np.uint8


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [90, 40])  # where Pillow warns, where it raises (twice 40)
def test_too_many_pixels(tmp_path, monkeypatch, limit):
    path = save(tmp_path / "a.png", gradient())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(images.ImageError, match=r"96 pixels.* limit of (80|90)"):
        images.read(path)


@pytest.mark.parametrize("name", images.BUILTIN)
def test_built_in_photographs(name):
    image = images.load(name)
    assert image.dtype == np.uint8 and image.shape[2] == 3 and image.std() > 10


def test_load_takes_paths_and_names_the_built_in_ones(tmp_path):
    path = save(tmp_path / "a.png", gradient())
    assert (images.load(str(path)) == gradient()).all()
    with pytest.raises(UserError, match=r"built in are astronaut.*did you mean astronaut\?"):
        images.load("astronout")
    with pytest.raises(UserError, match="no such image"):
        images.load(tmp_path / "b.png")


def test_fit_and_crop_square():
    assert images.fit(gradient(8, 12), 6).shape == (4, 6, 3)
    assert images.fit(gradient(12, 8), 24).shape == (24, 16, 3)
    assert images.fit(np.zeros((1, 1000, 1), np.uint8), 10).shape == (1, 10, 1)
    assert (images.crop_square(gradient(8, 12), 8) == gradient(8, 12)[:, 2:10]).all()
    assert images.crop_square(gradient(12, 8), 3).shape == (3, 3, 3)
    # Antialiased: a fine chessboard becomes its mean, not one of its colours.
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[:, :, None]
    assert abs(images.fit(board, 8).astype(int) - 127).max() <= 2
    with pytest.raises(UserError, match="at least 1 pixel"):
        images.fit(gradient(), 0)


@pytest.mark.parametrize("low", [-1, 0])
def test_conversion_is_inverse_clipped_and_rounded(low):
    every = jnp.arange(256, dtype=jnp.uint8)
    floats = jax.jit(images.to_float, static_argnums=1)(every, low)
    assert floats.dtype == jnp.float32
    assert float(floats[0]) == low and float(floats[-1]) == 1
    assert (jax.jit(images.to_uint8, static_argnums=1)(floats, low) == every).all()
    assert images.to_uint8(jnp.array([low - 9.0, 9.0]), low).tolist() == [0, 255]
    nearly = jnp.array([0.499, 0.501]) * (1 - low) / 255 + low
    assert images.to_uint8(nearly, low).tolist() == [0, 1]
    with pytest.raises(ValueError, match="scaled to"):
        images.to_float(every, -2)


def test_grid_places_each_picture():
    pictures = np.stack([np.full((2, 3, 1), i, np.uint8) for i in range(5)])
    sheet = images.grid(pictures, pad=1)
    assert sheet.shape == (2 * 3 + 1, 3 * 4 + 1, 1)
    for i in range(5):
        top, left = 1 + i // 3 * 3, 1 + i % 3 * 4
        assert (sheet[top : top + 2, left : left + 3] == i).all()
    assert (sheet != 255).sum() == 5 * 6  # all else is white
    assert images.grid(pictures, columns=5, pad=0).shape == (2, 15, 1)
    assert (images.grid(pictures[:1]) == pictures[0]).all()
    table = pictures[:4].reshape(2, 2, 2, 3, 1)
    assert (images.grid(table) == images.grid(pictures[:4], columns=2)).all()
    assert images.grid(np.zeros((1, 4, 2, 2, 3), np.uint8), pad=2).shape == (6, 18, 3)


def test_write(tmp_path):
    path = tmp_path / "new" / "a.png"
    images.write(path, gradient())
    assert (images.read(path) == gradient()).all()
    for grey in (gradient()[:, :, :1], gradient()[:, :, 0]):
        images.write(path, grey)
        assert Image.open(path).mode == "L"
        assert (images.read(path, 1)[:, :, 0] == gradient()[:, :, 0]).all()
    images.write(tmp_path / "plain", gradient())
    assert Image.open(tmp_path / "plain").format == "PNG"
    images.write(tmp_path / "a.JPG", gradient())
    assert Image.open(tmp_path / "a.JPG").format == "JPEG"
    assert os.listdir(path.parent) == ["a.png"]
    with pytest.raises(UserError, match=r"\.xyz is no image format"):
        images.write(tmp_path / "a.xyz", gradient())
    with pytest.raises(UserError, match="cannot write"):
        images.write(tmp_path / "plain" / "a.png", gradient())
    with pytest.raises(TypeError, match="float32"):
        images.write(path, np.zeros((2, 2, 3), np.float32))
