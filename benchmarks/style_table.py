"""What each way to stylise makes of the same pictures, by one ruler, in what time and memory.

    python -m benchmarks.style_table --content=PICTURES --style=PICTURES --size=PX --workdir=DIR \\
        METHOD...

PICTURES are files, folders or built-in names, as configs/style.py takes them. A METHOD is one
argument: a config of style transfer by optimisation with its options, such as
"configs/style.py:preset=gatys --config.train.steps=100"; or the workdir of a trained network, which
paints by `--mode=stylize`, with options as well. Every pair of a content and a style is made in
DIR, one command after the other, each with a compilation cache that an earlier command of the same
shape may have filled, as on a person's machine. Contents and styles have PX on their longer side.

It prints and writes DIR/table.md: the means over all pairs of the scores of
`genjax.metrics.stylisation`, and of the seconds and the peak memory of the commands. The first row
is of contents left as they are: a method is worth what it gains on that. DIR/sheet.png shows all
pictures, a row for each method below that of the contents and that of the styles. Interrupted, it
goes on where it was when it is started again.
"""

import json
import os
import re
import shlex
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from benchmarks import commands, tables
from benchmarks.children import SideError
from genjax import images
from genjax.errors import OptionParser, UserError, run_program
from genjax.files import write_atomically
from genjax.metrics import stylisation
from genjax.ranges import LARGEST_SIDE
from genjax.style.sources import names
from genjax.workdir import config_file

_MAIN = Path(__file__).parent.parent / "main.py"
_UNCHANGED = "content unchanged"
_COST = ("seconds", "memory_mb")
_THUMBNAIL = 160  # px a side of the sheet's pictures


