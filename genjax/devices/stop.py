"""Stopping on request: SIGTERM (a scheduler) and SIGINT (Ctrl-C) set a flag that the loop reads."""

import signal


class StopRequest:
    """A context in which the first signal sets `requested` and a second one ends the process."""

    def __init__(self):
        self.requested = ""  # the signal's name
        self._previous = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number, _):
        self.requested = signal.Signals(number).name
        for each in self._previous:
            signal.signal(each, signal.SIG_DFL)
