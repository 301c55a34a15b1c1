"""What a report says, part by part, from the results: tables and plots, no layout."""

from collections.abc import Mapping, Sequence

from benchmarks import plots, workloads
from benchmarks.parts import Cell, Section, Table
from benchmarks.texts import DASH, flop_rate, percent, ranged, ratio_text, seconds
from genjax.speed.collectives import size_text

PARITY_GOAL = 1e-4
NOT_MEASURED = "not measured"
_COUNTED = {"memory": "peak memory", "sent": "each sends a step"}
_GROUPS = {
    ("train", "images"): "Training steps, images a second",
    ("train", "iterations"): "Style optimisation, iterations a second",
    ("sample", "images"): "Sampling, images a second",
    ("input", "images"): "Input, images a second",
}


def sections(results: Mapping, notes: Mapping, elsewhere: Sequence[Mapping]) -> list[Section]:
    """All that have something to say, in order.

    Args:
      results: as in results.json.
      notes: {row's name: why it is below its goal}.
      elsewhere: the rows of reports of the other kind of device.
    """
    rows = results["rows"]
    made = [
        _summary(results, elsewhere),
        _below(rows, notes),
        _parity(results),
        _curves(results["scaling"]),
        _start_up(rows),
        _loop(rows),
        _sides(rows),
        _points(results["scaling"]),
        _environment(results),
    ]
    return [section for section in made if section]


# Numbers as people read them ----------------------------------------------------------------------


def title(environment: Mapping) -> str:
    device = environment["device"]
    if device["platform"] == "cpu":
        cores = environment["cores"]
        return f"Speed on {cores} core{'s' * (cores > 1)} of {environment['cpu']}"
    count = f"{device['count']} x " if device["count"] > 1 else ""
    return f"Speed on {count}{device['kind']}"


def status(results: Mapping) -> str:
    what = f"suite {results['suite']}, {results['environment']['date']}"
    if results["status"] == "complete":
        return f"complete: {what}"
    return f"interrupted: {what}; what was measured until then is here"


def totals(results: Mapping) -> dict[str, str]:
    training = [r for r in results["rows"] if r["kind"] == "train" and r["ratio"]]
    totals = {}
    if training:
        medians = sorted(r["ratio"]["median"] for r in training)
        totals["training, ratio to PyTorch"] = f"{medians[0]:.2f} to {medians[-1]:.2f}"
    judged = [r for r in results["rows"] if _reached(r) is not None]
    if judged:
        totals["goals reached"] = f"{sum(map(_reached, judged))} of {len(judged)}"
    errors = [max(p["errors"].values()) for p in results["parity"] if p.get("errors")]
    if errors:
        totals["parity, largest difference"] = f"{max(errors):.0e}"
    for precision, rate in results["matmul"].items():
        totals[f"matrix products, {precision}"] = flop_rate(rate)
    return totals


def _reached(row: Mapping) -> bool | None:
    """Whether a row reaches its goal; None where it has none, or nothing to compare with."""
    if row["kind"] == "loop" and row["ratio"]:
        return loop_cost(row)["median"] <= _loop_limit(row)
    if row["kind"] == "start":
        warm = row["sides"].get("warm cache", {}).get("first_step_seconds")
        return None if warm is None else warm <= workloads.WARM_START_SECONDS
    if row["goal"] is None or not row["ratio"]:
        return None
    return row["ratio"]["median"] >= row["goal"]


# Sections -----------------------------------------------------------------------------------------


