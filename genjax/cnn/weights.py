"""Weights files: arrays come out, nothing else runs.

The published weights that pip brings are pickles. They are read by an unpickler that knows how to
build a numpy array and refuses every other name, so that a hostile file is an error and no more.
"""

import importlib.metadata
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
from etils import epath

from genjax.errors import UserError
from genjax.images import nearest_files

# The only names that a pickle of numpy arrays needs, under numpy 1's and numpy 2's spelling.
_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return _ADMITTED[module, name]


def package_file(package: str, name: str) -> Path:
    """The file called `name` that the installed `package` carries.

    Raises:
      UserError: the package, or the file in it, is not installed.
    """
    try:
        files = importlib.metadata.distribution(package).files or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the package {package} is missing: pip install {package}") from None
    for file in files:
        if file.name == name:
            return Path(file.locate())
    raise UserError(f"the package {package} has no {name}: pip install --force-reinstall {package}")


def read_pickle(path: Path) -> dict:
    """Nested dicts of numpy arrays from a pickle of them.

    Raises:
      UserError: the file is missing or broken, or holds anything but arrays.
    """
    try:
        with path.open("rb") as file:
            return _ArrayUnpickler(file).load()
    except FileNotFoundError:
        raise UserError(f"weights file {path} does not exist") from None
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, IndexError) as error:
        raise UserError(f"weights file {path} cannot be read: {error}") from None


def read_npz(path: str) -> dict[str, np.ndarray]:
    """{name: array} of a `.npz` file.

    Raises:
      UserError: the file is missing or broken, or holds Python objects.
    """
    path = epath.Path(path)
    if not path.is_file():
        raise UserError(f"weights file {path} does not exist{nearest_files(Path(path))}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, AttributeError):
        # NumPy's own words for some of these advise to load them unsafely.
        raise UserError(f"weights file {path} is not a readable .npz of arrays") from None
