"""The command that says how much clips flicker."""

import numpy as np
import pytest

from benchmarks import flicker
from genjax import images
from genjax.metrics.flicker import flicker as of
from genjax.video.example import Example
from genjax.video.reliability import motion


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """`still`, three frames of the built-in clip, and `flickers`, each other one darker."""
    monkeypatch.chdir(tmp_path)
    clip = Example(side=24).frames()[:3]
    for i, frame in enumerate(clip):
        images.write(f"still/{i}.png", frame)
        images.write(f"flickers/{i}.png", frame // (1 + i % 2))
    return clip


def test_a_line_for_each(folder, capsys):
    assert flicker.main(["", "--original=still", "flickers", "still/*.png"]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [name for _, name in lines] == ["flickers", "still/*.png", "still"]
    darker = folder.copy()
    darker[1] //= 2
    moving = motion(folder)
    expected = [of(clip, *moving).root for clip in (darker, folder, folder)]
    assert [root for root, _ in lines] == [f"{root:.4f}" for root in expected]
    assert expected[0] > 5 * expected[1]


def test_clips_that_do_not_belong_together(folder, capsys):
    images.write("tall/0.png", np.zeros((24, 16, 3), np.uint8))
    images.write("tall/1.png", np.zeros((24, 16, 3), np.uint8))
    assert flicker.main(["", "--original=still", "tall"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: tall has 2 frames of 16 x 24 px, and the original at that size 3 frames of 24 x 16"
        " px"
    ]
