"""`data.json` of a run: what its networks need of its data, and by what other data are noticed.

A trained run can be used where its data are gone. Where they are there, they have to be those that
the run began with.
"""

import json

from etils import epath

from genjax.data import Dataset
from genjax.errors import UserError
from genjax.files import write_atomically

_FORM = ("shape", "classes")  # other values of these are another network


def save(dataset: Dataset, workdir: epath.Path) -> None:
    """Writes `data.json`."""
    write_atomically(workdir / "data.json", json.dumps(_facts(dataset), indent=2) + "\n")


def load(workdir: epath.Path) -> Dataset | None:
    """The data set of the run in `workdir` without its pictures: `train` and `test` are None.

    None if there is no `data.json`, as in a run without data and in older ones.

    Raises:
      UserError: `data.json` is broken.
    """
    if (facts := _read(workdir)) is None:
        return None
    return Dataset(
        facts["name"],
        None,
        None,
        facts["classes"],
        tuple(facts["shape"]),
        class_names=tuple(facts["class_names"]),
        digest=facts["digest"],
    )


def change(dataset: Dataset, workdir: epath.Path, accept: bool) -> list[str] | None:
    """[digest of the data that the run in `workdir` began with, digest now] if they differ.

    Args:
      accept: whether other data of the same form are no error.

    Raises:
      UserError: the data have changed and it was not accepted, or the change is one of form.
    """
    before, now = _read(workdir), _facts(dataset)
    if before is None or before["digest"] == now["digest"]:
        return None
    what = (
        f"the data of {workdir} have changed since it began: {_line(before)} then, {_line(now)} now"
    )
    if any(before[key] != now[key] for key in _FORM):
        raise UserError(f"{what}: choose another --workdir, or bring the old data back")
    if not accept:
        raise UserError(
            f"{what}: bring the old data back, or go on with --config.data.changed=accept"
        )
    return [before["digest"], now["digest"]]


def _facts(dataset: Dataset) -> dict:
    return {
        "name": dataset.name,
        "shape": list(dataset.shape),
        "classes": dataset.classes,
        "class_names": list(dataset.class_names),
        "train": len(dataset.train),
        "test": len(dataset.test),
        "digest": dataset.digest,
    }


def _line(facts: dict) -> str:
    """For people: how many pictures of which form."""
    shape = "x".join(map(str, facts["shape"]))
    return (
        f"{facts['train']:,} + {facts['test']:,} pictures {shape} of {facts['classes']} classes "
        f"({facts['digest']})"
    )


def _read(workdir: epath.Path) -> dict | None:
    path = epath.Path(workdir) / "data.json"
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text())
        missing = {"name", "class_names", "train", "test", "digest", *_FORM} - facts.keys()
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    except (ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is broken ({reason}): delete it to have it written anew") from None
    return facts
