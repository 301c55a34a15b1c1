"""The table of ways to stylise: commands, what is not made again, means; no network runs."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import style_table
from genjax import images
from genjax.metrics import stylisation

_GATYS = "configs/style.py:preset=gatys --config.train.steps=3"


@pytest.fixture
def asked(monkeypatch):
    """The commands, each of which leaves the content as it is; scores are counted."""
    found, scores = [], iter(range(100))

    def timed(command, variables, log):
        arguments = [str(part) for part in command[1:]]
        found.append(arguments)
        given = dict(part.split("=", 1) for part in arguments)
        target = given.get("--output") or f"{given['--workdir']}/result.png"
        shutil.copy(given.get("--input") or given["--config.content"], target)
        return {"seconds": len(found), "peak_memory_bytes": 2e9}

    monkeypatch.setattr(style_table.commands, "timed", timed)
    monkeypatch.setattr(stylisation, "load", lambda: None)
    monkeypatch.setattr(stylisation, "style_of", lambda weights, pictures: pictures[0].shape)
    counted = lambda *a: dict.fromkeys(stylisation.NAMES, next(scores))  # noqa: E731
    monkeypatch.setattr(stylisation, "scores", counted)
    return found


def command(tmp_path, *methods, size=24):
    pictures = ["--content=astronaut,coffee", "--style=cat", f"--size={size}"]
    return ["", *pictures, f"--workdir={tmp_path / 'table'}", *methods]


def run_of(folder: Path, **values) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_each_pair_is_made_once_and_scored(asked, tmp_path, capsys, monkeypatch):
    trained = run_of(tmp_path / "fast")
    config = {"task": "style_fast", "stylize": {}, "style": "coffee,cat"}
    monkeypatch.setattr(style_table.config_file, "load", lambda path: _Config(config))
    assert style_table.main(command(tmp_path, _GATYS, str(trained))) == 0
    shown = capsys.readouterr().out
    table = tmp_path / "table"
    assert len(asked) == 4
    assert asked[0] == [
        "--config=configs/style.py:preset=gatys",
        f"--config.content={table / 'contents' / '1.png'}",
        f"--config.style={table / 'styles' / '1.png'}",
        "--config.size=0",
        f"--workdir={table / 'configs-style.py-preset-gatys-config.train.steps-3' / '1-1'}",
        "--config.train.steps=3",
    ]
    # The second of the two styles that it has learned.
    assert asked[2][:3] == ["--mode=stylize", f"--workdir={trained}", "--config.stylize.style=2"]
    lines = shown.splitlines()
    assert lines[0].startswith("| method | content_loss |")
    assert lines[2] == f"| content unchanged |{' 0.500 |' * 5}  |  |"
    assert lines[3] == f"| {_GATYS} |{' 2.500 |' * 5} 1.5 | 2,000 |"
    assert lines[4] == f"| {trained} |{' 4.500 |' * 5} 3.5 | 2,000 |"
    assert (table / "table.md").read_text() == shown
    # Contents, styles and two methods, each a row of two thumbnails.
    assert images.read(table / "sheet.png").shape == (4 * 162 + 2, 2 * 162 + 2, 3)
    shutil.rmtree(table / "configs-style.py-preset-gatys-config.train.steps-3" / "1-1")
    del asked[:]
    assert style_table.main(command(tmp_path, _GATYS, str(trained))) == 0
    assert len(asked) == 1


class _Config(dict):
    __getattr__ = dict.__getitem__


@pytest.mark.parametrize(
    ("methods", "size", "message"),
    [
        (["runs/nothing"], 24, "neither a config"),
        ([_GATYS, _GATYS], 24, "two methods have one name"),
        ([_GATYS], 8, "--size=8 has to be 16"),
        (["gan"], 24, "does not stylise"),
        (["fast"], 24, "has not learned cat: coffee"),
    ],
)
def test_what_cannot_be_made_is_one_line(
    methods, size, message, asked, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run_of(tmp_path / "gan")
    run_of(tmp_path / "fast")
    known = {
        "gan": {"task": "gan"},
        "fast": {"task": "style_fast", "stylize": {}, "style": "coffee"},
    }
    monkeypatch.setattr(
        style_table.config_file, "load", lambda path: _Config(known[Path(path).name])
    )
    assert style_table.main(command(tmp_path, *methods, size=size)) == 2
    assert message in capsys.readouterr().err
    assert not asked
