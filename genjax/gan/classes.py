"""Which classes of the data a network knows."""

from genjax.errors import UserError


def check_classes(network: str, classes: int, change: str) -> None:
    """Checks that the data know classes, for a network that needs them.

    Args:
      network: what the message calls it; change: what it says one may do, beside giving classes.

    Raises:
      UserError: they do not.
    """
    if not classes:
        raise UserError(
            f"{network} needs classes, and the data have none: put the pictures of each class into"
            f" a folder of their own (with data.labels=folders), or {change}"
        )


def known_classes(model, classes: int) -> int:
    """How many classes networks with `model.condition` know: the data's, or 0 with "none".

    Raises:
      UserError: the condition needs classes, and the data have none.
    """
    if model.condition == "none":
        return 0
    change = "set --config.model.condition=none"
    check_classes(f"model.condition={model.condition!r}", classes, change)
    return classes
