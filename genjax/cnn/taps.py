"""How a network hands over the activations that are asked for."""

from collections.abc import Sequence

FLAT = ("pool", "logits")  # taps behind the last picture of features, f32[B, n]


class Taps:
    """The activations asked for, as a network comes by them.

    Attributes:
      found: {name: activation}, those so far.
      to_the_border: whether pools have to leave out no odd border (`genjax.nn.to_even`): where only
        pictures of features are asked for. What is behind them is that of the network as trained.
    """

    def __init__(self, names: Sequence[str]):
        self._names, self.found = frozenset(names), {}
        self.to_the_border = bool(names) and self._names.isdisjoint(FLAT)

    def complete(self, name: str, value) -> bool:
        """Keeps `value` if it is asked for; whether all that is asked for is there with it.

        Where nothing is asked for, the network is to go on to its end, and it is never complete.
        """
        if name in self._names:
            self.found[name] = value
        return bool(self._names) and len(self.found) == len(self._names)
