"""The picture of the README: the networks of each family by their multiply-adds."""

from itertools import groupby
from math import log10, sqrt

from cnnzoo.models.index import ModelInfo, list_models, model_info

WIDTH, LEFT, ROW, TOP = 720, 190, 22, 34  # pixels
DECADES = range(5, 12)  # of multiply-adds: the axis from 1e5 to 1e11
UNITS = {5: "0.1 M", 6: "1 M", 7: "10 M", 8: "100 M", 9: "1 G", 10: "10 G", 11: "100 G"}


def overview() -> str:
    """The picture as SVG: a row per family, a circle per network.

    A larger circle has more parameters.
    """
    infos = [model_info(name) for name in list_models()]
    families = [list(group) for _, group in groupby(infos, key=lambda info: info.family)]
    bottom = TOP + ROW * len(families)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 30}" '
        'font-family="sans-serif" font-size="12" fill="#1a202c">',
        f'<rect width="{WIDTH}" height="{bottom + 30}" fill="#ffffff"/>',
        _text(LEFT, 16, f"{len(infos)} networks: multiply-adds (circle: parameters)"),
    ]
    for decade in DECADES:
        x = _x(10**decade)
        parts.append(f'<path d="M{x} {TOP - 8}V{bottom}" stroke="#e2e8f0"/>')
        parts.append(_text(x, bottom + 18, UNITS[decade], "middle"))
    for row, members in enumerate(families):
        parts += _row(TOP + ROW * (row + 0.5), members)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(y: float, members: list[ModelInfo]) -> list[str]:
    paper = members[0].paper
    year = paper.year if paper else "our own"
    circles = [
        f'<circle cx="{_x(info.macs)}" cy="{y}" r="{_radius(info.parameters)}" '
        f'fill="#2b6cb0" fill-opacity="0.6"><title>{info.name}</title></circle>'
        for info in sorted(members, key=lambda info: -info.parameters)
    ]
    return [_text(LEFT - 14, y + 4, f"{members[0].family}, {year}", "end"), *circles]


def _x(macs: int) -> float:
    share = (log10(macs) - DECADES[0]) / (DECADES[-1] - DECADES[0])
    return round(LEFT + share * (WIDTH - LEFT - 24), 1)


def _radius(parameters: int) -> float:
    return round(2 + sqrt(parameters / 1e6) / 2, 1)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'