class Method(NamedTuple):
    """A way to stylise.

    Attributes:
      text: as it was given, and as the table has it.
      name: `CONFIG[:ARG]`, or a workdir.
      options: of the command line.
      learned: of a network that has learned its styles, their pictures; else ().
    """

    text: str
    name: str
    options: list[str]
    learned: tuple[str, ...] = ()

    @property
    def optimises(self) -> bool:
        """Whether it is a config whose run is the picture."""
        return self.name.partition(":")[0].endswith(".py")

    @property
    def folder(self) -> str:
        """A name for what it makes."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.text).strip("-")

    def command(self, content: Path, style: Path, number: int, folder: Path) -> list[str]:
        """The arguments of `main.py` that make `result.png` in `folder`.

        Args:
          number: of the style among those that were learned, from 1 on.
        """
        if self.optimises:
            pictures = [f"--config.content={content}", f"--config.style={style}"]
            whole = ["--config.size=0", f"--workdir={folder}"]
            return [f"--config={self.name}", *pictures, *whole, *self.options]
        chosen = str(number) if self.learned else str(style)
        painted = [f"--input={content}", f"--output={folder / 'result.png'}"]
        of_run = ["--mode=stylize", f"--workdir={self.name}", f"--config.stylize.style={chosen}"]
        return [*of_run, *painted, *self.options]


def method(text: str) -> Method:
    """The method that an argument names.

    Raises:
      UserError: it is no config, nor the workdir of a network that stylises.
    """
    name, *options = shlex.split(text) or [""]
    found = Method(text, name, options)
    if found.optimises:
        return found
    config = config_file.load(place_of(name))
    if "stylize" not in config:
        raise UserError(f"{name} is of task={config.task!r}, which does not stylise")
    learned = names(config.style) if config.task == "style_fast" else ()
    return found._replace(learned=tuple(learned))


def place_of(name: str) -> Path:
    """The folder of a workdir that a method names.

    Raises:
      UserError: there is no run.
    """
    if not (Path(name) / "config.json").exists():
        raise UserError(f"{name!r} is neither a config (configs/style.py) nor the workdir of a run")
    return Path(name)


def prepared(sources: str, size: int, folder: Path) -> list[tuple[str, Path]]:
    """[(the name of a picture, a file with it, of `size` px on its longer side), ...]"""
    found = []
    for i, name in enumerate(names(sources), start=1):
        path = folder / f"{i}.png"
        images.write(path, images.fit(images.load(name), size))
        found.append((name, path))
    if not found:
        raise UserError("name pictures: --content=… and --style=…")
    return found


def made(each: Method, content: Path, style: tuple[str, Path], folder: Path) -> dict:
    """{"seconds", "memory_mb"} of the command that makes `folder`/result.png, or made it before.

    Raises:
      UserError: the network has not learned the style, or the command failed.
    """
    measured = folder / "measured.json"
    if measured.exists():
        return json.loads(measured.read_text())
    number = 0
    if each.learned:
        same = [os.path.realpath(path) for path in each.learned]
        if os.path.realpath(style[0]) not in same:
            raise UserError(f"{each.name} has not learned {style[0]}: {', '.join(each.learned)}")
        number = same.index(os.path.realpath(style[0])) + 1
    folder.mkdir(parents=True, exist_ok=True)
    try:
        command = [_MAIN, *each.command(content, style[1], number, folder)]
        found = commands.timed(command, {}, folder / "log.txt")
    except SideError as error:
        raise UserError(f"{each.text}: {error}") from None
    cost = {"seconds": found["seconds"], "memory_mb": found["peak_memory_bytes"] / 1e6}
    write_atomically(measured, json.dumps(cost))
    return cost


def table(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """A Markdown table of {method: [scores and costs of a pair, ...]}, of their means."""
    columns = (*stylisation.NAMES, *_COST)
    lines = []
    for name, pairs in rows.items():
        means = {key: statistics.fmean(pair[key] for pair in pairs) for key in pairs[0]}
        cells = [_shown(key, means[key]) if key in means else "" for key in columns]
        lines.append([name, *cells])
    return tables.markdown(["method", *columns], lines)


def _shown(key: str, value: float) -> str:
    return (
        f"{value:.3f}" if key not in _COST else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    )


def _as_float(picture: np.ndarray) -> np.ndarray:
    return np.asarray(images.to_float(jnp.asarray(picture), low=0))


def _pairs(contents, styles) -> Iterator[tuple]:
    for i, content in enumerate(contents):
        for j, style in enumerate(styles):
            yield f"{i + 1}-{j + 1}", content, style


def report(argv: list[str]) -> None:
    """Makes, scores and shows what a command line names."""
    parser = OptionParser()
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("methods", nargs="+")
    options = parser.parse_args(argv[1:])
    if not stylisation.LEAST <= options.size <= LARGEST_SIDE:
        raise UserError(f"--size={options.size} has to be {stylisation.LEAST} to {LARGEST_SIDE} px")
    methods = [method(text) for text in options.methods]
    if len({each.folder for each in methods}) < len(methods):
        raise UserError("two methods have one name: leave one out")
    contents = prepared(options.content, options.size, options.workdir / "contents")
    styles = prepared(options.style, options.size, options.workdir / "styles")
    weights = stylisation.load()
    wanted = {
        path: stylisation.style_of(weights, [_as_float(images.read(path))]) for _, path in styles
    }
    rows: dict[str, list] = {_UNCHANGED: []}
    sheet = {"": [], "style": []}
    for _, (_, content), (_, style) in _pairs(contents, styles):
        picture = images.read(content)
        x = _as_float(picture)
        rows[_UNCHANGED].append(stylisation.scores(weights, x, wanted[style], x))
        sheet[""].append(picture)
        sheet["style"].append(images.read(style))
    for each in methods:
        rows[each.text], sheet[each.text] = [], []
        for pair, (_, content), style in _pairs(contents, styles):
            folder = options.workdir / each.folder / pair
            cost = made(each, content, style, folder)
            picture, result = images.read(content), images.read(folder / "result.png")
            both = _as_float(picture), _as_float(result)
            found = stylisation.scores(weights, both[0], wanted[style[1]], both[1])
            rows[each.text].append(found | cost)
            sheet[each.text].append(result)
    shown = [images.crop_square(picture, _THUMBNAIL) for row in sheet.values() for picture in row]
    pairs = len(contents) * len(styles)
    images.write(options.workdir / "sheet.png", images.grid(np.stack(shown), columns=pairs))
    tables.publish(table(rows), options.workdir)


def main(argv: list[str]) -> int:
    """Runs a command line and returns its exit code."""
    return run_program(argv, __doc__, report)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
