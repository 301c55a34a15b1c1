"""A whole run in PyTorch, for `benchmarks.commands` to time beside `main.py`.

    python -m benchmarks.torch_main SETTINGS WORKDIR

trains what SETTINGS describes, a JSON file that `benchmarks.commands.write_settings` makes of a
config, and leaves in WORKDIR what `main.py` leaves there: metrics.jsonl, samples/, checkpoints/
and, of a style, result.png; each at the same steps. It imports neither JAX nor what needs it.
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import peers
from benchmarks.peers import files

_LEAST_SHOWN = 16  # held-out examples for `shown`: `genjax.stage.LEAST_SHOWN`
_PAD = 2  # px of white around each picture of a grid


class Settings(dict):
    """A JSON object whose values are attributes, too, as those of a config are."""

    __getattr__ = dict.__getitem__


class Run:
    """Trains one peer from step 0 to its end; whatever is due is written between chunks of steps.

    Args:
      settings: `config`, `device` ("cpu" or "gpu"), `variant`, a name of `benchmarks.peers`, and
        `paths`, where there are files that the config does not name.
    """

    def __init__(self, settings: Settings, workdir: Path):
        self.config = config = settings.config
        self.workdir, self.test = workdir, None
        torch.manual_seed(config.seed)
        variant = peers.variants(settings.device, config.precision)[settings.variant]
        if config.task == "style":
            given = files.pictures(config, settings.paths)
        else:
            given, self.test = files.digits(config)
        self.peer = peers.build(config, variant, settings.device, given)
        for folder in ("samples", "checkpoints"):
            (workdir / folder).mkdir(parents=True)
        self.step, self.best, self.saved = 0, None, []

    def to_end(self) -> None:
        """All steps.

        Raises:
          FloatingPointError: a loss is not finite.
        """
        started = time.monotonic()
        with open(self.workdir / "metrics.jsonl", "w") as metrics:
            while self.step < self.config.train.steps:
                following = self._next_due()
                losses = self.peer.train(following - self.step)
                if not all(map(math.isfinite, losses.values())):
                    raise FloatingPointError(f"step {following}: {losses}")
                self.step = following
                values = {f"train/{k}": x for k, x in losses.items()} if self._is_due("log") else {}
                values |= (scores := self._scores() if self._is_due("evaluate") else {})
                if values:
                    about = {"step": self.step, "images": self.step * self.peer.images_per_step}
                    about["seconds"] = time.monotonic() - started
                    print(json.dumps(about | values), file=metrics, flush=True)
                if self._is_due("sample"):
                    self._draw()
                if self._is_due("checkpoint"):
                    self._save(scores)
        if self.config.task == "style":
            Image.fromarray(self.peer.sample(1)[0]).save(self.workdir / "result.png")

    def _is_due(self, what: str) -> bool:
        """Whether "log", "sample", "evaluate" or "checkpoint" is; at the last step, all are."""
        every = self.config[what].every
        return self.step == self.config.train.steps or (every > 0 and self.step % every == 0)

    def _next_due(self) -> int:
        everies = [self.config[k].every for k in ("log", "sample", "evaluate", "checkpoint")]
        due = [self.step // every * every + every for every in everies if every]
        return min([self.config.train.steps, *due])

    def _scores(self) -> dict[str, float]:
        """{`eval/…`: mean over the held-out examples, or of the picture}; with the same noise."""
        with self.peer.seeded(self.config.seed):
            sums, total = {}, 0
            for image, label in self._held_out():
                total += len(label)
                for name, value in self.peer.scores(image, label).items():
                    sums[name] = sums.get(name, 0.0) + len(label) * value.item()
        return {f"eval/{name}": value / total for name, value in sums.items()}

    def _held_out(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches u8[B, C, H, W] and i64[B], each with examples from all over the split, which is
        sorted by class; of a style one without anything, as its picture is what is scored."""
        if self.test is None:
            yield torch.empty(1), torch.empty(1)
            return
        batches = -(-len(self.test.label) // self.config.train.batch_size)
        for i in range(batches):
            yield self._tensors(slice(i, None, batches))

    def _tensors(self, rows) -> tuple[torch.Tensor, torch.Tensor]:
        image, label = self.test.image[rows], self.test.label[rows]
        return self.peer.tensor(image), self.peer.tensor(label).long()

    def _draw(self) -> None:
        """samples/STEP.png, if the peer draws, and samples/STEP-NAME.png of held-out examples."""
        sample, grids = self.config.sample, {}
        with self.peer.seeded(sample.seed):
            if self.config.task != "cnn":
                grids[""] = self.peer.sample(sample.n)
            if self.test is not None:
                count = max(_LEAST_SHOWN, sample.n)
                rows = np.linspace(0, len(self.test.label) - 1, count).astype(np.int32)
                found = self.peer.shown(*self._tensors(rows))
                grids |= {f"-{name}": pictures for name, pictures in found.items()}
        for name, pictures in grids.items():
            sheet = grid(pictures)
            image = Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet)
            image.save(self.workdir / "samples" / f"{self.step:08d}{name}.png")

    def _save(self, scores: dict[str, float]) -> None:
        """checkpoints/STEP.pt; the newest `checkpoint.keep` are kept, and the best."""
        options = self.config.checkpoint
        torch.save({"step": self.step} | self.peer.everything(), self._checkpoint(self.step))
        self.saved.append(self.step)
        if options.best in scores:
            value = scores[options.best] * {"max": 1, "min": -1}[options.best_mode]
            self.best = max(self.best or (value, self.step), (value, self.step))
        kept = {*self.saved[-options.keep :], self.best[1] if self.best else self.step}
        for step in set(self.saved) - kept:
            self._checkpoint(step).unlink()
        self.saved = sorted(kept)

    def _checkpoint(self, step: int) -> Path:
        return self.workdir / "checkpoints" / f"{step:08d}.pt"


def grid(pictures: np.ndarray) -> np.ndarray:
    """Lays u8[N, H, W, C], or with the layout u8[rows, columns, H, W, C], out on a white sheet
    u8[h, w, C]; a single picture is returned as it is."""
    if pictures.ndim == 4:
        if len(pictures) == 1:
            return pictures[0]
        columns = math.ceil(len(pictures) ** 0.5)
        missing = -len(pictures) % columns
        white = np.full((missing, *pictures.shape[1:]), 255, np.uint8)
        pictures = np.concatenate([pictures, white]).reshape(-1, columns, *pictures.shape[1:])
    around = ((0, 0), (0, 0), (_PAD, 0), (_PAD, 0), (0, 0))
    padded = np.pad(pictures, around, constant_values=255)
    rows, columns, height, width, channels = padded.shape
    sheet = padded.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    return np.pad(sheet, ((0, _PAD), (0, _PAD), (0, 0)), constant_values=255)


def main(settings_file: str, workdir: str) -> None:
    """Does what the command line above says."""
    settings = json.loads(Path(settings_file).read_text(), object_hook=Settings)
    Run(settings, Path(workdir)).to_end()


if __name__ == "__main__":
    main(*sys.argv[1:])
