"""HTML reports in one file, with text, tables and embedded pictures."""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from cnnzoo.system.text import printable

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a202c; max-width: 960px;
       margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } .lead { color: #4a5568; margin-top: .3rem; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #e2e8f0; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; }
code { background: #edf2f7; padding: .1rem .3rem; border-radius: 3px; }
"""


@dataclass(frozen=True)
class Section:
    """A heading with optional text, table and pictures.

    Attributes:
        title: Heading.
        text: Paragraphs, one per line.
        header: First row of the table; empty for no table.
        rows: Other rows of the table.
        pictures: PNG files as bytes, each with a description.
    """

    title: str
    text: str = ""
    header: Sequence[str] = ()
    rows: Iterable[Sequence[object]] = ()
    pictures: Sequence[tuple[bytes, str]] = ()


def render_page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Returns a complete page; all text is escaped."""
    body = "\n".join(_section(section) for section in sections)
    page = (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n'
        f"{body}\n</body></html>\n"
    )
    return printable(page)


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    if section.text:
        paragraphs = section.text.split("\n")
        parts += [f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs]
    if section.header:
        rows = [_row("th", section.header), *(_row("td", row) for row in section.rows)]
        parts.append(f"<table>{''.join(rows)}</table>")
    for picture, description in section.pictures:
        data = base64.b64encode(picture).decode()
        parts.append(
            f'<p><img src="data:image/png;base64,{data}" alt="{escape(description)}"></p>'
        )
    return "\n".join(parts)


def _row(tag: str, cells: Sequence[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(c))}</{tag}>' for c in cells)}</tr>"