def _summary(results: Mapping, elsewhere: Sequence[Mapping]) -> Section:
    on_gpu = results["environment"]["device"]["platform"] != "cpu"
    other = "on CPU" if on_gpu else "on GPU"
    columns = ["", "genjax", "fastest PyTorch", "which", "ratio", "goal", "MFU"]
    columns.append(Cell(other, "words"))
    lines, bars = [], []
    for group, title in _GROUPS.items():
        members = [row for row in results["rows"] if (row["kind"], row["unit"]) == group]
        if members:
            lines.append([Cell(title, "group")])
        for row in members:
            lines.append(_summary_line(row, elsewhere))
            if row["ratio"]:
                bars.append(plots.Bar(row["name"], *_triple(row["ratio"]), row["goal"]))
    text = (
        "Median and range of rounds that took turns, A B A B …; the ratio is taken round by round "
        "against the fastest variant. MFU is the model's arithmetic over what matrix products "
        "reached in this run."
    )
    drawn = [plots.ratios("ratios", "Ratio to PyTorch, range and goal", bars)] if bars else []
    return Section("Summary", text, Table(columns, lines), drawn)


def _triple(spread: Mapping[str, float]) -> tuple[float, float, float]:
    return spread["median"], spread["low"], spread["high"]


def _summary_line(row: Mapping, elsewhere: Sequence[Mapping]) -> list[str | Cell]:
    ours = row["sides"].get("genjax", {})
    speed = Cell(f"failed: {ours.get('error', 'interrupted')}", "error")
    if "rate" in ours:
        speed = Cell(ranged(ours["rate"]))
    peer, which, ratio = DASH, DASH, Cell(DASH)
    if row["fastest"]:
        which = row["fastest"]
        peer = ranged(row["sides"][which]["rate"])
        mark = {True: "good", False: "below", None: ""}[_reached(row)]
        ratio = Cell(ratio_text(row["ratio"]), mark)
    elif failed := [side["error"] for n, side in row["sides"].items() if "error" in side]:
        peer = Cell(f"failed: {failed[0]}", "error")
    goal = DASH if row["goal"] is None else f"{row['goal']:g}"
    there = [
        f"{other['ratio']['median']:.2f} (batch {other['batch'] or 1}, {other['precision']})"
        for other in elsewhere
        if other["workload"] == row["workload"] and other["ratio"]
    ]
    mfu = percent(ours.get("mfu"))
    other = Cell("; ".join(there), "words") if there else Cell(NOT_MEASURED)
    return [row["name"], speed, peer, which, ratio, goal, mfu, other]


def _below(rows: Sequence[Mapping], notes: Mapping) -> Section | None:
    short = [row for row in rows if _reached(row) is False]
    if not short:
        return None
    lines = []
    for row in short:
        if row["kind"] == "loop":
            reached = percent(loop_cost(row)["median"])
            goal = f"at most {percent(_loop_limit(row))}"
        elif row["kind"] == "start":
            reached = seconds(row["sides"]["warm cache"]["first_step_seconds"])
            goal = f"at most {seconds(workloads.WARM_START_SECONDS)}"
        else:
            reached, goal = ratio_text(row["ratio"]), f"{row['goal']:g}"
        reason = notes.get(row["name"], "no reason is known yet")
        lines.append([row["name"], Cell(reached, "below"), goal, Cell(reason, "words")])
    return Section(
        "Below the goal", "", Table(["", "reached", "goal", Cell("why", "words")], lines)
    )


def _parity(results: Mapping) -> Section | None:
    if not results["parity"]:
        return None
    lines = []
    for entry in results["parity"]:
        if "error" in entry:
            lines.append([entry["workload"], Cell(entry["error"], "error"), ""])
            continue
        worst = max(entry["errors"].values())
        mark = "good" if worst <= PARITY_GOAL else "below"
        each = ", ".join(f"{name} {error:.0e}" for name, error in entry["errors"].items())
        lines.append([entry["workload"], Cell(f"{worst:.1e}", mark), Cell(each, "words")])
    text = (
        "Both sides with the same weights and inputs, in float32: the largest relative difference "
        f"of outputs, gradients and the losses of ten steps. At most {PARITY_GOAL:g} is the goal."
    )
    table = Table(["", "largest difference", Cell("of each quantity", "words")], lines)
    return Section("Parity with PyTorch", text, table)


