"""The command that scores, `main.py --mode=score`, beside a program in PyTorch that does so too.

Both read the same two files of pictures. Features of real pictures are kept beside the compiled
programs, which would spare a second run half of its work. So the one that finds its programs
compiled takes the sets the other way round: its real ones have not been measured before.
"""

import json
from pathlib import Path

import numpy as np

from benchmarks import timing
from benchmarks.children import nursery
from benchmarks.commands import EAGER, EMPTY, WARM, Contest
from genjax import command, data
from genjax import config as config_lib
from genjax.cnn import efficientnet
from genjax.cnn.weights import package_file
from genjax.scores import record

SIDE = 32  # px
NOISE = {"real": 16, "fake": 24}  # standard deviations, of 255
_TRIALS = 3


def contest(arguments: list[str], place: str, peer: str, folder: Path) -> Contest:
    """The sides of a command that scores, `arguments` of `main.py` in which PATH is `folder`."""
    arguments = [argument.replace("PATH", str(folder)) for argument in arguments]
    real, fake, net, metrics, n, *_ = command.parse(["main.py", *arguments]).arguments
    if (net, metrics) != ("lite0", "frechet"):
        raise ValueError(f"{metrics} of {net} has no peer")
    write_sets(folder, n)
    swapped = {f"--real={real}": f"--real={fake}", f"--fake={fake}": f"--fake={real}"}
    ours = {EMPTY: arguments, WARM: [swapped.get(x, x) for x in arguments]}

    def prepare() -> tuple[list, str]:
        weights = package_file(efficientnet.PACKAGE, efficientnet.FILE)
        about = {"place": place, "weights": str(weights)}
        variant = _fastest(about | {"pictures": real})
        settings = folder / "settings.json"
        settings.write_text(json.dumps(about | {"variant": variant, "real": real, "fake": fake}))
        return ["-m", "benchmarks.torch_score", settings], variant

    return Contest(ours, prepare if peer == "torch" else None, last_scores)


def write_sets(folder: Path, n: int):
    """Writes real.npz and fake.npz, each with `images` u8[n, 32, 32, 3]: digits in noise.

    The same whenever it is called. The fake ones have more noise, so that the distance is not 0.
    """
    digits = data.open_dataset(config_lib.dataset("mnist", SIDE)).train
    for seed, (name, deviation) in enumerate(NOISE.items()):
        draw = np.random.default_rng(seed)
        chosen = draw.integers(len(digits), size=n)
        array = np.stack([digits.read(i)["image"] for i in chosen])
        noise = draw.normal(0, deviation, (n, SIDE, SIDE, 3))
        array = (array + noise).round().clip(0, 255).astype(np.uint8)
        np.savez(folder / f"{name}.npz", images=array)


def last_scores(workdir: Path) -> dict[str, float]:
    """{`score/frechet_lite0`: value} of scores.jsonl."""
    lines = (workdir / record.FILE).read_text().splitlines()
    return {f"score/{x['metric']}": x["value"] for x in map(json.loads, lines)}


def _fastest(request: dict) -> str:
    """The faster eager variant on this machine, by a few batches."""
    rates = {name: [] for name in EAGER}
    with nursery() as start_child:
        child = start_child()
        for _ in range(_TRIALS):
            for name, found in rates.items():
                asked = request | {"variant": name}
                found.append(child.call("benchmarks.torch_score:rate", **asked))
    return timing.fastest(rates)
