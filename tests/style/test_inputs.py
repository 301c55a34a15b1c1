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


def test_names_with_and_without_commas(tmp_path, monkeypatch):
    assert inputs.names("a, b ,c.png") == ["a", "b", "c.png"]
    assert inputs.names("") == []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.png").touch()
    assert inputs.names("a,b.png") == ["a,b.png"]


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
