"""Style transfer of clips: when frames begin, where they start, and what they come to alone."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from PIL import Image

from genjax import images, runs
from genjax.errors import UserError
from genjax.metrics.flicker import flicker
from genjax.style import video_task
from genjax.style.video_task import STARTS, Schedule
from genjax.train import train
from genjax.video import clips
from genjax.video.example import Example
from genjax.video.reliability import motion
from tests.tiny import metrics_of, tiny

SIDE = 24


@pytest.fixture
def shifted(tmp_path, monkeypatch):
    """A clip of three frames in which everything goes right by one pixel a frame, and its exact
    flow, by which what came in at the left cannot be relied on: (its name, the frames)."""
    monkeypatch.chdir(tmp_path)
    wide = images.resize(images.load("coffee"), 16, SIDE + 2)
    frames = [wide[:, 2 - i : 2 - i + SIDE] for i in range(3)]
    (tmp_path / "moved").mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "moved" / f"{i}.png")

    def exact(clip, back):
        flows = np.zeros((len(clip) - back, *clip.shape[1:3], 2), np.float32)
        flows[..., 0] = -back
        weights = np.ones(flows.shape[:-1], np.float32)
        weights[:, :, :back] = 0
        return flows, weights

    monkeypatch.setattr("genjax.style.video_task.reliability.motion", exact)
    return np.stack(frames)


def _began(**changes):
    """(task, its first state, its compiled step)."""
    run = runs.build(tiny("video", **changes))
    constants = jax.tree.map(jnp.asarray, run.task.constants)
    step = jax.jit(lambda state: run.task.step(state, constants, None, None)[0])
    task = run.task._replace(constants=constants)
    return task, runs.first_state(run), step


def test_schedule_by_hand():
    """The first frame has three steps, and each further one two."""
    schedule = Schedule(3, 2)
    steps = np.arange(9)
    assert schedule.finished(steps).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert steps[schedule.begins(steps)].tolist() == [3, 5, 7]
    assert [schedule.total(count) for count in (1, 2, 4)] == [3, 5, 9]


def test_a_frame_starts_from_the_one_before_moved_as_the_clip_moves(shifted):
    """With the exact flow the start is the shift, and its temporal loss is 0."""
    # Adam with no rate to speak of leaves each frame where it starts.
    still = {"optimizer.learning_rate": 1e-12, "video.back": (1,), "video.weight": 1.0}
    still["video.start"] = "warped"
    task, state, step = _began(
        content="moved", init="content", **still, **{"video.steps": (2, 1), "train.steps": 4}
    )
    evaluate = jax.jit(lambda state: task.evaluate(state, task.constants, None))
    state = step(step(state))
    before = np.asarray(state.at.image[0])
    np.testing.assert_allclose(before, shifted[0] / np.float32(255), atol=1e-6)
    for steps in (3, 4):
        state = step(state)
        assert int(state.steps[0]) == steps
        after = np.asarray(state.at.image[0])
        np.testing.assert_allclose(after[:, 1:], before[:, :-1], atol=1e-6)
        found = evaluate(state)
        assert 0 <= found["temporal"][0] < 1e-6 and found["flicker"][0] < 1e-6
        before = after
    np.testing.assert_allclose(
        np.asarray(state.painted[0, 1])[:, 1:], shifted[0, :, :-1] / np.float32(255), atol=1e-6
    )
    shown = np.asarray(task.sample(state, None, None))
    np.testing.assert_array_equal(shown[:, :, 2:], shifted[:, :, 2:])


def test_starts_by_hand():
    warped, content, trusted = np.float32([[0.5], [0.5]]), np.float32([[1], [1]]), [[1.0], [0.0]]
    found = {name: start(warped, content, np.array(trusted)) for name, start in STARTS.items()}
    expected = {"warped": [0.5, 0.5], "filled": [0.5, 1.0], "content": [1.0, 1.0]}
    assert {name: x.ravel().tolist() for name, x in found.items()} == expected


def test_the_temporal_loss_is_weighted_and_of_all_earlier_frames(shifted):
    """By hand: a frame from the clip beside two that were painted black and white."""
    task, state, _ = _began(
        content="moved", **{"video.steps": (1, 1), "train.steps": 3, "video.weight": 3.0}
    )
    black, white = np.zeros_like(shifted[0], np.float32), np.ones_like(shifted[0], np.float32)
    x = np.asarray(shifted[2] / 255, np.float32)
    state = state.replace(
        at=state.at.replace(image=jnp.asarray(x[None])),
        steps=jnp.full_like(state.steps, 3),
        painted=jnp.stack([white, black, x])[None],
    )
    found = jax.jit(lambda state: task.evaluate(state, task.constants, None))(state)
    # Black counts but in the first column. White, of two frames before, could be relied on but in
    # the first two, and counts nowhere: where black cannot be relied on, it cannot either.
    expected = 3.0 * 255**2 * np.square(x[:, 1:]).sum() / x.size
    assert found["temporal"][0] == pytest.approx(expected, rel=1e-5)


def test_frames_made_for_themselves_are_those_of_a_run_of_pictures(tmp_path):
    """Without temporal loss, from the content, with the same steps."""
    alone = {"video.weight": 0.0, "video.start": "content", "init": "content"}
    steps = {"video.steps": (4, 4), "train.steps": 12, "video.frames": 3}
    train(tiny("video", **alone, **steps), epath.Path(tmp_path) / "clip")
    frames = Example(side=SIDE).frames()[:3]
    for i, frame in enumerate(frames):
        images.write(tmp_path / "frames" / f"{i}.png", frame)
    changes = {"content": f"{tmp_path}/frames", "init": "content", "size": SIDE}
    config = tiny("style-adam", **changes, **{"train.steps": 4})
    with config.unlocked():
        config.update({key: tiny("video")[key] for key in ("content_loss", "style_loss")})
    train(config, epath.Path(tmp_path) / "pictures")
    for i, frame in enumerate(frames, 1):
        ours = images.read(tmp_path / "clip" / "frames" / f"{i:04d}.png").astype(int)
        theirs = images.read(tmp_path / "pictures" / f"result_{i}.png").astype(int)
        assert np.abs(ours - theirs).max() <= 1 and (ours != frame).any()


def test_a_run_leaves_frames_and_a_clip(finished):
    workdir = finished("video")
    frames = [images.read(workdir / "frames" / f"{i:04d}.png") for i in range(1, 5)]
    assert not (workdir / "frames" / "0005.png").exists()
    (result,) = workdir.glob("result.*")
    clip = clips.read(result)
    assert len(clip.frames) == 4 and clip.per_second == pytest.approx(clips.PER_SECOND)
    found = flicker(np.stack(frames), *motion(Example(side=SIDE).frames()[:4]))
    # Beside pixels in whole levels, and flows in sixteen bits.
    assert metrics_of(workdir)[-1]["eval/flicker"] == pytest.approx(found.root, rel=0.03)


def test_fewer_steps_leave_a_part_and_say_so():
    changes = {"video.steps": (2, 1), "train.steps": 3, "video.start": "content"}
    task, state, step = _began(content="example", **changes, **{"video.frames": 3})
    assert task.remarks(state) == [
        "0 of 3 frames are finished: --config.train.steps=4 makes all",
        "the clip has 24 frames, of which the first 3 are taken (video.frames)",
    ]
    state = step(step(step(state)))
    assert task.remarks(state)[0].startswith("2 of 3 frames are finished")
    kind = clips.best_kind()
    outputs = task.outputs(jax.tree.map(np.asarray, state))
    assert list(outputs) == ["frames/0001.png", "frames/0002.png", f"result.{kind}"]
    assert task.remarks(step(state))[1:] == []


@pytest.mark.parametrize("color", ["luminance", "match"])
def test_colours(color):
    """Frames that are not begun are the clip's, with their colours."""
    task, state, _ = _began(color=color, **{"video.frames": 2, "train.steps": 6})
    shown = np.asarray(task.sample(state, None, None), int)
    assert np.abs(shown[1] - Example(side=SIDE).frames()[1]).max() <= 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train.steps": 13}, "train.steps=13 are more than the 4 frames take: use --config.train"),
        ({"video.steps": (3,)}, "video.steps=(3,) has to be two numbers"),
        ({"video.back": (2,)}, "video.back=(2,) has to begin with 1 and to rise"),
        ({"video.back": (1, 4, 2)}, "video.back=(1, 4, 2) has to begin with 1"),
        ({"video.start": "warp"}, "video.start='warp' is unknown; did you mean 'warped'?"),
        ({"content": "coffee"}, "coffee is one picture: give a clip"),
        ({"content": ""}, "no clip is given"),
        ({"style": ""}, "style is not set"),
    ],
)
def test_what_cannot_be(changes, message):
    with pytest.raises(UserError) as error:
        runs.build(tiny("video", **changes))
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_another_clip_is_told_from_that_of_the_run(finished):
    run = runs.build(tiny("video"))
    inputs = SimpleNamespace(dataset=None, read_picture=runs.read_picture, known={"clip": "other"})
    with pytest.raises(UserError, match="example is another clip than this run began with"):
        video_task.build(run.config, inputs)
