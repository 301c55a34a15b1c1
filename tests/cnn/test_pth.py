"""Files as PyTorch writes them, made here without it."""

import collections
import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from genjax.cnn import pth
from genjax.errors import UserError

_KINDS = {"f": "Float", "d": "Double", "e": "Half", "l": "Long", "?": "Bool"}


class _Storage:
    def __init__(self, array):
        self.array = array


class _Tensor:
    def __init__(self, array, offset=0, shape=None, strides=None, storage=None):
        self.storage = storage or _Storage(array)
        self.offset, self.shape = offset, array.shape if shape is None else shape
        steps = [s // array.itemsize for s in array.strides]
        self.strides = tuple(steps if strides is None else strides)

    def __reduce__(self):
        view = (self.storage, self.offset, self.shape, self.strides)
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (*view, False, collections.OrderedDict())


@pytest.fixture(autouse=True)
def torch(monkeypatch):
    """Names that pickle can look up, as PyTorch's files have them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in _KINDS.values():
        name = f"{kind}Storage"
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def _rebuild_tensor_v2():
        raise NotImplementedError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


def pickled(top, storages):
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, _Storage):
                return None
            key = str(storages.setdefault(id(obj), (len(storages), obj))[0])
            kind = getattr(sys.modules["torch"], f"{_KINDS[obj.array.dtype.char]}Storage")
            return ("storage", kind, key, "cpu", obj.array.size, *legacy)

    legacy = (None,) if isinstance(storages, Legacy) else ()
    Pickler(file := io.BytesIO(), protocol=2).dump(top)
    return file.getvalue()


class Legacy(dict):
    pass


def legacy(top):
    storages = Legacy()
    tensors = pickled(top, storages)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    head = [pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, system)]
    keys = [str(i) for i, _ in storages.values()]
    data = [struct.pack("<q", s.array.size) + s.array.tobytes() for _, s in storages.values()]
    return b"".join([*head, tensors, pickle.dumps(keys, 2), *data])


def zipped(top):
    storages = {}
    tensors = pickled(top, storages)
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("net/data.pkl", tensors)
        archive.writestr("net/byteorder", "little")
        for i, storage in storages.values():
            archive.writestr(f"net/data/{i}", storage.array.tobytes())
    return file.getvalue()


@pytest.mark.parametrize("form", [legacy, zipped])
def test_reads_tensors_of_all_kinds_and_views(tmp_path, form):
    numbers = np.arange(24, dtype=np.float32).reshape(4, 6)
    shared = _Storage(numbers)
    tensors = {
        "whole": _Tensor(numbers, storage=shared),
        "turned": _Tensor(numbers, 0, (6, 4), (1, 6), shared),
        "part": _Tensor(numbers, 7, (2, 3), (6, 2), shared),
        "scalar": _Tensor(np.array(5, np.int64)),
        "none": _Tensor(np.zeros((0, 3), np.float32)),
        **{kind: _Tensor(np.arange(3).astype(kind)) for kind in "de?"},
    }
    path = tmp_path / "net.pth"
    path.write_bytes(form(collections.OrderedDict(tensors)))
    found = pth.read(path)
    assert list(found) == list(tensors)
    expected = {"whole": numbers, "turned": numbers.T, "part": numbers[1:3, 1:6:2]}
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert found["scalar"] == 5 and found["none"].shape == (0, 3)
    assert [found[kind].dtype.char for kind in "de?"] == ["d", "e", "?"]
    assert pth.read(path, "").keys() == found.keys()
    with pytest.raises(UserError, match=r"has the SHA-256 .*, not abc…"):
        pth.read(path, "abc")


@pytest.mark.parametrize("form", [legacy, zipped])
def test_a_view_beyond_its_storage_is_refused(tmp_path, form):
    numbers, path = np.arange(6, dtype=np.float32), tmp_path / "net.pth"
    for offset, shape, strides in ((0, (7,), (1,)), (5, (2,), (1,)), (0, (10**6, 10**6), (0, 0))):
        path.write_bytes(form({"w": _Tensor(numbers, offset, shape, strides)}))
        with pytest.raises(UserError, match="beyond its storage"):
            pth.read(path)


def test_what_is_broken_or_no_state_dict_is_one_line(tmp_path):
    path = tmp_path / "net.pth"
    whole = {"w": _Tensor(np.arange(100, dtype=np.float32))}
    broken = [b"", b"hello", legacy(whole)[:-10], zipped(whole)[:200], legacy({"epoch": 3})]
    for content in (*broken, pickle.dumps(print), legacy([1])):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            pth.read(path)
    with pytest.raises(UserError, match="does not exist"):
        pth.read(tmp_path / "absent.pth")


@pytest.mark.parametrize("form", [legacy, zipped])
def test_damage_anywhere_is_one_line_or_none(tmp_path, form):
    path, rng = tmp_path / "net.pth", np.random.default_rng(0)
    whole = form({"w": _Tensor(np.arange(10, dtype=np.float32)), "b": _Tensor(np.ones(2))})
    for _ in range(300):
        content = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(content), rng.integers(1, 4))
        content[places] = rng.integers(0, 256, len(places))
        path.write_bytes(content[: rng.integers(1, 2 * len(content))].tobytes())
        with contextlib.suppress(UserError):
            pth.read(path)
