"""Checkpoints: which are kept, that they are what was saved, and what is said where none is."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from genjax.errors import UserError
from genjax.workdir import Checkpoints, restore, restore_arrays, saved_steps
from genjax.workdir.checkpoint import DAMAGED_FOLDER


@pytest.fixture
def folder(tmp_path):
    return epath.Path(tmp_path) / "checkpoints"


def _steps(folder):
    return sorted(int(path.name) for path in folder.glob("[0-9]*"))


def _state(value=0.0):
    return {"network": {"w": jnp.full(3, float(value))}, "step": jnp.int32(value)}


def _abstract(state):
    """What a restore asks for; the state is donated later."""
    found = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
    )
    return lambda step: found


def _fail(line):
    raise AssertionError(f"nobody should be told {line!r}")


@pytest.mark.parametrize(("mode", "best"), [("max", 2), ("min", 3), ("", None)])
def test_the_newest_and_the_best_are_kept(folder, mode, best):
    options = {"best": "eval/x", "best_mode": mode} if mode else {}
    scores = {1: 5.0, 2: 9.0, 3: 1.0, 4: 4.0, 5: 3.0, 6: 2.0}
    with Checkpoints(folder.parent, keep=2, **options) as kept:
        for step, score in scores.items():
            kept.save(step, _state(step), {}, {"eval/x": score, "eval/y": -score})
        kept.wait()
        assert kept.latest() == 6
        if mode:
            assert kept.best() == (best, scores[best])
    assert _steps(folder) == sorted({5, 6} | ({best} if mode else set()))


@pytest.mark.parametrize(("mode", "best"), [("max", (3, 9.0)), ("min", (2, 1.0))])
def test_the_best_may_be_among_the_newest(folder, mode, best):
    with Checkpoints(folder.parent, keep=3, best="eval/x", best_mode=mode) as kept:
        assert kept.best() is None
        for step, score in {1: 5.0, 2: 1.0, 3: 9.0}.items():
            kept.save(step, _state(step), {}, {"eval/x": score})
        assert kept.best() == best


def test_a_checkpoint_without_a_score_is_never_the_best(folder):
    with Checkpoints(folder.parent, keep=1, best="eval/x") as kept:
        for step, metrics in ((1, {"eval/x": 1.0}), (2, {}), (3, {"eval/x": np.nan}), (4, {})):
            kept.save(step, _state(step), {}, metrics)
        assert kept.best() == (1, 1.0)
    assert _steps(folder) == [1, 4]


def test_the_same_bits_come_back(folder):
    key = jax.random.key(0)
    state = {
        "f32": jax.random.normal(key, (33, 7)),
        "odd": jnp.array([0.0, -0.0, jnp.inf, 1e-45, 3e38]),
        "bf16": jax.random.normal(key, (5,), jnp.bfloat16),
        "counts": jnp.arange(4),
        "nothing": (),
        "one": jnp.int32(7),
    }
    progress = {"sums": {"loss": 0.1 + 0.2}, "steps": 3, "seconds": 1.5}
    with Checkpoints(folder.parent) as kept:
        kept.save(5, state, progress, {})
    with Checkpoints(folder.parent) as kept:
        found = kept.restore(_abstract(state), _fail)
    assert (found.step, found.progress) == (5, progress)
    restored = found.state
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    for ours, theirs in zip(jax.tree.leaves(restored), jax.tree.leaves(state), strict=True):
        assert ours.dtype == theirs.dtype and ours.sharding == theirs.sharding
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()


def test_donation_after_an_asynchronous_save_does_not_change_what_is_written(folder):
    """The loop goes on with the state, in place, while it is being written.

    Under `debug_nans` nothing would be donated.
    """
    update = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)
    size = 4_000_000  # long to write, beside the updates
    for attempt in range(3):
        state = {f"w{i}": jnp.full(size, float(i)) for i in range(3)}
        abstract = _abstract(state)
        with Checkpoints(folder.parent / str(attempt)) as kept, jax.debug_nans(False):
            kept.save(1, state, {}, {})
            for _ in range(5):
                given, state = state, update(state)
            jax.block_until_ready(state)
            assert given["w0"].is_deleted()
            np.testing.assert_array_equal(state["w0"], 5)
            kept.wait()
            restored = kept.restore(abstract, _fail).state
        for i in range(3):
            np.testing.assert_array_equal(restored[f"w{i}"], float(i))


def test_an_incomplete_checkpoint_is_not_there(folder):
    """What a kill in the middle of writing leaves."""
    with Checkpoints(folder.parent) as kept:
        kept.save(1, _state(1), {}, {})
    unfinished = folder / "2.orbax-checkpoint-tmp"
    (unfinished / "state").mkdir(parents=True)
    with Checkpoints(folder.parent) as kept:
        assert kept.latest() == 1
        kept.save(2, _state(2), {}, {})
        kept.wait()
        restored = kept.restore(_abstract(_state()), _fail).state
    np.testing.assert_array_equal(restored["network"]["w"], 2)


# {a file of the newest checkpoint: what is said of it when it is damaged}; "" is never missed.
FILES = {
    "_CHECKPOINT_METADATA": "notes",
    "metrics/metrics": "metrics",
    "state/_METADATA": "",
    "state/manifest.ocdbt": "",
    "state/d/*": "",
    "state/ocdbt.process_0/d/*": "",
}


def _large(value):
    """As `_state`, with an array that is not kept inside TensorStore's index."""
    return _state(value) | {"large": value + jax.random.normal(jax.random.key(0), (5000,))}


