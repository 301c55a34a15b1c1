import json

import pytest
from etils import epath

from genjax.errors import UserError
from genjax.scores import record


def test_what_is_appended_is_read(tmp_path):
    rows = [{"metric": "a", "value": 1.0}, {"metric": "b", "value": 2.0, "error": 0.1}]
    for row in rows:
        record.append(epath.Path(tmp_path), [row])
    assert record.read(epath.Path(tmp_path)) == rows
    assert [record.shown(row) for row in rows] == ["1", "2 ± 0.2"]


A = '{"metric": "a", "value": 1'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f'{A}, "step": "x"}}', "line 1 is no record"),
        (f'{A}, "error": "y"}}', "line 1 is no record"),
        (f'{A}, "fake": 3}}', "line 1 is no record"),
        ("[1]", "line 1 is no record"),
        ("3", "line 1 is no record"),
        ("[" * 100_000, "line 1 is no record"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (None, "does not exist"),
        ("", "has no records"),
        ("{}\n", "line 1 is no record"),
        (json.dumps({"metric": "a", "value": 1}) + "\nnonsense\n", "line 2 is no record"),
    ],
)
def test_what_is_no_record_is_one_line(content, said, tmp_path):
    if content is not None:
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "scores.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=said):
        record.read(epath.Path(tmp_path))


def test_columns_line_up():
    assert record.table([("a", "1"), ("long", "10")]) == "a      1\nlong  10"
