"""Compares the runs in two workdirs, and prints what differs.

    python -m genjax.workdir.compare WORKDIR WORKDIR

Prints the first line of metrics.jsonl that differs; the arrays of the checkpoints that differ, by
the fingerprints stored with them; the keys of the config; and the versions and machines that made
the checkpoints. Times and speeds are not compared. docs/when-runs-differ.md says how to read it.

Nothing is written or locked, so either run may be under way. Exit codes: 0 nothing differs; 1
something does; 2 yours to mend, one line says what.
"""

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import jax

from genjax import config as config_lib
from genjax.errors import OptionParser, UserError, run_program
from genjax.files import is_local, place
from genjax.report import read_metrics
from genjax.workdir import config_file
from genjax.workdir.checkpoint import read_notes, saved_steps

LONGEST = 12  # lines of a list; what is left is counted

_TIMING = ("seconds", "perf/")
_MEANS = "train/"  # over the steps since the line before


class Workdir(NamedTuple):
    """The files of a run that are compared.

    Attributes:
      metrics: the lines of metrics.jsonl, oldest first.
      notes: {step: notes of its checkpoint}, oldest first; see `checkpoint.read_notes`.
      config: {dotted key: value}, and its history as that of `history`.
    """

    metrics: list[dict[str, Any]]
    notes: dict[int, dict[str, Any]]
    config: dict[str, Any]


class Part(NamedTuple):
    """The result of comparing one kind of thing.

    Attributes:
      name: what is compared.
      differs: what of it differs, in a few words; "" if nothing does.
      lines: the details, for people; the first one is printed behind the name.
      same_to: the last step compared, if the values at all steps are the same; else None.
    """

    name: str
    differs: str
    lines: list[str]
    same_to: int | None = None


class _Line(NamedTuple):
    """A line of metrics.jsonl, without times and speeds."""

    number: int  # in the file, from 1
    since: int  # its train/… values are means over the steps after this one
    values: dict[str, Any]


def read(name: str) -> Workdir:
    """Reads the run in the folder `name`; it may be under way.

    Raises:
      UserError: there is no such folder, it is no workdir, or a file in it is broken.
    """
    folder = place(name)
    if not folder.exists():
        beside = folder.parent.iterdir() if is_local(folder) and folder.parent.is_dir() else ()
        near = config_lib.nearest(folder.name, [path.name for path in beside])
        raise UserError(f"{name} does not exist{near}")
    config, notes = config_lib.flatten(config_file.load(folder)), {}
    config["history"] = config_file.history(folder)
    for step in saved_steps(folder):
        try:
            notes[step] = read_notes(folder, step)
        except UserError:
            if step in saved_steps(folder):
                raise
            # The run is under way, and deleted this checkpoint after it was listed.
    return Workdir(read_metrics(folder), notes, config)


def compare(a: Workdir, b: Workdir) -> list[Part]:
    """Compares everything: the results first, then what may explain them."""
    return [
        compare_metrics(a.metrics, b.metrics),
        compare_arrays(a.notes, b.notes),
        compare_configs(a.config, b.config),
        compare_makers(a.notes, b.notes),
    ]


def verdict(parts: Collection[Part]) -> str:
    """One line: what differs, and up to which step the results are the same."""
    wrong = ", ".join(part.differs for part in parts if part.differs)
    same = ", ".join(f"{p.name} to step {p.same_to}" for p in parts if p.same_to is not None)
    said = [f"differs: {wrong} (see docs/when-runs-differ.md)"] if wrong else []
    said += [f"the same to the bit: {same}"] if same else []
    return "; ".join(said) or "nothing differs, but no step is in both"


