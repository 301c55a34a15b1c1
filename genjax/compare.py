"""`--mode=compare`: records of scores side by side, where they measured the same."""

from genjax.errors import UserError
from genjax.files import place
from genjax.scores import record
from genjax.scores.measure import better


def compare(names: list[str]) -> None:
    """Prints a table with a row for each metric and a column for each scored set or step.

    Args:
      names: `scores.jsonl` files, or workdirs that have one. Of several records of one metric, of
        one set and step in one file, the newest counts.

    Raises:
      UserError: a file cannot be read, there is nothing to compare, or records of a metric differ
        in what they measured; the message names the field.
    """
    columns = _columns(names)
    if len(columns) < 2:
        raise UserError(
            "nothing to compare: name scores.jsonl files with two sets or steps or more"
        )
    metrics = list(dict.fromkeys(name for records in columns.values() for name in records))
    for metric in metrics:
        _check_same(metric, {c: r[metric] for c, r in columns.items() if metric in r})
    rows = [
        [
            f"{metric} ({way})" if (way := better(metric)) else metric,
            *(record.shown(r[metric]) if metric in r else "-" for r in columns.values()),
        ]
        for metric in metrics
    ]
    print(record.table([["", *columns], *rows]))
    print("with intervals of 95 %, as far as generated pictures are a sample of many")


def _columns(names: list[str]) -> dict[str, dict[str, dict]]:
    """{"workdir, step 300": {metric: record}}."""
    columns: dict[str, dict[str, dict]] = {}
    for name in names:
        path = place(name)
        folder = path if path.is_dir() else path.parent
        for each in record.read(path):
            what = f"step {each['step']:,}" if "step" in each else each.get("fake", "")
            columns.setdefault(f"{folder}, {what}", {})[each["metric"]] = each
    return columns


def _check_same(metric: str, records: dict[str, dict]) -> None:
    (first, expected), *others = records.items()
    for column, found in others:
        for field in record.measured(metric):
            if found.get(field) != expected.get(field):
                raise UserError(
                    f"{metric} of {first} and of {column} measured different things: {field} is"
                    f" {_value(expected, field)} and {_value(found, field)}: score both alike"
                )


def _value(found: dict, field: str):
    name = {"real_digest": "real"}.get(field)
    return f"{found.get(field)!r}" + (f" ({found.get(name)})" if name else "")
