"""`task.json`: read where a run goes on, and nowhere else."""

import pytest
from etils import epath

from genjax.errors import UserError
from genjax.workdir import known_task


def test_what_was_known_counts_from_the_first_checkpoint_on(tmp_path):
    """A folder in which no run got so far is that of a new run."""
    workdir = epath.Path(tmp_path)
    assert known_task.load(workdir) == {}
    known_task.save({"model": {"widths": [1, 2]}}, workdir)
    assert known_task.load(workdir) == {}
    (workdir / "checkpoints" / "4").mkdir(parents=True)
    assert known_task.load(workdir) == {"model": {"widths": [1, 2]}}


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_file_is_named(text, tmp_path):
    (tmp_path / "task.json").write_text(text)
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    with pytest.raises(UserError, match=r"task\.json is broken .*: delete it"):
        known_task.load(epath.Path(tmp_path))
