"""metrics.jsonl, pictures, TensorBoard and the progress line."""

import io
import json
import math
import os
import sys
import types

import numpy as np
import pytest
from etils import epath
from PIL import Image

from genjax.errors import UserError
from genjax.report import Report, read_metrics, report
from genjax.report.report import Progress
from tests.disks import fill, small_disk


class Terminal(io.StringIO):
    def isatty(self):
        return True


def metrics_text(workdir):
    return (workdir / "metrics.jsonl").read_text()


def run_until(workdir, last_step, *, resume_at=0):
    with Report(workdir, step=resume_at, total_steps=100, quiet=True) as r:
        for step in range(resume_at + 10, last_step + 1, 10):
            r.scalars(step, step * 4, step * 0.5, {"train/loss": 1 / step})
            r.picture(step, "", np.full((4, 4, 3), step, np.uint8))


def board_events(workdir):
    """(step, kind, tag) of every event in the order TensorBoard reads them."""
    from tensorboard.compat.proto.event_pb2 import Event

    events = []
    for path in sorted((workdir / "tensorboard").glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            if event.HasField("session_log"):
                events.append((event.step, "start", ""))
            for value in event.summary.value:
                events.append((event.step, value.WhichOneof("value"), value.tag))
    return events


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path) / "run"


def test_a_line_is_strict_json_and_non_finite_values_are_null(workdir):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    values = {"train/a": np.float32(0.1), "train/b": math.nan, "eval/c": -math.inf, "perf/d": 12}
    with Report(workdir, step=0, total_steps=9, quiet=True) as r:
        r.scalars(1, 64, 0.12345, values)
        text = metrics_text(workdir)  # there at once, before anything is closed
    (line,) = text.splitlines()
    record = json.loads(line, parse_constant=refuse)
    assert list(record) == ["step", "images", "seconds", *values]
    assert record["seconds"] == 0.123
    assert np.float32(record["train/a"]) == np.float32(0.1)
    assert record["train/b"] is None and record["eval/c"] is None
    assert record["perf/d"] == 12.0


def test_one_line_a_step_and_known_prefixes_only(workdir):
    with Report(workdir, step=0, total_steps=9, quiet=True) as r:
        r.scalars(3, 0, 0, {"train/loss": 1})
        with pytest.raises(ValueError, match="one line a step"):
            r.scalars(3, 0, 0, {"eval/loss": 1})
        with pytest.raises(ValueError, match="'loss' must start with"):
            r.scalars(4, 0, 0, {"loss": 1})
    assert [m["step"] for m in read_metrics(workdir)] == [3]


