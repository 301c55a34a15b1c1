"""ADA's transforms on given random numbers, against NumPy written image by image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.gan import ada, wavelets

RANDOM = np.random.default_rng(0)
SIZE, BATCH = 8, 4
IMAGES = RANDOM.uniform(-1, 1, (BATCH, SIZE, SIZE, 3)).astype(np.float32)


def _numbers(happening=ada.GATES):
    """Random numbers with which the transforms that are named happen at p = 1/2, and no other."""
    return {
        "gate": {n: np.full(BATCH, 0.0 if n in happening else 0.9) for n in ada.GATES},
        "uniform": {n: RANDOM.random(BATCH) for n in ada.UNIFORM},
        "normal": {n: RANDOM.normal(size=BATCH) for n in ada.NORMAL},
        "noise": RANDOM.normal(size=IMAGES.shape),
    }


def _applied(numbers, *groups, images=IMAGES, p=0.5):
    numbers = jax.tree.map(jnp.float32, numbers)
    factors = dict.fromkeys(groups, 1.0)
    return np.asarray(jax.jit(lambda: ada.apply(jnp.asarray(images), numbers, p, factors))())


def test_nothing_happens_at_0():
    """The way to twice the size and back is exact, as that of a wavelet is."""
    found = _applied(_numbers(), *ada.GROUPS, p=0.0)
    np.testing.assert_allclose(found, IMAGES, atol=2e-5)


def test_blits_move_whole_pixels():
    """Mirrored, then turned, then shifted, with the image reflected beyond its edges.

    Of smooth images: the filters are not quite symmetric, and mirrored ones not quite each other's
    way back.
    """
    smooth = np.cumsum(np.cumsum(IMAGES, 1), 2) / 20
    numbers = _numbers(("flip", "quarter", "shift"))
    numbers["uniform"]["flip"][:] = [0.1, 0.9, 0.2, 0.7]
    numbers["uniform"]["quarter"][:] = [0.1, 0.3, 0.6, 0.9]
    found = _applied(numbers, "blit", "geometry", images=smooth)
    for i, x in enumerate(smooth):
        u = {name: values[i] for name, values in numbers["uniform"].items()}
        np.testing.assert_allclose(found[i], _blit(x, u), atol=0.05)


def _blit(x, u):
    """out(o) = x(mirror (turn (o - shift))), with places o from the middle."""
    right, down = (round((2 * u[f"shift_{axis}"] - 1) * SIZE / 8) for axis in "xy")
    out = np.zeros((SIZE, SIZE, 3))
    mirror, quarter = 1 - 2 * int(2 * u["flip"]), int(4 * u["quarter"])
    c, s = round(np.cos(np.pi / 2 * quarter)), round(np.sin(np.pi / 2 * quarter))
    big = np.pad(x, ((7, 7), (7, 7), (0, 0)), mode="reflect")
    for row in range(SIZE):
        for column in range(SIZE):
            px, py = column - (SIZE - 1) / 2 - right, row - (SIZE - 1) / 2 - down
            qx, qy = mirror * (c * px - s * py), s * px + c * py
            out[row, column] = big[int(qy + 3.5) + 7, int(qx + 3.5) + 7]
    return out


def _filtered(x, taps, axis):
    """A convolution along an axis with zeros beyond, of full length."""
    return np.apply_along_axis(lambda line: np.convolve(line, taps), axis, x)


def test_geometry_is_sampled_between_pixels_at_twice_the_size():
    """Against zeros between pixels, convolutions, and the four neighbours, one after another."""
    numbers = _numbers(ada.GROUPS["geometry"])
    found = _applied(numbers, "geometry")
    u, n = numbers["uniform"], numbers["normal"]
    taps = wavelets._SYM6 / wavelets._SYM6.sum()
    for i, x in enumerate(IMAGES):

        def turn(angle):
            return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

        before, after = (turn((2 * u[f"rotate_{k}"][i] - 1) * np.pi) for k in ("before", "after"))
        scale, stretch = 2 ** (0.2 * n["scale"][i]), 2 ** (0.2 * n["stretch"][i])
        linear = np.eye(2) / scale @ before @ np.diag([1 / stretch, stretch]) @ after
        move = np.array([n["move_x"][i], n["move_y"][i]]) * SIZE / 8
        large = np.pad(x, ((7, 7), (7, 7), (0, 0)), mode="reflect")
        for axis in (0, 1):
            zeros = np.zeros([2 * d if k == axis else d for k, d in enumerate(large.shape)])
            zeros[(slice(None),) * axis + (slice(None, None, 2),)] = large
            longer = _filtered(zeros, 2 * taps, axis)
            large = np.take(longer, range(5, 5 + 44), axis)
        # Place j of the large image is (j + 1/2) / 2 - 1/4 px, from the first pixel's middle.
        out = np.zeros((28, 28, 3))
        for row in range(28):
            for column in range(28):
                place = (np.array([column, row]) + 1 - 14) / 2
                qx, qy = 2 * (linear @ (place - move)) + 21
                left, top = int(np.floor(qx)), int(np.floor(qy))
                for y, of_y in ((top, top + 1 - qy), (top + 1, qy - top)):
                    for z, of_z in ((left, left + 1 - qx), (left + 1, qx - left)):
                        if 0 <= y < 44 and 0 <= z < 44:
                            out[row, column] += of_y * of_z * large[y, z]
        for axis in (0, 1):
            out = np.take(_filtered(out, taps[::-1], axis), range(6 + 6, 6 + 6 + 16, 2), axis)
        np.testing.assert_allclose(found[i], out, atol=1e-4)


def test_colours():
    numbers = _numbers(ada.GROUPS["color"])
    found = _applied(numbers, "color")
    u, n = numbers["uniform"], numbers["normal"]
    v = np.ones(3) / np.sqrt(3)
    for i, x in enumerate(IMAGES):
        x = (x + 0.2 * n["brightness"][i]) * 2 ** (0.5 * n["contrast"][i])
        if u["luma"][i] >= 0.5:
            x = x - 2 * (x @ v)[..., None] * v
        angle = (2 * u["hue"][i] - 1) * np.pi
        along = (x @ v)[..., None] * v
        x = along + np.cos(angle) * (x - along) + np.sin(angle) * np.cross(v, x)
        along = (x @ v)[..., None] * v
        x = along + (x - along) * 2 ** n["saturation"][i]
        np.testing.assert_allclose(found[i], x, atol=1e-5)
    # Grey: the mean of three equal rows, without hue and saturation.
    grey = _applied(numbers, "color", images=IMAGES[..., :1])
    for i, x in enumerate(IMAGES[..., :1]):
        x = (x + 0.2 * n["brightness"][i]) * 2 ** (0.5 * n["contrast"][i])
        np.testing.assert_allclose(grey[i], -x if u["luma"][i] >= 0.5 else x, atol=1e-5)


def test_corruptions():
    numbers = _numbers()
    u, n = numbers["uniform"], numbers["normal"]
    noisy = IMAGES + np.abs(n["noise"])[:, None, None, None] * 0.1 * numbers["noise"]
    np.testing.assert_allclose(_applied(numbers, "noise"), noisy, atol=1e-6)
    cut = _applied(numbers, "cutout")
    middle = (np.arange(SIZE) + 0.5) / SIZE
    for i, x in enumerate(IMAGES):
        rows, columns = (np.abs(middle - u[f"cutout_{axis}"][i]) < 0.25 for axis in "yx")
        np.testing.assert_array_equal(cut[i], np.where(np.outer(rows, columns)[..., None], 0, x))


def test_octaves():
    """Gains whose power is that of natural images; equal gains change nothing."""
    np.testing.assert_allclose(wavelets.bands(16).sum(0), np.eye(16), atol=1e-6)
    numbers = _numbers(("band1",))
    found = _applied(numbers, "filter")
    for i, x in enumerate(IMAGES):
        gain = np.array([1, 2 ** numbers["normal"]["band1"][i], 1, 1])
        gain /= np.sqrt(np.dot([10, 1, 1, 1], gain**2) / 13)
        along = np.einsum("k,kij->ij", gain, wavelets.bands(SIZE))
        np.testing.assert_allclose(
            found[i], np.einsum("ih,hwc,jw->ijc", along, x, along), atol=1e-5
        )


def test_how_often():
    """A factor of a group's probability; of two rotations, at least one happens with p."""
    gates = np.random.default_rng(1).random((2, 100_000))
    numbers = {"gate": {"rotate_before": gates[0], "rotate_after": gates[1]}}
    either = [gate < 1 - np.sqrt(1 - 0.4 * 0.5) for gate in numbers["gate"].values()]
    assert np.mean(either[0] | either[1]) == pytest.approx(0.2, abs=5e-3)
    few = _applied(_numbers(), "color")
    none = jax.jit(lambda: ada.apply(jnp.asarray(IMAGES), _numbers(), 0.5, {"color": 0.0}))()
    assert np.abs(few - IMAGES).max() > 0.1
    np.testing.assert_allclose(none, IMAGES, atol=1e-6)
