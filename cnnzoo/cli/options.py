"""What texts on the command line stand for: numbers, each in its range."""

import argparse


def positive(kind: type):
    """A reader of numbers of that type above 0."""

    def number(text: str):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
        return value

    number.__name__ = kind.__name__  # argparse names it where `text` is no number
    return number


def folds(text: str) -> int:
    count = int(text)
    if count < 2:
        raise argparse.ArgumentTypeError(f"expected 2 or more, got {text}")
    return count


def part(text: str) -> float | int:
    """A share, or a number of images."""
    return int(text) if text.isdecimal() else float(text)


part.__name__ = "share or number of images"  # argparse names it where `text` is none


def seed(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"expected 0 to {2**32 - 1}, got {text}")
    return number
