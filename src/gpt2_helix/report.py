"""One page on a run of the claims: what ``pytest claims/ --report DIR`` writes."""

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from gpt2_helix import present
from gpt2_helix.judging.claim import labelled

WIDTH, HEIGHT = 340, 46
"""Of the line that a number is drawn on, in pixels."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse } td, th { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: top }
section { border-top: 1px solid #999; margin-top: 2rem } code { font-size: 90% } img { max-width: 100% }
.confirmed { color: #1d6b35 } .refuted { color: #a3201c; font-weight: bold } .blocked, .partly { color: #6b5300; font-style: italic }
svg text { font: 11px system-ui, sans-serif }
"""  # noqa: E501


def write(folder: Path, report: Mapping[str, Any], figures: Path) -> Path:
    """Write ``index.html``, which needs nothing beside it.

    Parameters
    ----------
    folder
        Made if need be.
    report
        The JSON report.
    figures
        Where the drawn figures are; shown are those drawn from the subject's weights, or from what
        others published if a claim is judged on it.
    """
    subject, claims = report["subject"], report["claims"]
    origins = {subject["digests"].get("wpe.weight"), *(claim["source"] for claim in claims)}
    drawn = _figures(figures, origins - {None})
    evidence = "".join(f"<p>{escape(line)}</p>" for line in present.heading(subject))
    digests = "".join(
        f"<li><code>{escape(name)} {sha256}</code></li>"
        for name, sha256 in sorted(subject["digests"].items())
    )
    shown: set[str] = set()
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>Claims on {escape(subject['name'])}</title><style>{STYLE}</style></head><body>"
        f"<h1>What the post says, asked of {escape(subject['name'])}</h1>{evidence}"
        f"<details><summary>sha256 of what was measured</summary><ul>{digests}</ul></details>"
        f"{_statements(report)}<h2>Claims</h2>{_claims(report, linked=True)}"
        + "".join(_section(claim, drawn, shown) for claim in claims)
        + "</body></html>\n"
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def notebook(report: Mapping[str, Any]) -> str:
    """Make the HTML that a notebook shows: statements, and the claims folded away."""
    heading = "<br>".join(escape(line) for line in present.heading(report["subject"]))
    return (
        f"<p>{heading}</p>{_statements(report)}<details><summary>{present.counts(report)}</summary>"
        f"{_claims(report, linked=False)}</details>"
    )


def _statements(report: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(s['says'])}</td><td>{_verdict(s['verdict'])}</td>"
        f"<td>{escape(present.headline(s))}</td><td>{' and '.join(s['evidence'])}</td>"
        f"<td>{s['claims']}</td><td>{s['controls_refuted']} of {s['controls']}</td></tr>"
        for s in report["statements"]
    )
    return (
        "<table><tr><th>the post says</th><th>verdict</th><th>the number that says most</th>"
        f"<th>evidence</th><th>claims</th><th>controls refuted</th></tr>{rows}</table>"
    )


def _claims(report: Mapping[str, Any], *, linked: bool) -> str:
    rows = []
    for claim in report["claims"]:
        code = f"<code>{claim['id']}</code>"
        name = f'<a href="#{claim["id"]}">{code}</a>' if linked else code
        number = present.said(claim, claim["evidence"])
        rows.append(
            f"<tr><td>{name}</td>"
            f"<td>{_verdict(claim['verdict'])}</td><td>{escape(number)}</td>"
            f"<td>{escape(claim['says'])}</td></tr>"
        )
    header = "<tr><th>claim</th><th>verdict</th><th>number</th><th>what it says</th></tr>"
    return f"<table>{header}{''.join(rows)}</table>"


