"""A whole run whose workdir is in a bucket: gcsfs and TensorStore speak HTTP with an emulator."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.disks import cannot
from tests.report.test_report import board_events
from tests.rivals import rivals
from tests.tiny import ROOT, assert_same_run, command_line

WORKDIR = "gs://genjax-tests/runs/vae"

# Runs the command lines in a JSON list, one after the other, then copies the workdir to a folder.
# While the second one trains, another process tries to take the workdir.
_RUN = f"""
import json, subprocess, sys
import fsspec
from genjax.devices import parallel
import main
commands, folder = json.loads(sys.argv[1]), sys.argv[2]
place, others = parallel.Jit.place_inputs, []
def place_inputs(self, inputs):
    hold = "import sys; from genjax.workdir.lock import hold; hold(sys.argv[1]).__enter__()"
    others.append(subprocess.run([sys.executable, "-c", hold, "{WORKDIR}"], capture_output=True))
    parallel.Jit.place_inputs = place
    return place(self, inputs)
codes = []
for number, command in enumerate(commands):
    if number == 1:
        parallel.Jit.place_inputs = place_inputs
    codes.append(main.main(command))
fsspec.filesystem("gs").get("{WORKDIR}/", folder, recursive=True)
print(json.dumps([codes, others[0].stderr.decode()]))
"""


@pytest.fixture
def bucket(tmp_path):
    """The environment in which `gs://genjax-tests` is an empty bucket on this machine."""
    for package in ("gcsfs", "gcp_storage_emulator"):
        if not importlib.util.find_spec(package):
            cannot(f'{package} is missing: pip install -e ".[test]"')
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, ROOT / "tests" / "bucket.py", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        while socket.socket().connect_ex(("localhost", port)):
            assert server.poll() is None, "the emulator did not start"
            time.sleep(0.05)
        url = f"http://localhost:{port}"
        yield os.environ | {
            "PYTHONPATH": str(ROOT),
            "STORAGE_EMULATOR_HOST": url,
            "TENSORSTORE_GCS_HTTP_URL": url,
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "none",
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # would ask the real service
            "EPATH_USE_TF": "false",
        }
    finally:
        server.terminate()
        server.wait()


def test_places_that_cannot_be_used(bucket, tmp_path):
    """An unknown scheme, a package that is not there, a bucket that is not there."""
    attempt = "import sys; from genjax import files; from genjax.errors import tell\n"
    attempt += "from genjax.workdir import lock\n"
    attempt += "if sys.argv[2:]: sys.modules['gcsfs'] = None\n"  # as if it were not installed
    attempt += "try: lock.hold(files.place(sys.argv[1])).__enter__()\n"
    attempt += "except Exception as error: sys.exit(tell(error))"
    cases = {
        ("other://x/run",): "error: other://x/run is no place",
        ("gs://genjax-tests/run", "without"): 'that is pip install -e ".[gcs]"',
        ("gs://genjax-none/run",): "error: gs://genjax-none/run cannot be written to: no such",
    }
    for arguments, message in cases.items():
        done = subprocess.run(
            [sys.executable, "-c", attempt, *arguments],
            env=bucket,
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and message in done.stderr.splitlines()[-1], done.stderr


# Leaves the lease of a process of another host, which has not renewed it for a minute.
_STALE = f"""
import json, time, fsspec
from genjax.workdir import lock
record = {{"host": "elsewhere", "token": "theirs", "renewed": time.time() - 61}}
lease = f"{WORKDIR}/{{lock.LEASE_FILE}}"
fsspec.filesystem("gs").pipe_file(lease, json.dumps(record).encode())
"""


@pytest.mark.parametrize("before", ["", _STALE], ids=["none", "stale"])
def test_of_two_that_start_at_once_one_gets_the_bucket(bucket, before):
    subprocess.run([sys.executable, "-c", before], env=bucket, cwd=ROOT, check=True)
    with rivals(WORKDIR, env=bucket) as race:
        assert min(race() for _ in range(5)) < 1  # second: nobody waits to see who came last


# What two do that have seen the same, in a folder whose name means something in a URL.
_TWO = """
from etils import epath
from genjax.workdir import lock
path = epath.Path("gs://genjax-tests/50% of/run.lease")
ours, theirs = lock._Object(path), lock._Object(path)
_, none = theirs.read()
assert ours.take({"token": "ours"}, none)
assert not theirs.take({"token": "theirs"}, none)
_, first = theirs.read()
ours.renew({"token": "ours", "renewed": 1}, first)
theirs.renew({"token": "theirs"}, first)
theirs.drop(first)
assert path.read_text() == '{"token": "ours", "renewed": 1}'
_, second = theirs.read()
ours.drop(second)
for each in (theirs.renew, theirs.take):
    assert not each({"token": "theirs"}, second)
theirs.drop(second)
assert theirs.read() == ({}, none) and not path.exists()
"""


def test_a_lease_in_a_bucket_is_changed_by_who_saw_what_is_there(bucket):
    subprocess.run([sys.executable, "-c", _TWO], env=bucket, cwd=ROOT, check=True)


@pytest.mark.slow
def test_a_run_in_a_bucket(bucket, tmp_path, finished):
    """Trained in two pieces, evaluated and sampled; equal to a run in a local folder."""
    folder, reference = tmp_path / "copy", finished("vae")
    train = command_line("vae", WORKDIR)
    commands = [
        command_line("vae", WORKDIR, **{"train.steps": 6}),
        train,
        [*train, "--mode=evaluate"],
        [*train, "--mode=evaluate"],
        [*train, "--mode=sample"],
        [*train, "--config.seed=1"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(commands), folder],
        env=bucket,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    codes, other = json.loads(done.stdout.splitlines()[-1])
    assert codes == [0, 0, 0, 0, 0, 2], done.stderr
    assert "seed (0 there, 1 here)" in done.stderr.splitlines()[-1]
    assert f"{WORKDIR} is in use by process" in other
    assert_same_run(folder, reference)
    scores = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert len(scores) % 2 == 0 and {score["step"] for score in scores} == {12}
    assert np.load(folder / "samples.npz")["images"].shape[0] == 8
    assert Image.open(folder / "samples.png").size
    assert "done: 12 steps" in (folder / "report.html").read_text()
    assert {step for step, _, _ in board_events(folder)} >= {6, 12}
    left = {path.name for path in folder.iterdir()}
    assert "run.lease" not in left and not [name for name in left if "partial" in name]
