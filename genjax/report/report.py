"""What a run writes while it trains: metrics.jsonl, TensorBoard, pictures and a progress line.

In a run of several processes only the first one has a `Report`.
"""

import itertools
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any, Self, TextIO

import numpy as np
from etils import epath

from genjax import images as images_lib
from genjax.errors import UserError
from genjax.files import growing, partial_name, write_atomically
from genjax.report.board import Board

METRICS_FILE = "metrics.jsonl"
SAMPLES_FOLDER = "samples"
PREFIXES = ("train/", "eval/", "perf/")
PROGRESS_VALUES = 3  # more would not fit on a line
PLAIN_INTERVAL = 10.0  # seconds between progress lines when stderr is a file or a pipe

_SAMPLE_NAME = re.compile(r"(\d{8,})(?:-(.+))?\.png")


class Report:
    """Everything that the training loop writes for people, opened at the step it starts from.

    Opening at `step` makes the workdir what an uninterrupted run would have left there at that
    step: metrics and pictures of later steps are removed, because the loop is about to write them
    again, and TensorBoard is told to forget them. At step 0 all of them start afresh.
    """

    def __init__(
        self, workdir: epath.Path, *, step: int, total_steps: int, quiet: bool = False
    ) -> None:
        """Opens or repairs the files in `workdir`, which is created where it is missing.

        Args:
          workdir: the run's folder.
          step: the step that was restored; 0 for a new run.
          total_steps: the step at which the run ends.
          quiet: print neither progress nor messages.

        Raises:
          UserError: metrics.jsonl has a broken line that is not its last.
          OSError: the disk is full, or the folder cannot be written to.
        """
        self.workdir = epath.Path(workdir)
        samples, metrics = self.workdir / SAMPLES_FOLDER, self.workdir / METRICS_FILE
        samples.mkdir(parents=True, exist_ok=True)
        for anything in (samples / "*", metrics):  # files that a killed run left half written
            for partial in anything.parent.glob(partial_name(anything, "*").name):
                partial.unlink()
        for _, picture_step, path in find_pictures(self.workdir):
            if picture_step > step:
                path.unlink()
        self._last_step = _repair_metrics(self.workdir, step)
        self._metrics = growing(metrics)
        self._board = Board(self.workdir / "tensorboard", step)
        self._progress = None if quiet else Progress(sys.stderr, step, total_steps)

    def scalars(self, step: int, images: int, seconds: float, values: Mapping[str, Any]) -> None:
        """Writes the metrics of `step`: one line of metrics.jsonl, and TensorBoard's scalars.

        NaN and infinities become null in metrics.jsonl, which is strict JSON, and are left out of
        TensorBoard.

        Args:
          step: larger than that of the line before.
          images: images seen since step 0, all devices together.
          seconds: time spent since step 0, resumed runs included.
          values: real scalars named `train/…`, `eval/…` or `perf/…`.

        Raises:
          ValueError: the step is not new, or a name has another prefix.
          OSError: the disk is full; metrics.jsonl is as it was.
        """
        if step <= self._last_step:
            raise ValueError(f"step {step} comes after step {self._last_step}: one line a step")
        for name in values:
            if not name.startswith(PREFIXES):
                raise ValueError(f"metric {name!r} must start with one of {', '.join(PREFIXES)}")
        numbers = {name: float(value) for name, value in values.items()}
        record = {"step": int(step), "images": int(images), "seconds": round(float(seconds), 3)}
        record |= {name: _json_number(value) for name, value in numbers.items()}
        self._metrics.append(_line(record).encode())
        self._last_step = step
        self._board.scalars(step, {n: x for n, x in numbers.items() if math.isfinite(x)})

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Writes `image` u8[H, W, C] as samples/STEP.png, or samples/STEP-NAME.png with a name."""
        stem = f"{step:08d}-{name}" if name else f"{step:08d}"
        image = np.asarray(image)
        png = images_lib.write(self.workdir / SAMPLES_FOLDER / f"{stem}.png", image)
        tag = f"samples/{name}" if name else "samples"
        self._board.image(step, tag, png, image.shape)

    def progress(self, step: int, images_per_sec: float, values: Mapping[str, Any]) -> None:
        """Shows where the run is, its speed, and the first three of the newest `values`."""
        if self._progress:
            self._progress.update(step, images_per_sec, values)

    def message(self, text: str) -> None:
        """Prints `text` as a line of its own, above the progress line."""
        if self._progress:
            self._progress.message(text)

    def flush(self) -> None:
        """Returns once everything written so far would survive a power cut.

        To be called before a checkpoint is saved: a run resumed from the checkpoint does not write
        the lines before it again.
        """
        self._metrics.flush()
        self._board.flush()

    def close(self, last: str = "") -> None:
        """Ends the progress line, flushes, and prints the `last` line. Safe to call twice."""
        progress, self._progress = self._progress, None
        if progress:
            progress.close()
        self.flush()
        if progress and last:
            progress.message(last)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()


class Progress:
    """One live line on a terminal; elsewhere a plain line about every ten seconds."""

    def __init__(self, stream: TextIO, step: int, total_steps: int) -> None:
        from tqdm import tqdm

        self._stream = stream
        self._total = total_steps
        self._first: tuple[int, float] | None = None  # (step, time) of the first update
        self._printed_at = -math.inf
        self._pending = ""
        self._bar = None
        if stream.isatty():
            self._bar = tqdm(
                total=total_steps,
                initial=step,
                file=stream,
                desc=f"step {step:,}/{total_steps:,}",
                mininterval=0.2,
                miniters=1,
                bar_format="{percentage:3.0f}%|{bar:12}| {desc}",
                # A terminal inside a container may report a size of 0 by 0, for which tqdm would
                # show nothing.
                ncols=_columns(),
                nrows=20,
            )

    def update(self, step: int, images_per_sec: float, values: Mapping[str, Any]) -> None:
        """Shows `step`, the time left, the speed and three `values`.

        Elsewhere than on a terminal, at most every `PLAIN_INTERVAL` seconds.
        """
        now = time.monotonic()
        parts = [f"step {step:,}/{self._total:,}"]
        left = self._seconds_left(step, now)
        if left is not None:
            parts.append(f"{format_duration(left)} left")
        parts.append(f"{format_number(images_per_sec)} images/s")
        for name, value in itertools.islice(values.items(), PROGRESS_VALUES):
            parts.append(f"{name.removeprefix('train/')} {format_number(float(value))}")
        self._pending = "  ".join(parts)
        if self._bar is not None:
            self._bar.ncols = _columns()  # the window may have been resized
            self._bar.set_description_str(self._pending, refresh=False)
            self._bar.update(step - self._bar.n)
        elif now - self._printed_at >= PLAIN_INTERVAL:
            self._print_pending(now)

    def message(self, text: str) -> None:
        """Prints a line above the live one."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Leaves the newest progress as the last line."""
        if self._bar is not None:
            self._bar.close()
        elif self._pending:
            self._print_pending(time.monotonic())

    def _print_pending(self, now: float) -> None:
        print(self._pending, file=self._stream, flush=True)
        self._printed_at = now
        self._pending = ""

    def _seconds_left(self, step: int, now: float) -> float | None:
        # Counted from the first update on, so that compilation does not spoil the estimate.
        if self._first is None:
            self._first = (step, now)
        first_step, first_time = self._first
        if step >= self._total:
            return 0.0
        if step <= first_step:
            return None
        return (now - first_time) / (step - first_step) * (self._total - step)


