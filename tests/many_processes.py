"""Tiny runs over several processes; test_processes.py starts this in each of them.

python tests/many_processes.py FOLDER PICTURES HOST:PORT PROCESSES PROCESS_ID RUN [RUN ...]

RUN is NAME-MODE, or one of the functions of `OTHERS`. PICTURES is a folder of images.
"""

import json
import sys
import traceback

from etils import epath

from genjax.data import feed
from genjax.devices import processes
from genjax.evaluate import evaluate
from genjax.metrics import rulers
from genjax.sample import sample
from genjax.train import train
from tests.eight_devices import overrides
from tests.scores.stub import ruler
from tests.tiny import STEPS, tiny, without_curves


def on_pictures(pictures, placement: str) -> dict:
    """What a run on a folder of pictures changes, which are all in the first five batches."""
    return {
        "data.name": f"folder:{pictures}",
        "data.size": 8,
        "data.channels": 1,
        "data.placement": placement,
        "evaluate.every": 0,
        "sample.every": 0,
    }


def streamed(folder: epath.Path, pictures: str):
    """A run on streamed data; what each process read is written beside it."""
    read, seen = feed._Batches.__getitem__, {}

    def look(self, i):
        batch = read(self, i)
        seen[self._first + i] = batch["index"].tolist()
        return batch

    feed._Batches.__getitem__ = look
    try:
        train(tiny("vae", **on_pictures(pictures, "stream")), folder / "streamed")
    finally:
        feed._Batches.__getitem__ = read
    read = [seen[step] for step in range(STEPS)]
    (folder / f"read-by-{processes.index()}.json").write_text(json.dumps(read))


def verbs(folder: epath.Path, pictures: str):
    """Evaluates, scores and samples what one of the runs above trained."""
    rulers.load = lambda name: ruler()
    scores = {"score.metrics": ("kid",), "score.n": 20}
    evaluate(tiny("vae", **scores), folder / "vae-jit")
    sample(tiny("vae"), folder / "vae-jit")


OTHERS = {"streamed": streamed, "verbs": verbs}


def make(folder: epath.Path, pictures: str, run: str):
    if run in OTHERS:
        OTHERS[run](folder, pictures)
    else:
        name, _, mode = run.rpartition("-")
        train(tiny(name, **overrides(name), parallel=mode), folder / run)


if __name__ == "__main__":
    without_curves()
    out = epath.Path(sys.argv[1])
    processes.start(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    for each in sys.argv[6:]:
        try:
            make(out, sys.argv[2], each)
        except Exception:  # the test of this run fails, with this; the others go on
            (out / f"{each}.failed-{processes.index()}").write_text(traceback.format_exc())
