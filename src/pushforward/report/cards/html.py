"""The parts that cards are made of. Text is escaped here, once: what these functions take is text, and what they give
is HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MOST = 100_000  # bytes of a card
REAL, FAKE = "#2a8fd0", "#d5602a"  # light enough for a dark notebook, dark enough for a light one
RIGHT, WRONG = "#1c8a66", "#d5602a"
LEFT_CELL = "text-align:left;padding:.15em .9em .15em 0;vertical-align:top"
RIGHT_CELL = "text-align:right;padding:.15em .9em .15em 0;vertical-align:top"


def card(sentence: str, *parts: str, bad: bool = False, plain: bool = False) -> str:
    """A box under its `sentence`, marked as good or `bad` news, or as neither where `plain`."""
    colour = "currentColor" if plain else WRONG if bad else RIGHT
    head = (
        f'<p style="font-size:1.1em;font-weight:600;border-left:.3em solid {colour};padding-left:.7em;margin:.4em 0">'
        f"{escape(sentence)}</p>"
    )
    return f'<div style="max-width:60em;overflow-x:auto">{head}{"".join(parts)}</div>'


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names beside what they are; those that are empty are left out."""
    lines = (
        f'<tr><th scope="row" style="{LEFT_CELL};font-weight:normal;opacity:.7;white-space:nowrap">{escape(name)}</th>'
        f'<td style="{LEFT_CELL}">{escape(value)}</td></tr>'
        for name, value in rows
        if value
    )
    return f'<table style="border:none;color:inherit"><tbody>{"".join(lines)}</tbody></table>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[bool] = ()) -> str:
    """Rows under their heads; `right` says which columns hold numbers."""
    sides = [RIGHT_CELL if k < len(right) and right[k] else LEFT_CELL for k in range(len(head))]
    top = "".join(f'<th scope="col" style="{side}">{_lines(name)}</th>' for side, name in zip(sides, head, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{side}">{escape(value)}</td>' for side, value in zip(sides, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<table style="color:inherit"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _lines(text: str) -> str:
    """A head; what follows a line break in it is small."""
    first, _, second = text.partition("\n")
    under = f'<br><small style="font-weight:normal;opacity:.7">{escape(second)}</small>' if second else ""
    return escape(first) + under


def bullets(items: Iterable[tuple[str, str]]) -> str:
    """A list of names with what is said of them."""
    lines = "".join(f"<li><b>{escape(name)}</b>: {escape(text)}</li>" for name, text in items)
    return f'<ul style="margin:.3em 0">{lines}</ul>' if lines else ""


def note(text: str, *codes: str) -> str:
    """Small print, then calls to try."""
    tried = " · ".join(f"<code>{escape(code)}</code>" for code in codes)
    return f'<p style="margin:.4em 0"><small>{escape(text)} {tried}</small></p>'


def image(uri: str, width: int, alt: str) -> str:
    return (
        f'<img src="{escape(uri)}" width="{width}" alt="{escape(alt)}" '
        'style="image-rendering:pixelated;max-width:100%;height:auto">'
    )


def strip(low: float, high: float, value: float, baseline: float | None, label: str) -> str:
    """An interval with its value, and the mark of a baseline, placed from 0 to 100 on a line."""
    x = [round(2.2 * v + 10, 1) for v in (low, high, value)]
    mark = "" if baseline is None else _line(round(2.2 * baseline + 10, 1), 2, 18, REAL, 3)
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="240" height="20" viewBox="0 0 240 20">'
        '<path d="M10 10H230" stroke="currentColor" opacity=".25"/>'
        f'<path d="M{x[0]} 10H{x[1]}" stroke="{FAKE}" stroke-width="4"/>{mark}'
        f'<circle cx="{x[2]}" cy="10" r="5" fill="{FAKE}"/></svg>'
    )


def _line(x: float, top: float, bottom: float, colour: str, width: int) -> str:
    return f'<path d="M{x} {top}V{bottom}" stroke="{colour}" stroke-width="{width}"/>'


def columns(heights: Sequence[float], mark: float | None, label: str) -> str:
    """A small histogram of bars `heights` from 0 to 1, and an upright line at `mark`, from 0 to 1 along it."""
    w = 240 / max(1, len(heights))
    bars = "".join(
        f'<rect x="{k * w:.1f}" y="{44 * (1 - h) + 2:.1f}" width="{max(1.0, w - 1):.1f}" height="{44 * h:.1f}"/>'
        for k, h in enumerate(heights)
    )
    rule = "" if mark is None else _line(round(240 * mark, 1), 0, 48, FAKE, 3)
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="244" height="48" viewBox="-2 0 244 48">'
        f'<g fill="{REAL}" opacity=".75">{bars}</g>{rule}</svg>'
    )


def dots(points: Sequence[tuple[float, float]], label: str, colour: str = REAL) -> str:
    """A small scatter of `points`, each from 0 to 1 across and upwards."""
    marks = "".join(f'<circle cx="{200 * x:.1f}" cy="{200 * (1 - y):.1f}" r="2"/>' for x, y in points)
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="210" height="210" viewBox="-5 -5 210 210">'
        '<path d="M-3 -3V203H203" fill="none" stroke="currentColor" opacity=".3"/>'
        f'<g fill="{colour}" opacity=".7">{marks}</g></svg>'
    )
