"""What a report is made of; the layouts are `report.html.j2` and `report.md.j2`."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import plots


class Cell(NamedTuple):
    """A text of a table, and how it is marked: "good", "below" a goal, "group" (a heading),
    "words" (prose, not a number), "error" (one line of what failed), or not at all."""

    text: str
    mark: str = ""


class Table(NamedTuple):
    """Attributes:
    columns: their titles; the first is of the rows' names.
    rows: texts or cells; a row of one cell is a heading over all columns.
    """

    columns: Sequence[str | Cell]
    rows: Sequence[Sequence[str | Cell]]

    def head(self) -> list[Cell]:
        """The columns' titles."""
        return _cells(self.columns)

    def cells(self) -> list[list[Cell]]:
        """The cells of all rows."""
        return [_cells(row) for row in self.rows]


def _cells(row: Sequence[str | Cell]) -> list[Cell]:
    return [x if isinstance(x, Cell) else Cell(x) for x in row]


class Section(NamedTuple):
    """A part of the page: a heading, sentences, a table, plots; what is empty is left out."""

    title: str
    text: str = ""
    table: Table | None = None
    drawings: Sequence[plots.Plot] = ()
