"""Exceptions of cnnzoo, and functions that make frequent ones.

Every error of cnnzoo is a `CnnzooError` and also the built-in error that a caller would
expect, so `except ValueError` keeps working. A message is one sentence that says what,
where, what was expected, what was found and what to do. `exit_code` is what the command
line returns.
"""

from collections.abc import Iterable
from difflib import get_close_matches

EXIT_CODES = {
    0: "done",
    1: "data, a model or a training is missing, damaged or does not fit",
    2: "arguments that are unknown, impossible, or other than at the start",
    3: "a file or folder could not be read or written, or a download failed",
    4: "a file that may be unsafe",
    130: "Ctrl-C",
    143: "SIGTERM",
}
"""Meaning of what the command line returns."""


class CnnzooError(Exception):
    """Base of all errors that cnnzoo raises on purpose."""

    exit_code = 1


class UsageError(CnnzooError, ValueError):
    """An invalid argument, such as an unknown name or an impossible size."""

    exit_code = 2


class DatasetError(CnnzooError, ValueError):
    """A data set whose files, labels or layout cannot be used as they are."""


class ImageDecodeError(DatasetError):
    """An image file that is missing or cannot be read.

    Attributes:
        found: What is wrong with the file, in a few words.
    """

    def __init__(self, message: str, found: str = ""):
        super().__init__(message)
        self.found = found


class LabelError(DatasetError):
    """Labels that do not fit the images."""


class TrainingError(CnnzooError, ArithmeticError):
    """A training that failed, such as by an infinite loss."""


class CheckpointError(CnnzooError, RuntimeError):
    """A training that cannot be resumed from its folder, which is unchanged."""


class ResumeMismatchError(CheckpointError):
    """A folder that contains a training with other data or another recipe."""

    exit_code = 2


class WeightFileError(CnnzooError, ValueError):
    """A model or weight file that is damaged or does not fit the model."""


class UnsafeFileError(WeightFileError):
    """A file with content that sound files never have, such as external links."""

    exit_code = 4


class SaveError(CnnzooError, OSError):
    """A file that could not be written; an existing file is unchanged."""

    exit_code = 3


class DownloadError(CnnzooError, OSError):
    """A file that could not be downloaded."""

    exit_code = 3


def cannot_read(where: object, expected: str, found: str, advice: str) -> DatasetError:
    """The error for a data file whose content is not what was expected."""
    return DatasetError(
        f"cannot read {where}: expected {expected}, found {found}, so {advice}"
    )


def other_network(folder: object, before: str, now: str) -> ResumeMismatchError:
    """The error that a folder holds a training of another network."""
    return ResumeMismatchError(
        f"{folder} holds a training of {before}, not of {now}; train {now} into another "
        f"folder, or pass {before}"
    )


def unknown(
    kind: str, name: object, known: Iterable[str], meant: str | None = None
) -> UsageError:
    """The error for a name that is not among the `known`, with the nearest of them.

    Args:
        meant: The one that is meant, where the caller knows it.
    """
    known = sorted(known)
    near = [meant] if meant else get_close_matches(str(name).lower(), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return UsageError(f"unknown {kind} {str(name)[:80]!r}; {hint[:800]}")


def check_known(
    kind: str, name: object, known: Iterable[str], meant: str | None = None
) -> None:
    """Raises the error of `unknown` for a name that is not among the `known`."""
    if name not in tuple(known):  # which may be a set, and the name a list
        raise unknown(kind, name, known, meant)


def not_installed(package: str, extra: str, path: object) -> UsageError:
    """The error for a file whose reader is not installed.

    Args:
        package: Name of the package that reads it.
        extra: The extra of cnnzoo that installs the package.
        path: Path of the file.
    """
    return UsageError(
        f"{path} is read by {package}, which is not installed; install it with: pip "
        f"install 'cnnzoo[{extra}]'"
    )
