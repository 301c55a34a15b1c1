"""Feeds: resident and streamed give the same bytes, whatever cannot be read."""

import logging
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from genjax.data import evaluation_batches, look_at, open_dataset, open_feed, order, select
from genjax.data import feed as feed_lib
from genjax.data.dataset import Subset
from genjax.errors import UserError
from tests.tiny import ROOT

SEED, BATCH = 3, 4
ROWS = np.arange(BATCH)


def config(root, **changes):
    values = dict(
        name=f"folder:{root}",
        size=3,
        channels=0,
        classes=(),
        validation=0,
        window="",
        labels="folders",
        test_fraction=0.0,
        max_corrupt=0,
    )
    feed = dict(placement="auto", resident_limit_mb=1, workers=0)
    return ConfigDict({**values, **feed, **changes})


@pytest.fixture
def root(tmp_path):
    for i in range(10):
        (tmp_path / str(i % 2)).mkdir(exist_ok=True)
        Image.new("RGB", (5, 4), (i, 10 * i, 255 - i)).save(tmp_path / f"{i % 2}/{i}.png")
    return tmp_path


def feed(data, rows=ROWS, **changes):
    split = open_dataset(config(data, **changes)).train
    return open_feed(split, config(data, **changes), BATCH, rows, SEED, lambda line: None)


def batches(data, start, n, rows=ROWS, **changes):
    source = feed(data, rows, **changes)
    x = source.chunk(start, n)
    out = [select(source.arrays, {key: x[key][t] for key in x}) for t in range(n)]
    source.close()
    return jax.tree.map(np.asarray, out)


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys() == {"image", "label", "index"}
        for key in a:
            np.testing.assert_array_equal(a[key], b[key])
            assert a[key].dtype == b[key].dtype


def damage(root, *files):
    for file in files:
        path = root / file
        path.write_bytes(path.read_bytes()[:40])


def test_batches_follow_the_order(root):
    found = batches(root, 2, 3, placement="resident")
    split = open_dataset(config(root)).train
    for t, batch in enumerate(found):
        expected = order.indices(SEED, 10, (2 + t) * BATCH, BATCH)
        np.testing.assert_array_equal(batch["index"], expected)
        for k, i in enumerate(expected):
            np.testing.assert_array_equal(batch["image"][k], split[i]["image"])
            assert batch["label"][k] == split[i]["label"]


@pytest.mark.parametrize("bad", [(), ("0/2.png", "0/4.png", "1/9.png")])
def test_resident_and_stream_are_the_same_bytes(root, bad):
    damage(root, *bad)
    resident = batches(root, 1, 6, placement="resident", max_corrupt=3)
    stream = batches(root, 1, 6, placement="stream", max_corrupt=3)
    assert_same(resident, stream)
    used = set(np.concatenate([batch["index"] for batch in stream]).tolist())
    assert used == set(range(10)) - ({1, 2, 9} if bad else set())


def test_stream_goes_on_and_seeks(root):
    whole = batches(root, 0, 8, placement="resident")
    source = feed(root, placement="stream")
    parts = []
    for start, n in ((0, 2), (2, 1), (5, 2), (3, 2), (7, 1)):
        x = source.chunk(start, n)
        assert x["image"].shape == (n, BATCH, 3, 3, 3)
        parts += [(start + t, {key: x[key][t] for key in x}) for t in range(n)]
    source.close()
    steps, found = zip(*sorted(parts, key=lambda part: part[0]), strict=True)
    assert steps == tuple(range(8))
    assert_same(whole, found)


def test_worker_processes_read_the_same_bytes(root):
    damage(root, "0/2.png")
    few = dict(placement="stream", max_corrupt=1)
    assert_same(batches(root, 1, 5, **few), batches(root, 1, 5, workers=2, **few))
    with pytest.raises(UserError, match="1 of 10 images"):
        batches(root, 0, 4, placement="stream", workers=1)


