"""The schedule of scales by hand, and what is resized between them against PyTorch."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from configs import style as style_config
from genjax import images
from genjax.errors import UserError
from genjax.style import inputs, optimizers, scales
from genjax.style_keys import schedule
from genjax.train import train
from tests.tiny import STEPS, assert_same_run, tiny


@pytest.mark.parametrize(
    ("size", "smallest", "steps", "expected"),
    [
        (256, 128, (1000, 500), [(128, 1000), (181, 1500), (256, 2000)]),
        (512, 128, (9, 5), [(128, 9), (181, 14), (256, 19), (362, 24), (512, 29)]),
        (300, 128, (7,), [(150, 7), (212, 14), (300, 21)]),  # 300 / sqrt(8) is less than 128
        (181, 128, (3, 4, 5), [(128, 3), (181, 7)]),
        (100, 128, (6, 2), [(100, 6)]),
        (256, 0, (6, 2), [(256, 6)]),
        (3, 1, (1, 1), [(1, 1), (2, 2), (3, 3)]),  # 3, 2.1, 1.5, 1.1; a side counts once
        (0, 128, (6, 2), [(0, 6)]),
    ],
)
def test_schedule(size, smallest, steps, expected):
    assert schedule(size, smallest, steps) == expected


def test_the_preset_has_crowsons_schedule():
    config = style_config.get_config("preset=wasserstein,size=512")
    assert config.train.steps == 3000 and config.scales.to_dict() == {
        "smallest": 128,
        "steps": (1000, 500),
    }
    assert style_config.get_config("preset=wasserstein,size=512,smallest=0").train.steps == 1000
    config = style_config.get_config("size=256,smallest=128")  # gatys, of 200 steps
    assert config.train.steps == 400 and config.scales.steps == (200, 100)


def _of(**changes):
    config = style_config.get_config("preset=wasserstein,size=512")
    config.content = "coffee"
    config.update_from_flattened_dict(changes)
    found = scales.of(config, lambda name: [images.load(name)])
    assert all(
        (at.content, at.scale, at.scales) == (None, i, len(found)) for i, at in enumerate(found)
    )
    return [(at.side, at.until) for at in found]


def test_a_run_that_ends_before_its_last_scale_is_refused():
    """What the message advises works."""
    with pytest.raises(UserError, match=r"512 px, which begins after step 2500: use .*=3000, "):
        _of(**{"train.steps": 2500})
    short = {"train.steps": 30, "scales.steps": (10, 5)}
    expected = [(128, 10), (181, 15), (256, 20), (362, 25), (512, 30)]
    assert _of(**short) == expected
    assert _of(**short | {"train.steps": 26}) == expected  # the last scale is as long as the run
    assert _of(**{"train.steps": 30, "scales.smallest": 0}) == [(512, 1000)]
    with pytest.raises(UserError, match="has to have a number"):
        _of(**{"scales.steps": ()})


def test_the_contents_own_size_is_the_last_one():
    found = _of(**{"size": 0, "train.steps": 3000})  # coffee has 600 x 400 px
    assert [side for side, _ in found] == [150, 212, 300, 424, 0]
    with pytest.raises(UserError, match="the last scale, 600 px"):
        _of(size=0, **{"train.steps": 1000})


def test_styles_are_enlarged_where_that_is_asked_for():
    def shown(name):
        return [images.fit(images.load(name), 20)]

    config = style_config.get_config("preset=wasserstein,size=32,smallest=0")
    config.content, config.style = "coffee", "astronaut"
    pictures = inputs.load(config, shown)
    assert pictures.contents.shape[2] == 32 and pictures.styles[0].shape == (1, 20, 20, 3)
    assert inputs.load(config, shown, size=16).styles[0].shape == (1, 16, 16, 3)
    config.style_enlarge = True
    assert inputs.load(config, shown).styles[0].shape == (1, 32, 32, 3)


def _torch(x):
    torch = pytest.importorskip("torch")
    return torch.tensor(np.asarray(x)).permute(2, 0, 1)[None]


def _interpolated(x, height, width, mode):
    functional = pytest.importorskip("torch").nn.functional
    return functional.interpolate(x, (height, width), mode=mode, align_corners=False)


@pytest.mark.parametrize("size", [(16, 10), (7, 7), (11, 23)])
@pytest.mark.parametrize("how", ["bicubic", "bilinear"])
def test_resizing_is_pytorchs(how, size):
    x = np.random.default_rng(0).normal(size=(11, 7, 3)).astype(np.float32)
    expected = _interpolated(_torch(x), *size, how)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(getattr(scales, how)(jnp.asarray(x), *size), expected, atol=2e-6)


def test_adam_goes_on_at_the_next_scale():
    """Three steps at 4 x 5, then three at 6 x 7, against PyTorch's Adam: moments, the count of
    steps, the running mean that begins anew, and pixels that are clamped."""
    torch = pytest.importorskip("torch")
    config = style_config.get_config("preset=wasserstein").optimizer
    config.learning_rate, config.average = 0.3, 0.6
    random = np.random.default_rng(1)
    targets = [
        random.uniform(-0.5, 1.5, (*size, 3)).astype(np.float32) for size in ((4, 5), (6, 7))
    ]
    start = random.uniform(size=(4, 5, 3)).astype(np.float32)

    # Crowson's loop, with the gradient of half a sum of squares.
    image, before = _torch(start), None
    for target in map(_torch, targets):
        parameter = image.clone().requires_grad_()
        adam = torch.optim.Adam([parameter], lr=0.3, betas=(0.9, 0.99))
        if before:
            size = target.shape[2:]
            before["exp_avg"] = _interpolated(before["exp_avg"], *size, "bicubic")
            before["exp_avg_sq"] = _interpolated(before["exp_avg_sq"], *size, "bilinear").relu()
            adam.state[parameter] = before
        mean, weight = 0.4 * parameter.detach(), 0.6
        for _ in range(3):
            parameter.grad = parameter.detach() - target
            adam.step()
            parameter.data.clamp_(0, 1)
            mean, weight = 0.6 * mean + 0.4 * parameter.detach(), 0.6 * weight
        before, found = dict(adam.state[parameter]), parameter.detach()
        result = mean / (1 - weight)
        image = _interpolated(result, 6, 7, "bicubic").clamp(0, 1)

    optimizer = optimizers.adam(config)

    @jax.jit
    def ours(start, targets):
        def objective(target):
            return lambda image: 0.5 * jnp.square(image - target).sum()

        at = optimizer.init(objective(targets[0]), start)
        for i, target in enumerate(targets):
            if i:
                at = optimizer.carry(objective(target), at, *target.shape[:2])
            for _ in range(3):
                at = optimizer.step(objective(target), at)
        return at

    at = ours(start, targets)
    assert at.optimizer[0].count == 6 and at.evaluations == 4
    for one, expected in (
        (at.image, found),
        (at.shown, result),
        (at.optimizer[0].mu, before["exp_avg"]),
        (at.optimizer[0].nu, before["exp_avg_sq"]),
    ):
        np.testing.assert_allclose(one, expected[0].permute(1, 2, 0), atol=2e-5)


def test_lbfgs_begins_anew_at_the_next_scale():
    optimizer = optimizers.lbfgs(style_config.get_config().optimizer)
    x = np.random.default_rng(0).uniform(size=(3, 4, 3)).astype(np.float32)

    def objective(image):
        return jnp.square(image - 0.5).sum()

    @jax.jit
    def ours(x):
        at = optimizer.step(objective, optimizer.init(objective, x))
        return at, optimizer.carry(objective, at, 5, 6)

    before, at = ours(x)
    larger = scales.bicubic(before.image, 5, 6)
    np.testing.assert_allclose(at.image, larger, atol=1e-6)
    np.testing.assert_allclose(at.gradient, 2 * (larger - 0.5), atol=1e-5)
    fresh = optimizer.init(objective, larger).optimizer
    for one, expected in zip(jax.tree.leaves(at.optimizer), jax.tree.leaves(fresh), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-5)
    assert at.evaluations == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, 8])
@pytest.mark.parametrize("name", ["style-wasserstein", "style-nnst"])
def test_a_run_is_resumed_before_and_after_a_border(name, step, finished, tmp_path):
    """As after a kill: checkpoints are of steps 4, 8 and 12; wasserstein's border is at step 6, and
    those of nnst at steps 4 and 8."""
    whole = finished(name)
    workdir = epath.Path(shutil.copytree(whole, tmp_path / "run"))
    for later in range(step + 4, STEPS + 1, 4):
        shutil.rmtree(workdir / "checkpoints" / str(later))
    train(tiny(name), workdir)
    assert_same_run(workdir, whole)
