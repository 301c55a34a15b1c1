import numpy as np
import pytest

from configs import style as style_config
from genjax import images
from genjax.errors import UserError
from genjax.style import inputs


def _config(**changes):
    config = style_config.get_config("size=16")
    config.content, config.style = "astronaut", "coffee"
    config.update(changes)
    return config


def _read(name):
    return [images.load(name)]


def test_sizes_and_start():
    pictures = inputs.load(_config(style="coffee", style_scale=2.0), _read)
    assert pictures.contents.shape == (1, 16, 16, 3)
    assert max(pictures.styles[0].shape[1:3]) == 32  # any aspect ratio
    assert pictures.styles[0].shape[1] < 32
    np.testing.assert_allclose(pictures.start, pictures.contents / 255.0, atol=1e-6)


def test_size_0_keeps_the_contents_own():
    wide = np.arange(12 * 18 * 3, dtype=np.uint8).reshape(12, 18, 3)

    def read(name):
        return [wide if name == "wide" else images.load(name)]

    config = _config(content="wide", style="coffee", size=0, style_scale=1.5)
    pictures = inputs.load(config, read)
    np.testing.assert_array_equal(pictures.contents, wide[None])
    assert max(pictures.styles[0].shape) == 27  # 1.5 * 18
    np.testing.assert_allclose(pictures.start[0], wide / 255.0, atol=1e-6)
    config.content = "wide,coffee"
    with pytest.raises(UserError, match=r"are 18x12, 600x400: use --config\.content_fit=crop"):
        inputs.load(config, read)
    config.content_fit = "crop"
    pictures = inputs.load(config, read)
    assert pictures.contents.shape == (2, 12, 18, 3) and max(pictures.styles[0].shape) == 27


def test_size_0_of_pictures_that_are_too_large_for_it():
    def read(name):
        return [np.zeros((1, 20_000 if name == "long" else 4, 3), np.uint8)]

    with pytest.raises(UserError, match="size=0 keeps 20000 x 1 px: set a size, at most 16384"):
        inputs.load(_config(content="long", size=0), read)
    config = _config(content="short", style="long", size=0, style_scale=5000.0)
    with pytest.raises(UserError, match=r"style_scale=5000\.0 makes styles of 20000 px"):
        inputs.load(config, read)


def test_a_folder_of_frames(tmp_path):
    for i in (10, 2):
        images.write(tmp_path / f"img{i}.png", np.full((4, 6, 3), i, np.uint8))
    config = _config(content=f"{tmp_path}", style=f"coffee,{tmp_path}/*0.png", size=0)
    pictures = inputs.load(config, _read)
    assert pictures.contents[:, 0, 0, 0].tolist() == [2, 10]
    assert [max(style.shape) for style in pictures.styles] == [6, 6]


def test_noise_depends_on_the_seed_and_the_picture():
    first, second = (
        inputs.load(
            _config(content="astronaut,astronaut", init="noise", init_noise=0.1, seed=s), _read
        )
        for s in (0, 1)
    )
    assert not np.allclose(first.start, second.start)
    assert not np.allclose(first.start[0], first.start[1])
    assert abs(first.start.mean() - np.mean([0.485, 0.456, 0.406])) < 0.02


def test_start_from_a_picture():
    pictures = inputs.load(_config(init="cat"), _read)
    cat = images.resize(images.load("cat"), 16, 16)
    np.testing.assert_allclose(pictures.start[0], cat / 255.0, atol=1e-6)


def test_contents_of_different_shapes():
    config = _config(content="astronaut,coffee")
    with pytest.raises(UserError, match="content_fit=crop"):
        inputs.load(config, _read)
    config.content_fit = "crop"
    assert inputs.load(config, _read).contents.shape == (2, 16, 16, 3)


def test_many_shapes_are_told_in_one_line():
    config = _config(content=",".join(f"{n}" for n in range(1, 8)))
    with pytest.raises(UserError, match=r"and 3 others: use --config\.content_fit=crop"):
        inputs.load(config, lambda n: [np.zeros((4 * int(n), 60, 3), np.uint8)])


def test_a_source_of_several_pictures():
    pictures = inputs.load(
        _config(content="run"), lambda n: _read("cat") * (3 if n == "run" else 1)
    )
    assert len(pictures.contents) == 3


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"style": ""}, r"style is not set: .* --config\.style="),
        ({"content_fit": "corp"}, "did you mean 'crop'"),
        ({"content": "astronot"}, "did you mean astronaut"),
        ({"init": "astronot"}, "did you mean astronaut"),
    ],
)
def test_errors_are_one_line(changes, line):
    with pytest.raises(UserError, match=line):
        inputs.load(_config(**changes), _read)


def test_shares_of_styles():
    np.testing.assert_allclose(inputs.shares((), 4), [0.25] * 4)
    np.testing.assert_allclose(inputs.shares((3.0, 1.0), 2), [0.75, 0.25])
    with pytest.raises(UserError, match=r"2 styles but 1 style_weights: .*=1\.0,1\.0$"):
        inputs.shares((1.0,), 2)
    with pytest.raises(UserError, match="are not numbers"):
        inputs.shares(("a", "b"), 2)
    for weights in ((2.0, -1.0), (0.0, 0.0), (float("nan"), 1.0)):
        with pytest.raises(UserError, match="must not be negative"):
            inputs.shares(weights, 2)