def _cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().length // 2])


def _flip(path):
    content = bytearray(path.read_bytes())
    # Of the loop's progress a digit, as JSON it is; of Orbax's notes, which say things twice, what
    # makes them unreadable; of data anything.
    if b'"steps": ' in content:
        place = content.index(b'"steps": ') + 9
    else:
        place = 0 if content.startswith(b"{") else len(content) // 2
    content[place] ^= 1
    path.write_bytes(bytes(content))


DAMAGE = {"missing": lambda path: path.unlink(), "cut": _cut, "flipped": _flip}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_used(folder, name, how):
    options, told = {"best": "eval/x"}, []
    with Checkpoints(folder.parent, **options) as kept:
        for step in (1, 2, 3):
            kept.save(step, _large(step), {"steps": step}, {"eval/x": float(step)})
    (file,) = (folder / "3").glob(name)
    DAMAGE[how](file)
    with Checkpoints(folder.parent, **options) as kept:
        found = kept.restore(_abstract(_large(0)), told.append)
        assert (found.step, found.progress) == (2, {"steps": 2})
        np.testing.assert_array_equal(found.state["network"]["w"], 2)
        (line,) = told
        assert "checkpoint 3 is damaged" in line and "checkpoint 2 used" in line
        assert FILES[name] in line or how != "missing"
        assert _steps(folder) == [1, 2] and _steps(folder.parent / DAMAGED_FOLDER) == [3]
        kept.save(3, _large(3), {}, {"eval/x": 3.0})  # the run comes to that step again
        assert kept.best() == (3, 3.0)


@pytest.mark.parametrize("name", ["_CHECKPOINT_METADATA", "metrics/metrics"])
def test_notes_of_older_checkpoints_may_be_damaged_too(folder, name):
    """Orbax reads them all when it opens the folder."""
    options, told = {"best": "eval/x"}, []
    with Checkpoints(folder.parent, **options) as kept:
        for step in (1, 2):
            kept.save(step, _state(step), {}, {"eval/x": float(step)})
    _cut(folder / "1" / name)
    with Checkpoints(folder.parent, **options) as kept:
        assert kept.restore(_abstract(_state()), told.append).step == 2
        assert len(told) == 1 and "checkpoint 1 is damaged" in told[0]
        assert kept.best() == (2, 2.0)


def test_a_state_of_another_form_is_of_another_version(folder):
    with Checkpoints(folder.parent, made_by={"genjax": "0.0 abc"}) as kept:
        kept.save(1, _state(), {}, {})
    more = _state() | {"average": jnp.ones(3)}
    less = {"network": _state()["network"]}
    for wanted, name in ((more, "average"), (less, "step")):
        with pytest.raises(UserError, match=rf"another version.*\(0.0 abc\).*\({name}\)"):
            Checkpoints(folder.parent).restore(_abstract(wanted), _fail)
    assert _steps(folder) == [1]