def _curves(measured: Sequence[Mapping]) -> Section | None:
    drawn = []
    labels = {"batch": "batch", "resolution": "pixels a side", "devices": "virtual devices"}
    for series in measured:
        good = [point for point in series["points"] if "rate" in point]
        if not good:
            continue
        name, slug = _series_name(series), f"{series['workload']}-{series['axis']}"
        x, x_label = [point["value"] for point in good], labels[series["axis"]]
        rates = zip(*(_triple(point["rate"]) for point in good), strict=True)
        speed, per_second = plots.Curve(x, *rates), f"{series['unit']} a second"
        drawn.append(plots.curve(f"{slug}-speed", f"{name}: speed", x_label, per_second, speed))
        counted = {"memory": "peak_memory_bytes"}
        if series["axis"] == "devices":
            counted["sent"] = "sent_bytes"
        for what, key in counted.items():
            values = [point[key] for point in good]
            drawn.append(
                plots.curve(
                    f"{slug}-{what}",
                    f"{name}: {_COUNTED[what]}",
                    x_label,
                    "",
                    plots.Curve(x, values, values, values),
                    unit="B",
                )
            )
    if not drawn:
        return None
    text = (
        "Virtual devices share the cores of one machine and divide one batch: their curve shows "
        "what dividing costs, not what more hardware brings. What each device sends a step is "
        "counted from the program. Memory is the process' peak, Python and libraries included, "
        "on a CPU."
    )
    return Section("How cost grows", text, drawings=drawn)


def _points(measured: Sequence[Mapping]) -> Section | None:
    if not measured:
        return None
    lines = []
    for series in measured:
        lines.append([Cell(_series_name(series), "group")])
        for point in series["points"]:
            if "error" in point:
                lines.append([str(point["value"]), Cell(point["error"], "error"), "", ""])
                continue
            sent = size_text(point["sent_bytes"]) if point["sent_bytes"] else DASH
            memory = size_text(point["peak_memory_bytes"])
            lines.append([str(point["value"]), ranged(point["rate"]), memory, sent])
    columns = ["", "a second", "peak memory", "each device sends a step"]
    return Section("How cost grows, in numbers", "", Table(columns, lines))


def _series_name(series: Mapping) -> str:
    return f"{series['workload']} against {series['axis']}"


def _start_up(rows: Sequence[Mapping]) -> Section | None:
    lines = []
    for row in rows:
        if row["kind"] == "start":
            cold, warm = (row["sides"][name] for name in ("empty cache", "warm cache"))
            mark = {True: "good", False: "below", None: ""}[_reached(row)]
            lines.append(
                [
                    f"main.py, {row['name']}",
                    DASH,
                    cold.get("error") or seconds(cold["first_step_seconds"]),
                    Cell(warm.get("error") or seconds(warm["first_step_seconds"]), mark),
                    DASH,
                ]
            )
    for row in rows:
        ours = row["sides"].get("genjax", {})
        if row["kind"] != "train" or "rate" not in ours:
            continue
        theirs = row["sides"].get(row["fastest"], {})
        lines.append(
            [
                row["name"],
                seconds(ours["compile_seconds"]),
                seconds(ours["first_step_seconds"]),
                seconds(ours.get("warm_start_seconds")),
                seconds(theirs.get("first_step_seconds")),
            ]
        )
    if not lines:
        return None
    text = (
        "From the start of the process until the first step is done (in the rows of main.py until "
        "its metrics are written): interpreter, imports, data and compilation, with an empty and "
        "a warm compilation cache. For main.py a warm start's goal is "
        f"{seconds(workloads.WARM_START_SECONDS)}."
    )
    columns = ["", "compilation", "empty cache", "warm cache", "fastest PyTorch"]
    return Section("Start-up", text, Table(columns, lines))


