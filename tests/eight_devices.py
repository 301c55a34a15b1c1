"""Tiny runs on all the devices that there are; test_devices.py runs it where there are eight.

python tests/eight_devices.py FOLDER NAME [NAME ...]
"""

import json
import sys
import traceback

import jax
from etils import epath

from genjax import parallel, rng
from genjax.errors import UserError
from genjax.runs import abstract_state, build
from genjax.train import train
from tests.tiny import tiny

# Where pictures are the batch: one for each device, of one shape.
EIGHT_CONTENTS = {
    "content": "coffee,astronaut,cat,coffee,cat,astronaut,cat,coffee",
    "content_fit": "crop",
}
THREE_CONTENTS = {"content": "coffee,astronaut,cat", "content_fit": "crop"}
MODES = ("jit", "pmap", "fsdp")
CHANGES = (("jit", "pmap"), ("pmap", "jit"), ("fsdp", "jit"), ("jit", "fsdp"))


def overrides(name: str) -> dict:
    """What a run on eight devices changes of the tiny config, besides `parallel`."""
    if name == "style-lbfgs":
        # Line searches amplify: where one stops depends on the last bits, and so do all after it.
        return EIGHT_CONTENTS | {"train.steps": 4}
    if name == "cnn":
        # At step 10 a ReLU crosses zero in one order of sums and not in another: the difference,
        # 2e-6 until then, becomes 1e-4.
        return {"train.steps": 8}
    return EIGHT_CONTENTS if name.startswith("style") else {}


def runs(folder: epath.Path, name: str):
    """The run `name` in every mode; one of them also begun in one mode and ended in another."""
    for mode in MODES:
        train(tiny(name, **overrides(name), parallel=mode), folder / f"{name}-{mode}")
    if name == "vae":
        for first, last in CHANGES:
            workdir = folder / f"{name}-{first}-{last}"
            train(tiny(name, parallel=first, **{"train.steps": 6}), workdir)
            train(tiny(name, parallel=last), workdir)
    if name == "dcgan":
        sizes = {mode: bytes_per_device(name, mode) for mode in MODES}
        (folder / f"{name}-bytes").write_text(json.dumps(sizes))
    if name == "style-adam":  # three pictures, which no more than one device can share evenly
        train(tiny(name, **THREE_CONTENTS), folder / f"{name}-three")


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


if __name__ == "__main__":
    out = epath.Path(sys.argv[1])
    (out / "devices").write_text(str(len(jax.devices())))
    (out / "refusals").write_text("\n".join(refusals()))
    for each in sys.argv[2:]:
        try:
            runs(out, each)
        except Exception:  # the test of this run fails, with this; the others go on
            (out / f"{each}.failed").write_text(traceback.format_exc())