def compare_metrics(a: list[dict], b: list[dict]) -> Part:
    """Finds the first line of metrics.jsonl that differs, and the lines that only one run has."""
    ours, theirs = _by_step(a), _by_step(b)
    both = sorted(ours.keys() & theirs.keys())
    differing = {step: _values(ours[step], theirs[step]) for step in both}
    wrong = [step for step in both if differing[step]]
    if wrong:
        first, last = wrong[0], both[-1]
        numbers = dict.fromkeys(str(side[first].number) for side in (ours, theirs))
        lines = [f"first differs at step {first} (line {' and '.join(numbers)})"]
        lines += _table(differing[first])
        if first < last:
            sizes = [_relative(*pair) or 0.0 for pair in differing[last].values()]
            by = f" by up to {max(sizes):.2g}" if sizes else ""
            lines.append(f"step {last}, the last of both: {_differ(len(sizes))}{by}")
    else:
        lines = [f"the same at {_steps(both)}" if both else "no line in both"]
    if any(ours[step].since != theirs[step].since for step in both):
        lines.append(f"{_MEANS}… is compared only where both are means over the same steps")
    for name, mine, other, others in (("A", ours, "B", theirs), ("B", theirs, "A", ours)):
        end = max(others, default=0)
        alone = sorted(mine.keys() - others.keys())
        if missing := [step for step in alone if step < end]:
            lines.append(f"{other} has no line of {_steps(missing)}")
        if alone and alone[-1] > end:
            lines.append(f"{other} ends at step {end}, {name} at step {alone[-1]}")
    differs = "which steps have a line" if ours.keys() != theirs.keys() else ""
    same_to = None if wrong else max(both, default=None)
    return Part("metrics.jsonl", "metrics.jsonl" if wrong else differs, lines, same_to)


def compare_arrays(a: Mapping[int, dict], b: Mapping[int, dict]) -> Part:
    """Compares the arrays of all common checkpoints; details of the first and last that differ.

    Args:
      a, b: {step: notes}.
    """
    both = sorted(a.keys() & b.keys())
    differing = {step: _arrays(a[step]["arrays"], b[step]["arrays"]) for step in both}
    wrong = [step for step in both if differing[step]]
    same = [step for step in both if not differing[step]]
    said = [f"differ at {_steps(wrong)}"] if wrong else []
    said += [f"the same at {_steps(same)}"] if same else []
    lines = ["; ".join(said) or "no step has a checkpoint in both"]
    for step in dict.fromkeys([*wrong[:1], *wrong[-1:]]):
        if step > wrong[0] and differing[step] == differing[wrong[0]]:
            lines.append(f"step {step}: the same arrays differ")
            continue
        paths = sorted(a[step]["arrays"].keys() | b[step]["arrays"].keys())
        lines.append(f"step {step}: {len(differing[step])} of {len(paths)} arrays differ")
        lines += [f"  {line}" for line in _shortened([*_groups(differing[step], paths)])]
        if whole := sorted(_tops(paths) - _tops(differing[step])):
            lines.append(f"  the same: {', '.join(whole)}")
    for name, mine, others in (("A", a, b), ("B", b, a)):
        if alone := sorted(mine.keys() - others.keys()):
            lines.append(f"not compared, as only {name} has them: {_steps(alone, 'checkpoint')}")
    same_to = None if wrong else max(both, default=None)
    return Part("arrays", "arrays" if wrong else "", lines, same_to)


def compare_configs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Part:
    """Finds the keys with different values; those that are free to change come last."""
    lines, free = [], []
    for key in sorted(a.keys() | b.keys()):
        if a.get(key, ...) != b.get(key, ...):
            ours, theirs = (repr(x[key]) if key in x else "absent" for x in (a, b))
            line = f"{key}: {ours} in A, {theirs} in B"
            if key in config_file.FREE_KEYS:
                free.append(f"{line} ({'free, to rounding' if key == 'parallel' else 'free'})")
            else:
                lines.append(line)
    return _listed("config", lines + free)


def compare_makers(a: Mapping[int, dict], b: Mapping[int, dict]) -> Part:
    """Compares the versions and machines that made the checkpoints, if both runs note them.

    Args:
      a, b: {step: notes}.
    """
    names = [name for notes in (*a.values(), *b.values()) for name in notes.get("made_by", ())]
    lines = []
    for name in dict.fromkeys(names):
        ours, theirs = _history(a, name), _history(b, name)
        if ours and theirs and ours != theirs:
            lines.append(f"{name}: {ours} in A, {theirs} in B")
    part = _listed("versions and machine", lines)
    for name, notes in (("A", a), ("B", b)):
        silent = [step for step in notes if not notes[step].get("made_by")]
        if silent or not notes:
            where = f" by {_steps(silent, 'checkpoint')}" if silent else ", which has no checkpoint"
            part.lines.append(f"not recorded in {name}{where}")
    return part


def _by_step(records: list[dict]) -> dict[int, _Line]:
    found, since = {}, 0
    for number, record in enumerate(records, start=1):
        step = record["step"]
        values = {k: x for k, x in record.items() if k != "step" and not k.startswith(_TIMING)}
        found[step] = _Line(number, since, values)
        if any(name.startswith(_MEANS) for name in values):
            since = step
    return found


