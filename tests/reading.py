"""Which keys of a config are read."""

import contextlib
from collections.abc import Iterator
from unittest import mock

from ml_collections import ConfigDict

_COPIES = ("to_json", "to_dict", "copy_and_resolve_references")


@contextlib.contextmanager
def recorded() -> Iterator[set]:
    """Fills with (id of the group, key) of what is read of any config, but for copying it whole."""
    found, copying = set(), []
    get_item = ConfigDict.__getitem__

    def recording(self, key):
        if not copying:
            found.add((id(self), key))
        return get_item(self, key)

    def unrecorded(function):
        def call(*arguments, **options):
            copying.append(function)
            try:
                return function(*arguments, **options)
            finally:
                copying.pop()

        return call

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(ConfigDict, "__getitem__", recording))
        for name in _COPIES:
            original = getattr(ConfigDict, name)
            stack.enter_context(mock.patch.object(ConfigDict, name, unrecorded(original)))
        yield found


def unread(config: ConfigDict, found: set, prefix: str = "") -> Iterator[str]:
    """The dotted keys of the leaves that are not among those `found`."""
    for key, value in config._fields.items():  # not items(), which reads them
        if isinstance(value, ConfigDict):
            yield from unread(value, found, f"{prefix}{key}.")
        elif (id(config), key) not in found:
            yield prefix + key