def test_a_resumed_run_leaves_what_an_uninterrupted_one_does(workdir, tmp_path):
    whole = epath.Path(tmp_path) / "whole"
    run_until(whole, 100)
    run_until(workdir, 70)
    with (workdir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 80, "ima')  # the crash
    for file in (".metrics.jsonl.1.partial", "samples/.00000080.png.1.partial"):
        (workdir / file).write_text("and what it was writing")
    run_until(workdir, 100, resume_at=50)
    assert metrics_text(workdir) == metrics_text(whole)
    assert not list(workdir.glob(".*partial")) and not list(workdir.glob("samples/.*partial"))


def test_a_full_disk_leaves_whole_lines_and_the_run_can_go_on(tmp_path):
    """At once, too: TensorBoard's part waits for no thread that the disk has ended."""
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    with small_disk(tmp_path / "disk", "256k") as disk:
        run, failures, step = Report(disk, step=0, total_steps=9, quiet=True), 0, 0
        fill(disk, 40_000)
        while failures < 100:
            step += 1
            try:
                run.scalars(step, step, step, {"train/loss": 1 / step})
                run.picture(step, "", picture)
            except (OSError, UserError) as error:
                failures += 1
                assert "No space left on device" in str(error)
            assert all(json.loads(line) for line in metrics_text(disk).splitlines())
        assert metrics_text(disk).endswith("\n")
        (disk / "ballast").unlink()
        run.scalars(step + 1, step, step, {"train/loss": 0})
        run.close()
        assert read_metrics(disk)[-1]["step"] == step + 1
        assert board_events(disk)[-1] == (step + 1, "simple_value", "train/loss")


def test_flush_comes_back_when_the_lines_are_on_the_disk(workdir, monkeypatch):
    with Report(workdir, step=0, total_steps=9, quiet=True) as r:
        r.scalars(1, 0, 0, {"train/loss": 1})
        r.picture(1, "", np.zeros((4, 4, 3), np.uint8))
        synced = []
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
        r.flush()
        files = [workdir / "metrics.jsonl", *workdir.glob("tensorboard/*")]
        assert sorted(synced) == sorted(os.stat(file).st_ino for file in files)


def test_opening_removes_what_comes_after_the_step(workdir):
    run_until(workdir, 70)
    Report(workdir, step=50, total_steps=100, quiet=True).close()
    assert [m["step"] for m in read_metrics(workdir)] == [10, 20, 30, 40, 50]
    assert [step for _, step, _ in report.find_pictures(workdir)] == [10, 20, 30, 40, 50]


def test_repair_keeps_each_step_once_and_a_last_line_without_its_newline(workdir):
    workdir.mkdir()
    lines = ['{"step": 1, "train/x": 1}', '{"step": 1, "train/x": 2}', '{"step": 2}']
    (workdir / "metrics.jsonl").write_text("\n".join(lines))
    Report(workdir, step=2, total_steps=9, quiet=True).close()
    assert read_metrics(workdir) == [{"step": 1, "train/x": 2}, {"step": 2}]


def test_step_0_starts_afresh_whatever_was_there(workdir):
    run_until(workdir, 20)
    (workdir / "metrics.jsonl").write_text("broken\nlines\n")
    (workdir / "samples" / "mine.png").write_text("not a sample of the run")
    Report(workdir, step=0, total_steps=9, quiet=True).close()
    assert metrics_text(workdir) == ""
    assert board_events(workdir) == []
    assert [p.name for p in (workdir / "samples").iterdir()] == ["mine.png"]


@pytest.mark.parametrize("line", ["{", "[]", '{"step": 1.5}', '{"step": 1, "train/x": NaN}', ""])
def test_a_broken_line_is_named_unless_it_is_the_last(workdir, line):
    workdir.mkdir()
    path = workdir / "metrics.jsonl"
    path.write_text('{"step": 1}\n' + line + "\n")
    assert read_metrics(workdir) == [{"step": 1}]
    path.write_text('{"step": 1}\n' + line + '\n{"step": 3}\n')
    with pytest.raises(UserError, match="line 2 is not"):
        read_metrics(workdir)


def test_no_metrics_is_an_empty_list(workdir):
    assert read_metrics(workdir) == []


def test_tensorboard_is_told_to_forget_what_comes_again(workdir):
    run_until(workdir, 30)
    run_until(workdir, 30, resume_at=20)
    scalar, image = ("simple_value", "train/loss"), ("image", "samples")
    assert board_events(workdir) == [
        *[(10, *scalar), (10, *image), (20, *scalar), (20, *image), (30, *scalar), (30, *image)],
        *[(21, "start", ""), (30, *scalar), (30, *image)],
    ]


def test_pictures_have_the_step_and_the_name(workdir):
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    with Report(workdir, step=0, total_steps=9, quiet=True) as r:
        r.picture(7, "", gray)
        r.picture(7, "two-words", np.zeros((3, 4, 3), np.uint8))
        r.picture(123456789, "", gray)
    found = [(name, step) for name, step, _ in report.find_pictures(workdir)]
    assert found == [("", 7), ("", 123456789), ("two-words", 7)]
    written = np.asarray(Image.open(str(workdir / "samples" / "00000007.png")).convert("L"))
    np.testing.assert_array_equal(written, gray[..., 0])
    assert (workdir / "samples" / "00000007-two-words.png").exists()


def test_plain_progress_is_a_line_now_and_then(monkeypatch):
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(report.time, "monotonic", lambda: clock.now)
    stream = io.StringIO()
    progress = Progress(stream, 1000, 5000)
    for step in range(1100, 5001, 100):  # two seconds each
        progress.update(step, 12345.6, {"train/loss": 0.25, "eval/fid": 31.4159, "c": 3, "d": 4})
        clock.now += 2
    progress.message("saved")
    progress.close()
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    assert lines[0] == "step 1,100/5,000  12,346 images/s  loss 0.25  eval/fid 31.42  c 3"
    assert (
        lines[1] == "step 1,600/5,000  1m 08s left  12,346 images/s  loss 0.25  eval/fid 31.42  c 3"
    )
    assert len(lines) == 10  # 78 seconds; the message; the end
    assert lines[-2] == "saved"
    assert lines[-1].startswith("step 5,000/5,000  0s left")


def test_live_progress_is_one_line_and_messages_stand_above_it(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    progress = Progress(stream, 0, 10)
    progress.update(5, 200, {"train/loss": 1.5})
    progress.message("saved")
    progress.update(10, 200, {"train/loss": 1.25})
    progress.close()
    text = stream.getvalue()
    assert text.count("\n") == 2  # the message's and the end's
    assert "saved\n" in text
    assert text.rstrip().rsplit("\r", 1)[-1].startswith("100%|")
    assert text.rstrip().endswith("step 10/10  0s left  200 images/s  loss 1.25")


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()], ids=["terminal", "pipe"])
def test_nothing_comes_after_the_last_line(workdir, monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    with Report(workdir, step=0, total_steps=2) as r:
        r.progress(1, 10.0, {})
        r.progress(2, 10.0, {})  # not printed yet where lines come every ten seconds
        r.close("done: 2 steps")
    lines = stream.getvalue().splitlines()
    assert lines[-1].strip() == "done: 2 steps" and "step 2/2" in lines[-2]


def test_quiet_prints_nothing(workdir, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    for quiet in (True, False):
        with Report(workdir, step=0, total_steps=9, quiet=quiet) as r:
            r.progress(1, 10.0, {})
            r.message("hello")
        assert ("hello" in stream.getvalue()) is not quiet
        r.close()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.12345, "0.1235"),
        (-1.5e-5, "-1.50e-05"),
        (51234.5, "51,234"),
        (1e12, "1.000e+12"),
    ],
)
def test_numbers_are_short(value, text):
    assert report.format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.7, "1m 00s"), (200, "3m 20s"), (7500, "2h 05m"), (273600, "3d 04h")],
)
def test_durations_have_two_units(seconds, text):
    assert report.format_duration(seconds) == text