@pytest.mark.parametrize("placement", ["resident", "stream"])
def test_unreadable_files_are_counted_and_listed(root, placement, caplog):
    damage(root, "0/2.png", "0/4.png", "1/9.png")
    with caplog.at_level(logging.WARNING, "genjax"):
        batches(root, 0, 8, placement=placement, max_corrupt=3)
    lines = " ".join(caplog.messages)
    for name in ("0/2.png", "0/4.png", "1/9.png"):
        assert lines.count(name) == 1
    assert "3 of 10 images cannot be read" in caplog.messages[-1]
    for limit in (0, 2):
        with pytest.raises(UserError) as caught:
            batches(root, 0, 8, placement=placement, max_corrupt=limit)
        message = str(caught.value)
        assert "of 10 images cannot be read" in message and f"allows {limit})" in message
        assert ".png" in message and "data.max_corrupt" in message and "\n" not in message
    for path in root.glob("*/*.png"):
        path.write_text("")
    with pytest.raises(UserError, match="none of the 10 images can be read: "):
        batches(root, 0, 3, placement=placement, max_corrupt=99)


@pytest.mark.parametrize("placement", ["resident", "stream"])
def test_a_process_makes_its_rows(root, placement):
    rows, whole = np.array([1, 3]), batches(root, 1, 3, placement=placement)
    assert_same(
        batches(root, 1, 3, rows, placement=placement),
        [{key: x[rows] for key, x in batch.items()} for batch in whole],
    )


def test_a_stream_reads_no_rows_of_other_processes(root, monkeypatch):
    read, split = [], open_dataset(config(root)).train
    original = type(split).read
    monkeypatch.setattr(type(split), "read", lambda self, i: read.append(i) or original(self, i))
    source = feed(root, np.array([1, 3]), placement="stream")
    source.chunk(0, 1)
    source.close()
    due = order.indices(SEED, 10, 0, 10 * BATCH).reshape(10, BATCH)
    seen = {int(i) for i in due[: len(read)][:, [1, 3]].ravel()}
    assert set(read) <= seen and set(due[0, [1, 3]].tolist()) <= set(read)


def test_evaluation_of_two_shares_is_that_of_the_whole(root):
    split = open_dataset(config(root)).train
    whole = list(evaluation_batches(split, BATCH, ROWS))
    shares = [list(evaluation_batches(split, BATCH, rows)) for rows in (ROWS[:2], ROWS[2:])]
    for batch, *parts in zip(whole, *shares, strict=True):
        for key, x in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[key] for part in parts]), x)


def test_evaluation_sees_each_example_once(root):
    split = open_dataset(config(root)).train
    found = list(evaluation_batches(split, BATCH, ROWS))
    assert [batch["index"].tolist() for batch in found] == [
        [0, 3, 6, 9],
        [1, 4, 7, 0],
        [2, 5, 8, 1],
    ]
    assert found[-1]["weight"].tolist() == [1, 1, 1, 0]
    assert found[-1]["weight"].dtype == np.float32 and found[0]["image"].shape == (4, 3, 3, 3)
    assert (found[-1]["image"][2] == split[8]["image"]).all()
    damage(root, "0/2.png")
    split = open_dataset(config(root, max_corrupt=1)).train
    weights = np.concatenate([batch["weight"] for batch in evaluation_batches(split, BATCH, ROWS)])
    assert weights.tolist() == [*[1] * 4, 0, 1, 1, 0, 1, 1, 1, 0]
    assert not list(evaluation_batches(open_dataset(config(root)).test, BATCH, ROWS))


