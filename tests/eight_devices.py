"""Tiny runs on all the devices that there are; test_devices.py runs it where there are eight.

python tests/eight_devices.py FOLDER RUN [RUN ...]

RUN is NAME-MODE, or one of `OTHERS`.
"""

import json
import sys
import traceback
from functools import partial
from unittest import mock

import jax
import numpy as np
from etils import epath

from genjax import rng
from genjax.data import Resident
from genjax.devices import parallel
from genjax.errors import UserError
from genjax.metrics import neighbours
from genjax.metrics.rulers import Meter
from genjax.runs import abstract_state, build
from genjax.train import train
from tests import rounding
from tests.scores.stub import pictures, ruler
from tests.tiny import STEPS, tiny, without_curves

# Where pictures are the batch: one for each device, of one shape.
EIGHT_CONTENTS = {
    "content": "coffee,astronaut,cat,coffee,cat,astronaut,cat,coffee",
    "content_fit": "crop",
}
THREE_CONTENTS = {"content": "coffee,astronaut,cat", "content_fit": "crop"}
MODES = ("jit", "pmap", "fsdp")
PICTURES = pictures(77)
CHAIN = ("jit", "pmap", "jit", "fsdp", "jit")  # of one run: every change between jit and another


def overrides(name: str) -> dict:
    """What a run on eight devices changes of the tiny config, besides `parallel`."""
    if name == "style-lbfgs":
        # Line searches amplify: where one stops depends on the last bits, and so do all after it.
        return EIGHT_CONTENTS | {"train.steps": 4}
    if name == "cnn":
        # At step 10 a ReLU crosses zero in one order of sums and not in another: the difference,
        # 2e-6 until then, becomes 1e-4.
        return {"train.steps": 8}
    if name == "factor-vae":
        # Gradients of the first step agree to 1e-7; by step 4 a ReLU has crossed zero between two
        # processes, which compile other sums.
        return {"train.steps": 1}
    if name == "stylegan2":
        return {"train.batch_size": 16}  # of each device's share, paths are of half
    return EIGHT_CONTENTS if name.startswith("style-") else {}


def _twice():
    """The first example of each batch stands in the second one's place."""
    chunk = Resident.chunk

    def wrong(self, start_step, n):
        inputs = chunk(self, start_step, n)
        inputs["index"][:, 1] = inputs["index"][:, 0]
        return inputs

    return mock.patch.object(Resident, "chunk", wrong)


def _summed():
    """Devices add up what they should average."""
    return mock.patch.object(jax.lax, "pmean", jax.lax.psum)


def _unaveraged():
    """Each device goes by its own examples."""
    return mock.patch.object(jax.lax, "pmean", lambda tree, axis_name: tree)


# {error: (mode, makes it)}: what the comparison of runs is there to find.
ERRORS = {
    "twice": ("jit", _twice),
    "summed": ("pmap", _summed),
    "unaveraged": ("pmap", _unaveraged),
}


def with_error(folder: epath.Path, error: str):
    """The first line of metrics of a run that goes wrong."""
    mode, wrong = ERRORS[error]
    with wrong():
        run = build(tiny("vae", parallel=mode, **{"train.steps": STEPS // 2}))
        (line,), _ = rounding.follower(run)(lambda state: state)
    (folder / error).write_text(json.dumps(line))


def changed(folder: epath.Path):
    for i, mode in enumerate(CHAIN, start=1):
        steps = i * STEPS // len(CHAIN)
        train(tiny("vae", parallel=mode, **{"train.steps": steps}), folder / "changed")


def three(folder: epath.Path):
    """Three pictures, which no more than one device can share evenly."""
    train(tiny("style-adam", **THREE_CONTENTS), folder / "three")


def sizes(folder: epath.Path):
    (folder / "sizes").write_text(json.dumps({x: bytes_per_device("dcgan", x) for x in MODES}))


def refused(folder: epath.Path):
    (folder / "refused").write_text("\n".join(refusals()))


def features(folder: epath.Path):
    """Those of more pictures than a call takes, and a number of them that does not divide."""
    (folder / "features").write_text(json.dumps(Meter(ruler())(PICTURES)["features"].tolist()))


def whole(folder: epath.Path):
    """Many arrays of `pmap`, made whole again and again while nobody waits for the results."""
    devices = parallel.make("pmap", 8)
    arrays = {str(i): np.full(3, i, np.float32) for i in range(300)}
    state = devices.from_global(arrays)
    with jax.debug_nans(False):  # which waits for each result
        found = [devices.to_global(state) for _ in range(5)][-1]
        program = devices._first.lower(state).compile().as_text()
    same = all(np.array_equal(found[name], x) for name, x in arrays.items())
    (folder / "whole").write_text(json.dumps({"same": same, "sent": program.count("all-")}))


def balls() -> dict[str, list]:
    """Neighbours and balls of points on a grid, with ties and points that are there twice; the rows
    of a block, and of the last one, divide over no eight devices."""
    x, y = np.random.default_rng(0).integers(0, 3, (2, 45, 3)).astype(np.float32)
    with mock.patch.object(neighbours, "BLOCK", 12):
        squared, index = neighbours.nearest(x, y, 3)
        radii = neighbours.radii(y, 4)
        inside = [np.concatenate(list(neighbours.inside(x, y, radii, b))) for b in (True, False)]
    return {
        name: array.tolist()
        for name, array in zip(
            ("squared", "index", "radii", "closed", "open"),
            (squared, index, radii, *inside),
            strict=True,
        )
    }


def neighbouring(folder: epath.Path):
    (folder / "neighbouring").write_text(json.dumps(balls()))


_FUNCTIONS = (changed, three, sizes, refused, whole, features, neighbouring)
OTHERS = {f.__name__: f for f in _FUNCTIONS}
OTHERS |= {error: partial(with_error, error=error) for error in ERRORS}


def bytes_per_device(name: str, mode: str) -> int:
    """What the state of a run takes of each device, as it is made and as a restore makes it."""
    run = build(tiny(name, parallel=mode))
    key = rng.stream(0, rng.Stream.INIT)
    state = run.devices.init(run.task.init, key, run.task.constants)
    planned = jax.tree.map(lambda x: x.sharding, abstract_state(run))
    assert planned == jax.tree.map(lambda x: x.sharding, state)
    return run.devices.bytes_per_device(state)


def refusals() -> list[str]:
    """What a batch of 12 is told."""
    told = []
    for mode in MODES:
        try:
            parallel.make(mode, 12)
        except UserError as error:
            told.append(str(error))
    return told


def make(folder: epath.Path, run: str):
    if run in OTHERS:
        OTHERS[run](folder)
    else:
        name, _, mode = run.rpartition("-")
        train(tiny(name, **overrides(name), parallel=mode), folder / run)


if __name__ == "__main__":
    without_curves()
    out = epath.Path(sys.argv[1])
    (out / "devices").write_text(str(len(jax.devices())))
    for each in sys.argv[2:]:
        try:
            make(out, each)
        except Exception:  # the test of this run fails, with this; the others go on
            (out / f"{each}.failed").write_text(traceback.format_exc())