def test_no_whole_checkpoint_is_an_error_and_nothing_is_moved(folder):
    with Checkpoints(folder.parent) as kept:
        for step in (1, 2):
            kept.save(step, _state(step), {}, {})
    for path in folder.glob("*/state/manifest.ocdbt"):
        path.unlink()
    steps = saved_steps(folder.parent)
    only_looks = functools.partial(restore, folder.parent, steps)
    for attempt in (Checkpoints(folder.parent).restore, only_looks):
        with pytest.raises(UserError, match=r"no checkpoint .* can be used: 2 \(.*; 1 \("):
            attempt(_abstract(_state()), _fail)
    with pytest.raises(UserError, match="no checkpoint"):
        restore_arrays(folder.parent, saved_steps(folder.parent), ("network",))
    assert _steps(folder) == [1, 2]


def test_who_only_looks_moves_nothing(folder):
    told = []
    with Checkpoints(folder.parent) as kept:
        for step in (1, 2):
            kept.save(step, _large(step), {}, {})
    (data,) = (folder / "2").glob("state/ocdbt.process_0/d/*")
    _flip(data)
    steps = saved_steps(folder.parent)
    assert restore(folder.parent, steps, _abstract(_large(0)), told.append).step == 1
    assert "checkpoint 2 is damaged (1 of 3 arrays are not what was saved: large" in told[0]
    np.testing.assert_array_equal(
        restore_arrays(folder.parent, saved_steps(folder.parent), ("network",))["network"]["w"], 1
    )
    assert _steps(folder) == [1, 2]


def test_another_shape_or_structure_is_no_damage_to_move(folder):
    """What another version of the code would ask for."""
    with Checkpoints(folder.parent) as kept:
        kept.save(1, _state(1), {}, {})
    other = {"network": {"w": jnp.zeros(4)}, "step": jnp.int32(0)}
    with pytest.raises(UserError, match="no checkpoint"):
        Checkpoints(folder.parent).restore(_abstract(other), _fail)
    assert _steps(folder) == [1]


def test_nothing_is_made_before_the_first_save(folder):
    with Checkpoints(folder.parent) as kept:
        assert kept.latest() is None
    assert _steps(folder) == []


def test_restore_arrays_gives_the_named_parts_as_numpy(folder):
    with Checkpoints(folder.parent) as kept:
        kept.save(1, _state(1), {}, {})
        kept.save(2, _state(2), {}, {})
    arrays = restore_arrays(folder.parent, saved_steps(folder.parent), ("network",))
    assert list(arrays) == ["network"]
    assert isinstance(arrays["network"]["w"], np.ndarray)
    np.testing.assert_array_equal(arrays["network"]["w"], [2, 2, 2])


def test_restore_arrays_says_what_is_missing(folder):
    workdir = folder.parent
    with pytest.raises(UserError, match="has no checkpoints"):
        restore_arrays(workdir, saved_steps(workdir), ("network",))
    folder.mkdir()
    with pytest.raises(UserError, match="has no checkpoints"):
        restore_arrays(workdir, saved_steps(workdir), ("network",))
    with Checkpoints(folder.parent) as kept:
        kept.save(1, _state(1), {}, {})
    with pytest.raises(UserError, match="has no generator or average"):
        restore_arrays(workdir, saved_steps(workdir), ("network", "generator", "average"))


@flax.struct.dataclass
class _Before:
    network: Any


@flax.struct.dataclass
class _Now:
    network: Any
    memory: Any = flax.struct.field(default_factory=dict)


def test_a_field_that_holds_nothing_is_not_written(folder):
    """A state whose new field is empty goes on from a checkpoint of before there was the field."""
    network = _state(3)["network"]
    old, new = _Before(network), _Now(network, {})
    for step, state in ((1, old), (2, new)):
        with Checkpoints(folder.parent, keep=3) as kept:
            kept.save(step, state, {}, {})
            kept.wait()
    for step in (1, 2):
        restored = restore(folder.parent, [step], _abstract(new), _fail)
        assert restored.state.memory == {}
        np.testing.assert_array_equal(restored.state.network["w"], network["w"])