def _values(a: _Line, b: _Line) -> dict[str, tuple[str, str]]:
    """{metric: (text in A, text in B)} of those that differ; no means over other steps."""
    found = {}
    for name in a.values | b.values:
        pair = tuple(
            json.dumps(line.values[name]) if name in line.values else "absent" for line in (a, b)
        )
        if pair[0] != pair[1] and (a.since == b.since or not name.startswith(_MEANS)):
            found[name] = pair
    return found


def _relative(a: str, b: str) -> float | None:
    """|a - b| / max(|a|, |b|) of two numbers; None if one of the texts is no number."""
    try:
        x, y = float(a), float(b)
    except ValueError:  # absent, or null where it was not finite
        return None
    return abs(x - y) / max(abs(x), abs(y), sys.float_info.min)


def _table(differing: Mapping[str, tuple[str, str]]) -> list[str]:
    """A table with a row for each metric."""
    rows = [("", "A", "B", "relative difference")]
    for name, pair in differing.items():
        relative = _relative(*pair)
        rows.append((name, *pair, "" if relative is None else f"{relative:.2g}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([x.ljust(n) for x, n in zip(row, widths, strict=True)] for row in rows)
    return _shortened(["  ".join(row).rstrip() for row in padded])


def _arrays(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, str]:
    """{path: ""} of the arrays that differ; a remark instead of "" if only one run has it."""
    alone = {(True, False): ", which only A has", (False, True): ", which only B has"}
    return {
        path: alone.get((path in a, path in b), "")
        for path in a.keys() | b.keys()
        if a.get(path) != b.get(path)
    }


def _groups(differing: Mapping[str, str], paths: list[str], prefix: str = "") -> Iterator[str]:
    """Lists the arrays that differ; a part of the state in which all arrays do is one line.

    Args:
      differing: as `_arrays` returns it.
      paths: of all arrays below `prefix`, whether they differ or not.
    """
    for part in dict.fromkeys(prefix + path[len(prefix) :].partition("/")[0] for path in paths):
        inside = [path for path in paths if path == part or path.startswith(f"{part}/")]
        remarks = {differing.get(path) for path in inside}  # None for an array that is the same
        if len(remarks) > 1:
            yield from _groups(differing, inside, f"{part}/")
        elif None not in remarks:
            yield part + ("" if inside == [part] else f"/…, all {len(inside)}") + remarks.pop()


def _tops(paths: Collection[str]) -> set[str]:
    """The first parts of the paths."""
    return {path.partition("/")[0] for path in paths}


def _history(notes: Mapping[int, dict], name: str) -> str:
    """The value of `name` in the oldest notes that have it, and each later change; "" if none."""
    texts, last = [], None
    for step, each in notes.items():
        now = each.get("made_by", {}).get(name)
        if now is not None and now != last:
            texts.append(f"{now or 'none'} from step {step} on" if texts else now or "none")
            last = now
    return ", then ".join(texts)


def _listed(name: str, lines: list[str]) -> Part:
    """A part with a line for each thing that differs."""
    count = _differ(len(lines)) if lines else "the same"
    return Part(name, name if lines else "", [count, *_shortened(lines)])


def _differ(number: int) -> str:
    return f"{number or 'none'} differ{'' if number > 1 else 's'}"


def _shortened(lines: list[str]) -> list[str]:
    more = len(lines) - LONGEST
    return lines if more <= 0 else [*lines[:LONGEST], f"… and {more} more"]


def _steps(steps: list[int], what: str = "step") -> str:
    """ "step 20", or "steps 20, 40, …, 900"."""
    shown = [str(step) for step in steps]
    if len(shown) > LONGEST:
        shown[3:-1] = ["…"]
    return f"{what}{'s' if len(shown) > 1 else ''} {', '.join(shown)}"


def _run(argv: list[str]) -> int:
    parser = OptionParser()
    parser.add_argument("workdirs", metavar="WORKDIR", nargs=2)
    names = parser.parse_args(argv[1:]).workdirs
    parts = compare(*map(read, names))
    for side, name in zip("AB", names, strict=True):
        print(f"{side}: {name}")
    for part in parts:
        print(f"\n{part.name}: " + "\n  ".join(part.lines))
    print(f"\n{verdict(parts)}")
    return int(any(part.differs for part in parts))


def main(argv: list[str]) -> int:
    """Compares the two workdirs that a command line names, and returns its exit code."""
    return run_program(argv, __doc__, _run)


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")  # the run that is under way has the accelerators
    sys.exit(main(sys.argv))
