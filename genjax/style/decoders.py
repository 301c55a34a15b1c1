"""The decoder of a run of configs/style_adain.py, which another run takes over."""

from genjax.errors import UserError
from genjax.workdir import at_step, config_file, restore_arrays

FIELD = "decoder"  # of the states of both


def check(config) -> None:
    """Checks that `decoder.run` is a run whose decoder fits to the config's `features`.

    Raises:
      UserError: it is not.
    """
    name = config.decoder.run
    if not name:
        raise UserError(
            "decoder.run is empty: name a run of configs/style_adain.py, whose decoder paints, such"
            " as --config.decoder.run=runs/style_adain"
        )
    there = config_file.load(at_step.split(name)[0])
    if there.task != "style_adain":
        raise UserError(
            f"decoder.run={name} is a run of task={there.task!r}: name one of"
            " configs/style_adain.py"
        )
    for key, value in there.features.items():
        if config.features[key] != value:
            raise UserError(
                f"decoder.run={name} has features.{key}={value!r}, and this run"
                f" {config.features[key]!r}: set --config.features.{key}={value}"
            )


def load(name: str):
    """The variables of the decoder of `decoder.run`."""
    folder, step = at_step.split(name)
    return restore_arrays(folder, at_step.steps_of(folder, step), (FIELD,))[FIELD]
