"""Tables in Markdown, as the comparing scripts print them and keep them beside their runs."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from genjax.files import write_atomically


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its first column, of names, is flush left, and the others are flush right."""
    marks = [":--", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, marks, *rows])


def publish(table: str, folder: Path) -> None:
    """Writes a table to `folder`/table.md, and prints it."""
    write_atomically(folder / "table.md", table + "\n")
    print(table)
