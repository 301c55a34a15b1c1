"""`--mode=compare`: side by side what measured the same, and a refusal for what did not."""

import json

import pytest

import main
from genjax.scores.record import MEASURED

RECORD = {"metric": "frechet_lite0", "value": 10.0, "error": 0.5, "step": 100} | {
    field: "x" for field in MEASURED
}


@pytest.fixture
def compare(tmp_path, capsys):
    """`compare({folder: [record, …]})`: (exit code, stdout, stderr)."""

    def run(files):
        for name, records in files.items():
            (tmp_path / name).mkdir()
            lines = "".join(json.dumps(RECORD | each) + "\n" for each in records)
            (tmp_path / name / "scores.jsonl").write_text(lines)
        names = [str(tmp_path / name) for name in files]
        code = main.main(["main.py", "--mode=compare", *names[:-1], f"{names[-1]}/scores.jsonl"])
        return code, *capsys.readouterr()

    return run


def test_files_and_steps_are_columns(compare):
    code, out, err = compare(
        {
            "a": [
                {},
                {"value": 9.0},
                {"metric": "recall_lite0", "value": 0.5, "error": None},
                {"metric": "copies_lite0", "value": 0.1, "error": None},
            ],
            "b": [{"step": 200, "value": 8.0}, {"step": 300, "value": 7.0}],
        }
    )
    assert (code, err) == (0, "")
    header, frechet, recall, copies, _ = out.splitlines()
    assert header.index("a, step 100") < header.index("b, step 200") < header.index("b, step 300")
    assert frechet.split() == [
        *("frechet_lite0", "(less", "is", "better)"),
        *("9", "±", "0.98", "8", "±", "0.98", "7", "±", "0.98"),
    ]
    assert copies.split() == ["copies_lite0", "0.1", "-", "-"]
    assert recall.split() == ["recall_lite0", "(more", "is", "better)", "0.5", "-", "-"]


@pytest.mark.parametrize("field", MEASURED)
def test_other_settings_are_refused_by_name(field, compare):
    code, out, err = compare({"a": [{}], "b": [{field: "y"}]})
    assert code == 2 and not out
    assert f"measured different things: {field} is 'x'" in err and "and 'y'" in err


def test_classifiers_of_two_runs_samples_are_compared(compare):
    of_nets = {"metric": "classification_accuracy_cnn", "value": 0.5}
    code, out, _ = compare({"a": [of_nets], "b": [of_nets | {"weights": "y", "value": 0.9}]})
    assert code == 0 and "classification_accuracy_cnn (more is better)" in out


def test_one_set_is_nothing_to_compare(compare):
    assert compare({"a": [{}, {"metric": "b"}]})[0] == 2


@pytest.mark.parametrize(
    ("line", "said"), [("", "lacks files"), ("nowhere", "does not exist"), ("--x=1", "'--x=1'")]
)
def test_a_wrong_command_is_one_line(line, said, capsys):
    assert main.main(["main.py", "--mode=compare", *line.split()]) == 2
    assert said in capsys.readouterr().err
