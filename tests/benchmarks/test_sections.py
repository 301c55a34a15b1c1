"""What a report says of results that were made up: goals, notes, and what there is not."""

import pytest

from benchmarks import sections
from benchmarks.plots import Bar, ratios


def _spread(median: float, low: float | None = None, high: float | None = None) -> dict:
    return {"median": median, "low": low or median, "high": high or median}


def _side(rate: float, images_per_step: int = 64) -> dict:
    return {
        "images_per_step": images_per_step,
        "compile_seconds": 4.0,
        "first_step_seconds": 9.0,
        "rounds": [{"steps": 1, "seconds": images_per_step / rate, "rate": rate}],
        "rate": _spread(rate),
        "peak_memory_bytes": 10**9,
    }


def _row(name="cnn, batch 64, float32", kind="train", goal=1.2, ratio=None, **others) -> dict:
    sides = {"genjax": _side(100.0) | {"mfu": 0.42, "flop_per_second": 2e9}}
    if ratio:
        sides["eager"] = _side(100.0 / ratio)
    return {
        "name": name,
        "workload": name.split(",")[0],
        "kind": kind,
        "unit": "images",
        "batch": 64,
        "precision": "float32",
        "goal": goal,
        "commit": "0123456789ab",
        "date": "2026-01-01",
        "sides": sides,
        "fastest": "eager" if ratio else None,
        "ratio": _spread(ratio, ratio - 0.1, ratio + 0.1) if ratio else None,
    } | others


def _results(*rows) -> dict:
    return {
        "schema": 1,
        "suite": "quick",
        "peer": "torch",
        "status": "complete",
        "environment": {
            "device": {"platform": "cpu", "kind": "cpu", "count": 1},
            "cpu": "AMD EPYC",
            "cores": 2,
            "memory_bytes": 24 * 10**9,
            "system": "Linux",
            "versions": {"jax": "0.10"},
            "commit": "0123456789ab",
            "date": "2026-01-01",
            "command": "python -m benchmarks",
        },
        "matmul": {"float32": 1e11},
        "rows": list(rows),
        "parity": [],
        "scaling": [],
    }


def _section(title: str, results: dict, notes=(), elsewhere=()) -> list[list[str]]:
    found = sections.sections(results, dict(notes), elsewhere)
    (section,) = [section for section in found if section.title == title]
    return [[cell.text for cell in row] for row in section.table.cells()]


def test_a_summary_line():
    heading, line = _section("Summary", _results(_row(ratio=1.25)))
    assert heading == ["Training steps, images a second"]
    assert line == [
        "cnn, batch 64, float32",
        "100 (100–100)",  # noqa: RUF001
        "80 (80–80)",  # noqa: RUF001
        "eager",
        "1.25 (1.15–1.35)",  # noqa: RUF001
        "1.2",
        "42 %",
        "not measured",
    ]


def test_the_other_device_is_quoted():
    there = _row("cnn, batch 128, bfloat16", ratio=1.7, batch=128, precision="bfloat16")
    _, line = _section("Summary", _results(_row(ratio=1.25)), elsewhere=[there])
    assert line[-1] == "1.70 (batch 128, bfloat16)"


def test_rows_below_their_goal_are_listed_with_the_reason():
    results = _results(_row(ratio=1.3), _row("vae, float32", ratio=1.1), _row("a", ratio=0.9))
    lines = _section("Below the goal", results, {"vae, float32": "the profile shows dots"})
    assert lines == [
        ["vae, float32", "1.10 (1.00–1.20)", "1.2", "the profile shows dots"],  # noqa: RUF001
        ["a", "0.90 (0.80–1.00)", "1.2", "no reason is known yet"],  # noqa: RUF001
    ]
    assert sections.totals(results)["goals reached"] == "1 of 3"


def test_a_failed_variant_is_not_missing():
    row = _row(ratio=1.3)
    row["sides"]["compile"] = {"error": "RuntimeError: no C++ compiler"}
    lines = _section("Every side", _results(row))
    assert [line[:2] for line in lines][-1] == ["compile", "RuntimeError: no C++ compiler"]


@pytest.mark.parametrize(
    "rate, limit", [(64 / 0.009, "5.0 %"), (64 / 0.011, "2.0 %")], ids=["short", "long"]
)
def test_what_a_loop_may_cost_depends_on_its_step(rate, limit):
    row = _row("loop", kind="loop", goal=None)
    row["sides"] = {"genjax": _side(rate / 1.04), "bare step": _side(rate)}
    row["ratio"] = {"median": 1 / 1.04, "low": 1 / 1.05, "high": 1 / 1.03}
    (line,) = _section("The loop", _results(row))
    assert line[3:] == ["4.0 % (3.0 to 5.0)", limit]
    below = any(s.title == "Below the goal" for s in sections.sections(_results(row), {}, []))
    assert below == (limit == "2.0 %")


def test_parity_is_judged_by_its_worst_quantity():
    results = _results()
    results["parity"] = [
        {"workload": "cnn", "errors": {"outputs": 2e-6, "losses": 3e-5}},
        {"workload": "vae-mlp", "errors": {"outputs": 2e-3}},
        {"workload": "sngan-32", "error": "no such config"},
    ]
    (section,) = [s for s in sections.sections(results, {}, []) if s.title.startswith("Parity")]
    cells = [row[1] for row in section.table.cells()]
    assert [(cell.text, cell.mark) for cell in cells] == [
        ("3.0e-05", "good"),
        ("2.0e-03", "below"),
        ("no such config", "error"),
    ]


def test_plots_hold_their_labels_and_take_the_colours_of_where_they_are():
    plot = ratios("name", "title", [Bar("a <b> & c", 1.3, 1.2, 1.4, 1.2), Bar("d", 1, 1, 1, None)])
    assert "a &lt;b&gt; &amp; c" in plot.inline()
    assert "var(--ours)" in plot.inline() and "#0000" not in plot.inline()
    assert "#2563eb" in plot.file() and "var(" not in plot.file()