def loop_cost(row: Mapping) -> dict[str, float]:
    """What the loop takes longer than the bare step, as a share of it: 1 / ratio - 1."""
    low, high = (1 / row["ratio"][end] - 1 for end in ("high", "low"))
    return {"median": 1 / row["ratio"]["median"] - 1, "low": low, "high": high}


def _loop_limit(row: Mapping) -> float:
    bare = row["sides"]["bare step"]
    step = bare["images_per_step"] / bare["rate"]["median"]
    is_short = step < workloads.SHORT_STEP_SECONDS
    return workloads.SHORT_LOOP_COST if is_short else workloads.LOOP_COST


def _loop(rows: Sequence[Mapping]) -> Section | None:
    lines = []
    for row in rows:
        if row["kind"] != "loop":
            continue
        if not row["ratio"]:
            failed = [side["error"] for side in row["sides"].values() if "error" in side]
            lines.append([row["name"], DASH, DASH, Cell("; ".join(failed), "error"), DASH])
            continue
        cost = loop_cost(row)
        sides = (row["sides"][name] for name in ("genjax", "bare step"))
        steps = (f"{1e3 * s['images_per_step'] / s['rate']['median']:.2f} ms" for s in sides)
        text = f"{100 * cost['median']:.1f} % ({100 * cost['low']:.1f} to {100 * cost['high']:.1f})"
        mark = "good" if _reached(row) else "below"
        lines.append([row["name"], *steps, Cell(text, mark), percent(_loop_limit(row))])
    if not lines:
        return None
    text = (
        "The training loop with its lines of metrics, progress and TensorBoard against the same "
        "compiled chunk called with inputs that are on the device already."
    )
    columns = ["", "a step in the loop", "the bare step", "the loop costs", "at most"]
    return Section("The loop", text, Table(columns, lines))


def _sides(rows: Sequence[Mapping]) -> Section | None:
    lines = []
    for row in rows:
        if row["kind"] == "start":
            continue
        lines.append([Cell(row["name"], "group")])
        for name, side in row["sides"].items():
            if "rate" not in side:
                error = Cell(side.get("error", "interrupted"), "error")
                lines.append([name, error, "", "", "", "", ""])
                continue
            is_step = row["kind"] in ("train", "sample")
            flop = side.get("flop_per_second")
            lines.append(
                [
                    name,
                    ranged(side["rate"]),
                    seconds(side["compile_seconds"] if is_step else None),
                    seconds(side["first_step_seconds"] if is_step else None),
                    size_text(side["peak_memory_bytes"]),
                    DASH if flop is None else f"{flop / 1e9:,.1f}",
                    percent(side.get("mfu")),
                ]
            )
    if not lines:
        return None
    columns = ["", "a second", "compilation", "first step after", "peak memory", "GFLOP/s", "MFU"]
    return Section("Every side", "", Table(columns, lines))


def _environment(results: Mapping) -> Section:
    environment = results["environment"]
    device = environment["device"]
    facts = {
        "device": f"{device['count']} x {device['kind']} ({device['platform']})",
        "processor": f"{environment['cpu']}, cores used: {environment['cores']}",
        "memory": size_text(environment["memory_bytes"]),
        "system": environment["system"],
        "versions": ", ".join(f"{k} {v}" for k, v in environment["versions"].items()),
        "commit": environment["commit"],
        "date": environment["date"],
        "command": environment["command"],
    }
    for precision, rate in results["matmul"].items():
        facts[f"matrix products, {precision}"] = flop_rate(rate)
    pieces = {(r["commit"], r["date"]) for r in results["rows"]}
    if len(pieces) > 1:
        facts["measured in pieces"] = "; ".join(
            f"{r['name']}: commit {r['commit']}, {r['date']}" for r in results["rows"]
        )
    lines = [[name, Cell(fact, "words")] for name, fact in facts.items()]
    return Section("Environment", "", Table(["", ""], lines))
