"""Writing files that a reader, or a crash, never sees half of."""

from etils import epath


def write_atomically(path: epath.Path, text: str) -> None:
    """Writes `text` so that a reader sees the old file or the new one, never half of it."""
    partial = path.parent / f".{path.name}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