def _section(claim: Mapping[str, Any], drawn: Sequence[Mapping[str, Any]], shown: set[str]) -> str:
    """All there is on one claim; a figure that an earlier claim has shown is linked."""
    settled = dict.fromkeys(claim.get("settled", ()), present.SETTLED)
    lines = "".join(
        f"<tr><td><code>{escape(label)}</code></td><td>{number:.4g}</td>"
        f"<td>{settled.get(name) or _line(number, claim['tolerance'].get(name))}</td></tr>"
        for name, value in claim["measured"].items()
        for label, number in labelled(name, value)
    )
    controls = ", ".join(
        f"{escape(control['name'])} {_verdict(control['verdict'])}"
        + (f" ({escape(control['reason'])})" if control["reason"] else "")
        for control in claim["controls"]
    )
    parts = [
        f'<section id="{claim["id"]}"><h2><code>{claim["id"]}</code> '
        f"{_verdict(claim['verdict'])}</h2><p>{escape(claim['says'])}</p>"
    ]
    if claim["source"]:
        parts.append(f"<p>Evidence: published in <code>{escape(claim['source'])}</code></p>")
    if claim["missing"]:
        parts.append(f"<p>Missing: <code>{escape(', '.join(claim['missing']))}</code></p>")
    if claim["reason"]:
        parts.append(f"<p>{escape(claim['reason'])}</p>")
    parts.append(f"<table>{lines}</table><p>Why these bounds: {escape(claim['why'])}</p>")
    if controls:
        parts.append(f"<p>Must be refuted on: {controls}</p>")
    for figure in drawn:
        if claim["id"] in figure["claims"]:
            parts.append(_figure(figure, first=figure["name"] not in shown))
            shown.add(figure["name"])
    return "".join(parts) + f"<p>In the post: {escape(claim['post'])}</p></section>"


def _line(value: float, bound: str | None) -> str:
    """A number on a line beside its bound, the side that keeps it shaded; SVG."""
    if bound is None:
        return "no bound, for information"
    comparison, limit = bound.split()[0], float(bound.split()[1])
    # Zero is shown too, unless that would put the two on top of each other.
    apart = abs(value - limit)
    if apart < 0.15 * max(abs(value), abs(limit)):
        room = 1.5 * apart or 1.0
        low, high = min(value, limit) - room, max(value, limit) + room
    else:
        low, high = min(0.0, value, limit), max(value, limit, 0.0)
        room = 0.12 * (high - low) or 1.0
        low, high = low - room, high + room

    def x(number: float) -> float:
        return round(10 + (WIDTH - 20) * (number - low) / (high - low), 1)

    kept = {"=": (limit, limit), ">": (limit, high), "<": (low, limit)}[comparison[0]]
    left, right = x(kept[0]) - (comparison == "=="), x(kept[1]) + (comparison == "==")
    anchor = "start" if value >= limit else "end"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{value:.4g}, must be {escape(bound)}">'
        f'<rect x="{left}" y="14" width="{right - left:.1f}" height="14" fill="#cfe0f3"/>'
        f'<line x1="10" y1="21" x2="{WIDTH - 10}" y2="21" stroke="#555"/>'
        f'<line x1="{x(limit)}" y1="12" x2="{x(limit)}" y2="30" stroke="#2260a8" '
        f'stroke-width="2"/><circle cx="{x(value)}" cy="21" r="5" fill="#c8382d"/>'
        f'<text x="{x(limit)}" y="42" text-anchor="middle">{escape(bound)}</text>'
        f'<text x="{x(value)}" y="10" text-anchor="{anchor}">{value:.4g}</text></svg>'
    )


def _figures(folder: Path, origins: set[str | None]) -> list[dict[str, Any]]:
    """Figures drawn from one of these, and figures not drawn at all.

    An origin is the sha256 of a position matrix, or where others published what is drawn.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        about = json.loads(path.read_text(encoding="utf-8"))
        if not about["drawn"] or {about["W_pos_sha256"], about.get("source")} & origins:
            found.append({**about, "name": path.stem, "path": path.with_suffix(".svg")})
    return found


def _figure(figure: Mapping[str, Any], *, first: bool) -> str:
    name = figure["name"]
    if not figure["drawn"]:
        return f"<p>Figure <em>{name}</em> is not drawn: {escape(figure['why'])}.</p>"
    if not first:
        return f'<p>See <a href="#figure-{name}">figure <em>{name}</em></a>.</p>'
    svg = base64.b64encode(figure["path"].read_bytes()).decode()
    caption = escape(figure["caption"])
    return (
        f'<figure id="figure-{name}"><img src="data:image/svg+xml;base64,{svg}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _verdict(verdict: str) -> str:
    return f'<span class="{verdict}">{verdict}</span>'
