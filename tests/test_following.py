"""Painting clips: each frame goes on with the picture of the one before; what is written."""

import numpy as np
import pytest
from PIL import Image

import main
from genjax import following, images, runs
from genjax.errors import UserError
from genjax.style import previous
from genjax.stylization import Stylization
from genjax.video import clips, reliability
from tests.tiny import tiny

_SHAPE = (12, 20)


@pytest.fixture
def frames(tmp_path):
    """A folder of eleven frames that have nothing to do with each other, and they themselves."""
    folder = tmp_path / "clip"
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (11, *_SHAPE, 3), np.uint8)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"f{i}.png")  # f10 comes last
    return folder, pictures


@pytest.fixture
def repeating(monkeypatch):
    """A trained run whose network gives back what it sees of the picture before (style 1) or the
    frame (style 0, and all first frames); and a motion of a pixel to the right a frame, of which
    the top is unknown."""

    def between(earlier, later):
        flow = np.zeros((*_SHAPE, 2), np.float32)
        flow[..., 0] = -1
        return reliability.Motion(flow, np.float32(np.arange(12)[:, None] > 3).repeat(20, axis=1))

    def follow(state, style, image, alpha, before, flow, trusted):
        found = previous.moved(before, flow, trusted)
        seen = previous.beside(image, found)[..., 3:6]
        share = style * (found.mask.max() > 0)
        painted = share * seen + (1 - share) * image
        return painted, painted

    monkeypatch.setattr(reliability, "between", between)
    run = runs.build(tiny("fast-video"))
    task = run.task._replace(stylization=Stylization(1, None, None, follow=follow))
    return runs.Trained(run._replace(task=task), {}, 12)


def test_each_frame_goes_on_with_the_picture_before(frames, repeating, tmp_path):
    folder, pictures = frames
    looks = {"_1": np.float32(1), "_2": np.float32(0)}  # the picture before; the frame itself
    assert following.paint(repeating, looks, str(folder), str(tmp_path / "out")) == 11
    kind = clips.best_kind()
    names = [path.name for path in sorted((tmp_path / "out").iterdir())]
    assert names == ["frames_1", "frames_2", f"result_1.{kind}", f"result_2.{kind}"]
    found = [
        np.stack(
            [images.load(tmp_path / "out" / f"frames_{n}" / f"{i:04}.png") for i in range(1, 12)]
        )
        for n in (1, 2)
    ]
    np.testing.assert_array_equal(found[1], pictures)
    # Rows from 4 on can be relied on, less three; so can columns from 1 on, less three.
    for i in range(1, 6):
        np.testing.assert_array_equal(found[0][i, 7:, 4 * i :], pictures[0, 7:, 3 * i : 20 - i])
    mean = np.rint(255 * np.float32(previous.IMAGENET_MEAN))
    np.testing.assert_array_equal(found[0][1:, :7], np.broadcast_to(mean, (10, 7, 20, 3)))
    np.testing.assert_array_equal(found[0][1:, :, :4], np.broadcast_to(mean, (10, 12, 4, 3)))


def test_an_animation_alone(frames, repeating, tmp_path):
    target, one = tmp_path / "out" / "clip.gif", {"": np.float32(0)}
    assert following.paint(repeating, one, str(frames[0]), str(target)) == 11
    assert [*target.parent.iterdir()] == [target]
    assert clips.read(target).frames.shape == (11, *_SHAPE, 3)
    again = following.paint(repeating, one, str(target), str(tmp_path / "more"))
    assert again == 11 and (tmp_path / "more" / "frames" / "0011.png").exists()


@pytest.mark.parametrize(
    ("output", "looks", "message"),
    [
        ("OUT/x.gif", ("_1", "_2"), "is one file for 2 clips: name a folder"),
        ("IN/f3.png", ("",), "is a file: name a folder, or a .gif"),
        ("IN/frames/..", ("",), "would overwrite"),
    ],
)
def test_refusals(output, looks, message, frames, repeating, tmp_path):
    folder, _ = frames
    source = str(folder)
    if message == "would overwrite":
        (folder / "frames").mkdir()
        for i in range(2):
            (folder / f"f{i}.png").rename(folder / "frames" / f"{i:04}.png")
        source = str(folder / "frames")
    output = output.replace("IN", str(folder)).replace("OUT", str(tmp_path))
    with pytest.raises(UserError, match=message):
        following.paint(repeating, dict.fromkeys(looks, np.float32(0)), source, output)


def test_what_is_a_clip(frames, tmp_path):
    folder, pictures = frames
    moving, still = tmp_path / "moving.gif", tmp_path / "still.gif"
    moving.write_bytes(clips.encoded(pictures[:3], "gif"))
    Image.fromarray(pictures[0]).save(still)
    (tmp_path / "film.mp4").write_bytes(b"no picture")
    of_clips = (folder, f"{folder}/f1*.png", moving, "example", tmp_path / "film.mp4", "cat,coffee")
    assert all(following.is_clip(str(source)) for source in of_clips)
    others = (folder / "f1.png", still, "cat", "run:runs/dcgan", folder / "gone.png")
    assert not any(following.is_clip(str(source)) for source in others)


@pytest.mark.slow
def test_stylize_paints_a_clip(finished, tmp_path, capsys):
    """A first frame is painted as a picture is, and further ones otherwise."""
    wide = images.resize(images.load("coffee"), 32, 48)
    (tmp_path / "clip").mkdir()
    for i in range(3):
        Image.fromarray(wide[:, i : i + 40]).save(tmp_path / "clip" / f"{i + 1:04}.png")
    argv = ["main.py", "--mode=stylize", f"--workdir={finished('fast-video')}"]
    argv += [f"--input={tmp_path / 'clip'}", "--config.stylize.style=1"]
    assert main.main([*argv, f"--output={tmp_path / 'out'}"]) == 0
    assert "3 frames, painted by step 12: " in capsys.readouterr().out
    assert main.main([*argv, f"--output={tmp_path / 'each'}", "--config.stylize.clip=false"]) == 0
    assert "3 pictures, painted by step 12: " in capsys.readouterr().out
    apart = [
        np.abs(
            np.int32(images.load(tmp_path / "out" / "frames" / name))
            - images.load(tmp_path / "each" / name)
        ).max()
        for name in ("0001.png", "0002.png", "0003.png")
    ]
    assert apart[0] <= 1 and min(apart[1:]) > 1