def test_held_out_examples_are_looked_at_before_the_first_step(root, caplog, monkeypatch):
    split = open_dataset(config(root, max_corrupt=1)).train
    look_at(split)
    damage(root, "0/2.png")
    look_at(split)
    [message] = caplog.messages
    assert "1 of 10 images cannot be read, the next in order stand in: 0/2.png" in message
    damage(root, "1/9.png")
    with pytest.raises(
        UserError, match=r"2 of 10 images cannot be read .*allows 1\): 0/2.png, 1/9"
    ):
        look_at(split)
    # Of many, some: here the first of each half, which are sound.
    monkeypatch.setattr(feed_lib, "_LOOKED_AT", 2)
    look_at(open_dataset(config(root)).train)
    damage(root, "1/1.png")  # number 5, with which the second half begins
    with pytest.raises(UserError, match="1 of 10 images cannot be read"):
        look_at(open_dataset(config(root)).train)
    look_at(open_dataset(config(root)).test)  # empty


def test_none_that_can_be_read_is_not_measured_by_what_is_allowed(root):
    """It said "1 of 1 images cannot be read (data.max_corrupt allows 10)"."""
    damage(root, "0/2.png")
    split = open_dataset(config(root, max_corrupt=10)).train
    one = Subset(split, np.array([1]))
    with pytest.raises(UserError, match=r"none of the 1 images can be read: 0/2\.png") as caught:
        look_at(one)
    assert "max_corrupt" not in str(caught.value)


def test_placement(root):
    lines = []

    def kind(**changes):
        split = open_dataset(config(root)).train
        source = open_feed(split, config(root, **changes), BATCH, ROWS, SEED, lines.append)
        source.close()
        return type(source).__name__

    assert kind() == "Resident" and "resident" in lines[-1]
    assert kind(resident_limit_mb=0) == "Stream" and "10 images" in lines[-1]
    assert kind(resident_limit_mb=0, placement="resident") == "Resident"
    assert kind(placement="stream") == "Stream"
    with pytest.raises(UserError, match=r"data.placement=disk must be auto, resident or stream"):
        kind(placement="disk")
    with pytest.raises(UserError, match=r"data.workers=-1"):
        kind(workers=-1)


def test_a_batch_may_be_larger_than_the_set(root):
    one = root / "one" / "a"
    one.mkdir(parents=True)
    Image.new("RGB", (3, 3)).save(one / "1.png")
    for placement in ("resident", "stream"):
        [batch] = batches(root / "one", 5, 1, placement=placement)
        assert batch["index"].tolist() == [0] * BATCH


# Reads one batch through a worker process, says which it is, and waits to be killed.
_WITH_A_WORKER = """
import multiprocessing, sys, time
from tests.data.test_feed import feed
if __name__ == "__main__":
    source = feed(sys.argv[1], placement="stream", workers=1)
    source.chunk(0, 1)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(600)
"""


def _is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_worker_processes_end_with_a_killed_run(root, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(_WITH_A_WORKER)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, script, root]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        try:
            workers = [int(pid) for pid in run.stdout.readline().split()]
            assert workers and all(map(_is_alive, workers))
        finally:
            run.kill()
    deadline = time.monotonic() + 60
    while any(map(_is_alive, workers)):
        assert time.monotonic() < deadline, "a worker outlives its run"
        time.sleep(0.1)


def test_shared_memory_that_is_too_small_is_said_before_workers_start(root, monkeypatch):
    """A batch takes 27 bytes a picture; each worker may hold four."""
    small = types.SimpleNamespace(f_bavail=1, f_frsize=4 * 2 * BATCH * 27 - 1)
    monkeypatch.setattr(feed_lib.os, "statvfs", lambda place: small)
    options = config(root, placement="stream", workers=2)
    split = open_dataset(options).train
    with pytest.raises(UserError, match=r"/dev/shm, which has 0 MB free .* set data\.workers=0"):
        open_feed(split, options, BATCH, ROWS, SEED, print)
    options.workers = 0  # what it advises
    open_feed(split, options, BATCH, ROWS, SEED, print).close()
    small.f_frsize += 1
    options.workers = 2
    open_feed(split, options, BATCH, ROWS, SEED, print).close()
