"""What a report says of results that were made up, reports that are joined of parts, and errors."""

import json
import re

import pytest

from benchmarks import report


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
    """The cells of a section's table in the Markdown."""
    text = (
        report.markdown(results, dict(notes), elsewhere).split(f"## {title}\n")[1].split("\n## ")[0]
    )
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_a_summary_line():
    heading, line = _section("Summary", _results(_row(ratio=1.25)))
    assert heading[0] == "**Training steps, images a second**" and not any(heading[1:])
    assert line == [
        "cnn, batch 64, float32",
        "100 (100–100)",  # noqa: RUF001
        "80 (80–80)",  # noqa: RUF001
        "eager",
        "1.25 (1.15–1.35) ✓",  # noqa: RUF001
        "1.2",
        "42 %",
        "1.00 ✓",
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
        ["vae, float32", "1.10 (1.00–1.20) ✗", "1.2", "the profile shows dots"],  # noqa: RUF001
        ["a", "0.90 (0.80–1.00) ✗", "1.2", "no reason is known yet"],  # noqa: RUF001
    ]
    # Of each also the memory, and the first step from an empty cache.
    assert "- goals reached: **7 of 9**" in report.markdown(results, {}, [])


def test_memory_and_first_steps_have_goals_of_their_own():
    row = _row("a", ratio=1.3)
    row["sides"]["genjax"] |= {"peak_memory_bytes": 16 * 10**8, "warm_start_seconds": 10.0}
    row["sides"]["genjax"]["first_step_seconds"] = 19.0
    lines = _section("Below the goal", _results(row), {"a: memory": "XLA keeps buffers"})
    assert lines == [
        ["a: memory", "1.60 ✗", "at most 1.5", "XLA keeps buffers"],
        ["a: first step, empty cache", "2.11 ✗", "at most 2", "no reason is known yet"],
    ]
    general = {"first step, empty cache": "it compiles"}  # of all rows
    assert _section("Below the goal", _results(row), general)[1][-1] == "it compiles"
    (line,) = _section("Start-up", _results(row))
    assert line == ["a", "4.0 s", "19.0 s", "10.0 s", "9.0 s", "2.11 ✗", "1.11 ✓"]


def _command_row(**others) -> dict:
    def side(seconds: float, memory: float) -> dict:
        rounds = [{"seconds": seconds, "peak_memory_bytes": memory}]
        spreads = {"seconds": _spread(seconds), "memory_bytes": _spread(memory)}
        return {"rounds": rounds, "scores": {"eval/loss": 0.25}} | spreads

    sides = {"empty cache": side(50.0, 8e8), "warm cache": side(30.0, 7e8)}
    sides["PyTorch"] = side(45.0, 5e8) | {"variant": "eager"}
    sides["warm cache"]["scores"] = {"eval/loss": 0.25, "eval/tv": 0.0}  # of ours alone
    row = _row("command-cnn, float32", kind="command", goal=None, unit="runs", sides=sides)
    return row | {
        "ratios": {"empty cache": _spread(0.9), "warm cache": _spread(1.5)},
        "goals": {"empty cache": None, "warm cache": 1.2},
    } | others  # fmt: skip


def test_a_whole_command():
    lines = _section("Whole commands", _results(_command_row()))
    assert lines == [
        ["**command-cnn, float32**", "", "", "", "", "1.60 ✗", ""],
        ["empty cache", "50.0 s (50.0 s–50.0 s)", "0.90 (0.90–0.90)", "–", *_megabytes(800)],  # noqa: RUF001
        ["warm cache", "30.0 s (30.0 s–30.0 s)", "1.50 (1.50–1.50) ✓", "1.2", *_megabytes(700)],  # noqa: RUF001
        ["PyTorch (eager)", "45.0 s (45.0 s–45.0 s)", "–", "–", *_megabytes(500)],  # noqa: RUF001
    ]
    text = report.markdown(_results(_command_row()), {}, [])
    assert "- whole commands, warm cache, PyTorch's time over ours: **1.50 to 1.50**" in text


def _megabytes(n: int) -> list[str]:
    return [f"{n} MB ({n} MB–{n} MB)", "", "loss 0.25"]  # noqa: RUF001


def test_a_whole_command_without_pytorch_or_with_an_error():
    row = _command_row(ratios={})
    row["sides"]["PyTorch"] = {"error": "no memory"}
    lines = _section("Whole commands", _results(row))
    assert [line[1] for line in lines[1:]][-1] == "failed: no memory ✗"
    assert [line[2] for line in lines[1:]] == ["–"] * 3  # noqa: RUF001
    del row["sides"]["PyTorch"]
    assert len(_section("Whole commands", _results(row))) == 3


