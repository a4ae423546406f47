"""Text of unknown origin, made safe to show; it stands alone for terminals and pages."""

import re

# Control characters but tab and line feed, marks that reorder text, undecodable bytes.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: object) -> str:
    r"""The text with unsafe characters as escapes, such as \x1b.

    Names of files and folders can contain them, and a terminal would obey them.
    """
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
