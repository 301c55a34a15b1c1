"""`task.json` of a run: what its task is built of besides config and data (`Task.known`).

So what a task reads where its run begins, such as the form of another run's networks, need not be
there when the run goes on.
"""

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from genjax.errors import UserError
from genjax.files import write_atomically
from genjax.workdir.checkpoint import saved_steps


def save(known: Mapping[str, Any], workdir: epath.Path) -> None:
    """Writes `task.json`."""
    write_atomically(workdir / "task.json", json.dumps(known, indent=2) + "\n")


def load(workdir: epath.Path) -> dict[str, Any]:
    """What `save` wrote; {} if nothing, and where the run has no checkpoint and begins anew.

    Raises:
      UserError: `task.json` is broken.
    """
    path = epath.Path(workdir) / "task.json"
    if not path.exists() or not saved_steps(epath.Path(workdir)):
        return {}
    try:
        known = json.loads(path.read_text())
        if not isinstance(known, dict):
            raise ValueError("it is no JSON object")
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} is broken ({reason}): delete it to have it written anew") from None
    return known
