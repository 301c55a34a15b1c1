"""What the README, docs and configs tell a reader to type is understood; links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from genjax import command

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "configs").glob("*.py")),
]
TEXT = {page: page.read_text().replace("\\\\\n", " ").replace("\\\n", " ") for page in PAGES}
COMMANDS = [
    (page.name, match.strip())
    for page, text in TEXT.items()
    for match in re.findall(r"python main\.py ([^`|\n]*--(?:config|real)=[^`|\n]*)", text)
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_parse(page, line, monkeypatch):
    monkeypatch.chdir(ROOT)
    asked = command.parse(["main.py", *shlex.split(line, comments=True)])
    assert asked.mode == "score" or asked.arguments[0].task


def test_there_are_commands():
    assert len(COMMANDS) >= 15


def test_the_two_commands():
    readme = TEXT[ROOT / "README.md"]
    assert "\npip install -e . && python main.py --config=configs/dcgan.py\n" in readme
    test_command = 'pip install -e ".[test]" && pytest'
    assert f"\n{test_command}\n" in readme
    assert f"\n  {test_command}\n" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("page", [p for p in PAGES if p.suffix == ".md"], ids=lambda p: p.name)
def test_links_and_pictures_exist(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_config_is_in_the_table():
    readme = TEXT[ROOT / "README.md"]
    for path in (ROOT / "configs").glob("*.py"):
        assert f"| [`configs/{path.name}`]" in readme
