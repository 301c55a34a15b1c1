"""Tiny runs on all the devices that there are; test_devices.py runs it where there are eight.

python tests/eight_devices.py FOLDER NAME [NAME ...]
"""

import sys
import traceback

import jax
from etils import epath

from genjax import parallel
from genjax.errors import UserError
from genjax.train import train
from tests.tiny import tiny

# Where pictures are the batch: one for each device, of one shape.
EIGHT_CONTENTS = {
    "content": "coffee,astronaut,cat,coffee,cat,astronaut,cat,coffee",
    "content_fit": "crop",
}
THREE_CONTENTS = {"content": "coffee,astronaut,cat", "content_fit": "crop"}
MODES = ("jit", "pmap")


def overrides(name: str) -> dict:
    """What a run on eight devices changes of the tiny config, besides `parallel`."""
    if name == "style-lbfgs":
        # Line searches amplify: where one stops depends on the last bits, and so do all after it.
        return EIGHT_CONTENTS | {"train.steps": 4}
    return EIGHT_CONTENTS if name.startswith("style") else {}


def runs(folder: epath.Path, name: str):
    """The run `name` in either mode; one of them also begun in one mode and ended in the other."""
    for mode in MODES:
        train(tiny(name, **overrides(name), parallel=mode), folder / f"{name}-{mode}")
    if name == "vae":
        for first, last in (MODES, MODES[::-1]):
            workdir = folder / f"{name}-{first}-{last}"
            train(tiny(name, parallel=first, **{"train.steps": 6}), workdir)
            train(tiny(name, parallel=last), workdir)
    if name == "style-adam":  # three pictures, which no more than one device can share evenly
        train(tiny(name, **THREE_CONTENTS), folder / f"{name}-three")


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