def test_a_failed_variant_is_not_missing():
    row = _row(ratio=1.3)
    row["sides"]["compile"] = {"error": "RuntimeError: no C++ compiler"}
    lines = _section("Every side", _results(row))
    assert [line[:2] for line in lines][-1] == [
        "compile",
        "failed: RuntimeError: no C++ compiler ✗",
    ]


@pytest.mark.parametrize(
    "rate, limit", [(64 / 0.009, "5.0 %"), (64 / 0.011, "2.0 %")], ids=["short", "long"]
)
def test_what_a_loop_may_cost_depends_on_its_step(rate, limit):
    row = _row("loop", kind="loop", goal=None)
    row["sides"] = {"genjax": _side(rate / 1.04), "bare step": _side(rate)}
    row["ratio"] = {"median": 1 / 1.04, "low": 1 / 1.05, "high": 1 / 1.03}
    (line,) = _section("The loop", _results(row))
    is_below = limit == "2.0 %"
    assert line[3:] == [f"4.0 % (3.0 to 5.0) {'✗' if is_below else '✓'}", limit]
    assert ("## Below the goal" in report.markdown(_results(row), {}, [])) == is_below


def test_parity_is_judged_by_its_worst_quantity():
    results = _results()
    results["parity"] = [
        {"workload": "cnn", "errors": {"outputs": 2e-6, "losses": 3e-5}},
        {"workload": "vae-mlp", "errors": {"outputs": 2e-3}},
        {"workload": "sngan-32", "error": "no such config"},
    ]
    lines = _section("Parity with PyTorch", results)
    assert [line[1] for line in lines] == [
        "3.0e-05 ✓",
        "2.0e-03 ✗",
        "failed: no such config ✗",
    ]


def test_plots_hold_their_labels_and_stand_in_the_page(tmp_path):
    row = _row("a <b> & c", ratio=1.3)
    report.write(_results(row, _row("d", ratio=1.0, goal=None)), tmp_path)
    svg, html = ((tmp_path / name).read_text() for name in ("plots/ratios.svg", "report.html"))
    assert svg.startswith("<svg") and "a &lt;b&gt; &amp; c" in svg and "<b>" not in svg
    assert svg in html
    assert '<td style="text-align:right" class="good">1.30 (1.20–1.40) ✓</td>' in html  # noqa: RUF001


@pytest.fixture
def write(tmp_path):
    def write(name: str, results: dict):
        (tmp_path / name).mkdir()
        (tmp_path / name / report.RESULTS_FILE).write_text(json.dumps(results))
        return str(tmp_path / name)

    return write


def test_parts_are_joined_by_name(write, tmp_path):
    whole = write("whole", _results(_row("a", ratio=1.3), _row("b", ratio=1.4)))
    part = write("part", _results(_row("b", ratio=1.5, date="later"), _row("c", ratio=1.6)))
    assert report.main(["report", whole, part]) == 0
    rows = report.read(tmp_path / "whole")["rows"]
    assert [(row["name"], row["ratio"]["median"]) for row in rows] == [
        ("a", 1.3),
        ("b", 1.5),
        ("c", 1.6),
    ]
    text = (tmp_path / "whole" / "report.md").read_text()
    assert "measured in pieces" in text and "b: commit 0123456789ab, later" in text


def test_rows_of_a_kind_that_is_measured_no_more_are_left_out(write, tmp_path):
    old = _row("start-dcgan", kind="start")
    assert report.main(["report", write("whole", _results(_row("a"), old))]) == 0
    assert [row["name"] for row in report.read(tmp_path / "whole")["rows"]] == ["a"]


def test_parts_of_two_devices_are_not(write, capsys):
    other = _results()
    other["environment"]["cores"] = 4
    assert report.main(["report", write("whole", _results()), write("part", other)]) == 2
    assert capsys.readouterr().err == "error: the parts are of two devices: 2 and 4\n"


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 7}'])
def test_what_is_no_result_is_said_in_one_line(content, tmp_path, capsys):
    (tmp_path / report.RESULTS_FILE).write_text(content)
    assert report.main(["report", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is no benchmark result" in error


def test_no_result_at_all(tmp_path, capsys):
    assert report.main(["report", str(tmp_path / "none")]) == 2
    assert "does not exist: run python -m benchmarks --out=" in capsys.readouterr().err
    assert report.main(["report"]) == 2
