"""Exit codes, and the one line that a person reads."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from genjax.errors import Interrupted, NonFiniteError, UserError, exit_code, one_line, tell
from tests.disks import small_disk

ROOT = Path(__file__).resolve().parents[1]
XLA_MESSAGES = (
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 123 bytes.",
    "INTERNAL: Error dispatching computation: Out of memory allocating 123 bytes.",
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("no"), 2),
        (Interrupted("SIGTERM"), 75),
        (NonFiniteError("nan"), 1),
        (MemoryError(), 2),
        (KeyboardInterrupt(), 75),
        (ValueError("a bug"), None),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), None),
        (OSError("without a number"), None),
        *[(RuntimeError(message), 2) for message in XLA_MESSAGES],
    ],
)
def test_exit_codes(error, code):
    assert exit_code(error) == code


def test_lines_begin_with_error_except_for_a_request_that_was_honoured():
    assert one_line(UserError("set\n  this")) == "error: set this"
    assert one_line(NonFiniteError("nan")) == "error: nan"
    assert one_line(Interrupted("SIGINT: saved")) == "SIGINT: saved"
    assert one_line(KeyboardInterrupt()).startswith("interrupted with nothing under way")


@pytest.mark.parametrize("error", [MemoryError(), *map(RuntimeError, XLA_MESSAGES)])
def test_out_of_memory_says_what_to_make_smaller(error):
    line = one_line(error)
    assert line.startswith("error: out of memory; lower train.batch_size")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "permissions"),
        (errno.EROFS, "choose another place"),
        (errno.ENOSPC, "make room"),
        (errno.EEXIST, "a folder is needed"),
        (errno.ENOTDIR, "a folder is needed"),
        (errno.ENAMETOOLONG, "shorter"),
    ],
)
def test_a_place_that_the_system_refuses_is_for_the_user_to_mend(number, advice):
    error = OSError(number, os.strerror(number), "runs/x")
    assert exit_code(error) == 2
    assert one_line(error).startswith(f"error: runs/x: {os.strerror(number)}; ")
    assert advice in one_line(error)


def test_the_system_does_not_always_name_the_place():
    error = OSError(errno.ENOSPC, "No space left on device")
    assert one_line(error) == "error: No space left on device; make room on the disk"


@pytest.mark.parametrize(
    "text",
    [
        'RESOURCE_EXHAUSTED: Failed writing: "runs/x": Failed to write 9 bytes to file 8: No space '
        "left on device [os_error_code='28']",
        'Error writing "runs/x": [OS error 28: ENOSPC No space left on device]',
    ],
)
def test_a_full_disk_that_tensorstore_finds_is_no_lack_of_memory(text):
    assert exit_code(ValueError(text)) == 2
    line = "error: runs/x: No space left on device; make room on the disk"
    assert one_line(ValueError(text)) == line


def test_a_full_disk_under_a_checkpoint(tmp_path):
    """The text is TensorStore's own: an update that words it anew fails here."""
    state = {"w": jnp.asarray(np.random.default_rng(0).normal(size=2_000_000))}
    with (
        small_disk(tmp_path / "disk", "1m") as disk,
        pytest.raises(ValueError, match="RESOURCE_EXHAUSTED") as error,
        ocp.training.Checkpointer(disk / "checkpoints") as checkpointer,
    ):
        checkpointer.save_checkpointables(1, {"state": state})
    assert exit_code(error.value) == 2
    line = one_line(error.value)
    assert line.startswith(f"error: {disk}/checkpoints/1")
    assert line.endswith(": No space left on device; make room on the disk")


def test_a_number_of_the_system_in_a_message_of_ours_is_no_refusal():
    error = UserError("x has the text [OS error 28: ENOSPC]: mend it")
    assert one_line(error) == f"error: {error}"


def test_what_nobody_foresaw_is_raised_again(capsys):
    with pytest.raises(ValueError, match="a bug"):
        tell(ValueError("a bug"))
    assert tell(UserError("no")) == 2
    assert capsys.readouterr().err == "error: no\n"


def test_memory_that_really_runs_out(tmp_path):
    limited = (  # so that no machine tries
        "import resource, sys, main; resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34));"
        "sys.exit(main.main(sys.argv))"
    )
    options = (
        *("--config=configs/vae.py", f"--workdir={tmp_path}/run", "--config.train.steps=1"),
        "--config.model.hidden=2000000000",  # 6 TB of weights
    )
    process = subprocess.run(
        [sys.executable, "-c", limited, *options],
        cwd=ROOT,
        # JAX's check for NaN would wait for ever for the array that could not be made.
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DEBUG_NANS": "false"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 2
    last = process.stderr.splitlines()[-1]
    assert re.fullmatch(
        r"error: this needs \d+\.\d GB of memory, and .* GB are free: lower .*", last
    )
    assert "Traceback" not in process.stderr