def read_metrics(workdir: epath.Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, oldest first; [] where there is none.

    A broken last line, which a crash can leave, is left out.

    Raises:
      UserError: any other line is not a JSON object with an integer `step`.
    """
    path = epath.Path(workdir) / METRICS_FILE
    if not path.exists():
        return []
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        record = _parse(line)
        if record is not None:
            records.append(record)
        elif number < len(lines):
            raise UserError(
                f"{path} line {number} is not a JSON object with a step: delete that line"
            )
    return records


def find_pictures(workdir: epath.Path) -> list[tuple[str, int, epath.Path]]:
    """The (name, step, path) of every picture in samples/, sorted; "" names the grid of samples."""
    found = []
    for path in (epath.Path(workdir) / SAMPLES_FOLDER).glob("*.png"):
        match = _SAMPLE_NAME.fullmatch(path.name)
        if match:
            found.append((match[2] or "", int(match[1]), path))
    return sorted(found)


def format_number(value: float) -> str:
    """A number as a person reads it: about four digits, thousands separated."""
    if math.isfinite(value) and abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.3e}"
    if 0 < abs(value) < 1e-3:
        return f"{value:.2e}"
    return f"{value:.4g}"


def format_duration(seconds: float) -> str:
    """A duration in its two largest units, such as `45s`, `3m 20s`, `2h 05m` or `3d 04h`."""
    seconds = round(seconds)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d {hours % 24:02d}h"
    if hours:
        return f"{hours}h {minutes % 60:02d}m"
    return f"{minutes}m {seconds % 60:02d}s" if minutes else f"{seconds}s"


def _columns() -> int:
    # Some terminals break the line when its last column is written.
    return shutil.get_terminal_size().columns - 1


def _repair_metrics(workdir: epath.Path, step: int) -> int:
    """Keeps metrics.jsonl up to `step`, each step once; returns the last step kept, or -1."""
    kept = {}
    if step > 0:
        kept = {record["step"]: record for record in read_metrics(workdir)}
        kept = {at: record for at, record in sorted(kept.items()) if at <= step}
    write_atomically(workdir / METRICS_FILE, "".join(map(_line, kept.values())))
    return max(kept, default=-1)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
    except ValueError:  # not JSON, or not text
        return None
    whole = isinstance(record, dict) and type(record.get("step")) is int
    return record if whole else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _json_number(value: float) -> float | None:
    # Nine significant digits distinguish every float32 from its neighbours.
    return float(f"{value:.9g}") if math.isfinite(value) else None
