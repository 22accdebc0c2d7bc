"""Verdicts as text for a terminal, from a JSON report.

The post's statements come first, each with the one number that says most about it; then the
claims, a line each.
"""

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gpt2_helix.judging.claim import (
    BLOCKED,
    CONFIRMED,
    REFUTED,
    Number,
    labelled,
    nearest,
    nearest_bound,
)

Report = Mapping[str, Any]
Paint = Callable[[str, str], str]
"""Colours a word as a verdict is coloured; called with the word and the verdict."""

WIDEST = 110
"""Columns that are used of a wider terminal: longer lines are hard to follow."""
CONTROLS_ARE = "(controls: broken models, on which a claim must be refuted; -v names them)"
NEEDS = {
    "config": "a config.json",
    "P": "the position matrix",
    "A": "the attention weights",
    "A, D": "the attention weights and published measurements",
    "D": "the whole model",  # Or what was published of it; but that would have been found.
    "F": "the whole model",
}
_WHAT_WAS_MEASURED = re.compile(r"wpe|position|\.(json|safetensors|bin)$")
HARD_SPACE = "\N{NO-BREAK SPACE}"
SETTLED = "settled by how the heads were found"
"""In place of a bound."""


def plain(word: str, verdict: str) -> str:
    """Leave a word without colour."""
    return word


def heading(subject: Mapping[str, Any], width: int | None = None) -> list[str]:
    """Lines that say what is under test, on which evidence, and what its weights are.

    Parameters
    ----------
    subject
        Of the JSON report.
    width
        Columns to print on; None for whole lines.
    """
    name = subject["name"]
    name += f" at {subject['commit'][:8]}" if subject["commit"] else ""
    name += ", a replication: not GPT-2 small" if subject["replication"] else ""
    how = subject["evidence"]
    how += f" on {subject['recorded_on']}" if subject["recorded_on"] else ""
    how += f" in {subject['source']}" if subject.get("source") else ""
    shown = [name for name in sorted(subject["digests"]) if _WHAT_WAS_MEASURED.search(name)]
    weights = [_hard(f"{name} {subject['digests'][name][:8]}") for name in reversed(shown)]
    how += f", from {', '.join(weights)}" if weights else ""
    lines = [f"subject: {name}", f"evidence: {how}"]
    if subject.get("because"):
        lines.append(f"not measured now: {subject['because']}")
    lines += found_heads(subject)
    return lines if width is None else [part for whole in lines for part in wrapped(whole, width)]


def found_heads(subject: Mapping[str, Any]) -> list[str]:
    """Lines that say which heads were found where nobody named them, by what and how clearly."""
    lines = []
    for name, found in subject.get("found_heads", {}).items():
        least = list(found["chosen"].values())[-1]
        line = f"{name}, found: {', '.join(found['chosen'])}, by {found['by']}: {least:.4g}"
        for head, number in found["best_left_out"].items():
            line += f" or more, against {number:.4g} of {head}"
        lines.append(line)
    return lines


def text(report: Report, width: int) -> str:
    """All of it: heading, statements, claims and how many there are of each verdict."""
    parts = ["\n".join(heading(report["subject"], width)), statements(report, width)]
    return "\n\n".join([*parts, claims(report, width), counts(report)])


def statements(report: Report, width: int, paint: Paint = plain) -> str:
    """Show each statement of the post with its verdict and what that rests on.

    Parameters
    ----------
    report
        The JSON report.
    width
        Columns to print on; lines are broken between words.
    paint
        Colours verdicts.
    """
    found = report["statements"]
    column = max(len(s["verdict"]) for s in found)
    lines = []
    for s in found:
        told = [_Line(_with_unit(s["says"])), _Line(_rests_on(s))]
        lines += _beside(s["verdict"], column, told, width, paint)
    return "\n".join(lines)


def _rests_on(statement: Mapping[str, Any]) -> str:
    """One line under a statement: its number, the evidence, how many claims and controls."""
    parts = [
        headline(statement),
        " and ".join(statement["evidence"]),
        _counted(statement["claims"], "claim"),
    ]
    if controls := statement["controls"]:
        refuted = f"{statement['controls_refuted']} of {controls}"
        if statement["controls_refuted"] == controls:
            refuted = {1: "its", 2: "both"}.get(controls, f"all {controls}")
        parts.append(f"{refuted} control{'' if controls == 1 else 's'} refuted")
    return ", ".join(_hard(part) for part in parts if part)


def headline(statement: Mapping[str, Any]) -> str:
    """The number that says most about a statement, with its bound; empty if not measured."""
    return f"{statement['headline']} ({statement['bound']})" if statement["headline"] else ""


def claims(report: Report, width: int, *, verbose: bool = False, paint: Paint = plain) -> str:
    """Show each claim: a line with its verdict and the number that says most, or everything."""
    subject = report["subject"]
    judged = [c for c in report["claims"] if verbose or c["verdict"] != BLOCKED]
    blocked = [c for c in report["claims"] if not verbose and c["verdict"] == BLOCKED]
    verdict = max((len(c["verdict"]) for c in report["claims"]), default=0)
    numbers_said = {c["id"]: said(c, subject["evidence"]) for c in judged}
    # The longest number gets its room first: an identifier that is longer pushes its own.
    room = min(width, WIDEST) - verdict - 4 - max(map(len, numbers_said.values()), default=0)
    column = min(room, max(map(len, numbers_said), default=0))
    lines = []
    for c in judged:
        if verbose:
            told = [_Line(c["id"]), *(_Line(line, 2, 4) for line in everything(c))]
        else:
            told = [_Line(f"{c['id']:{max(column, 0)}}  {numbers_said[c['id']]}", 0, 4)]
        lines += _beside(c["verdict"], verdict, told, width, paint)
    if blocked:
        lines += _beside(BLOCKED, verdict, [_Line(_blocked(blocked, subject))], width, paint)
    for source in dict.fromkeys(c["source"] for c in judged if c["source"] and not verbose):
        lines += wrapped(f"published: in {source}", width)
    return "\n".join(lines)


def counts(report: Report) -> str:
    """How many claims have which verdict."""
    found = [c["verdict"] for c in report["claims"]]
    return ", ".join(f"{found.count(v)} {v}" for v in (CONFIRMED, REFUTED, BLOCKED))


def said(claim: Mapping[str, Any], evidence: str) -> str:
    """The number that says most and its bound, or the reason if that is another."""
    nearest = nearest_bound(claim)
    said = claim["reason"]
    if nearest and (not said or " must be " in said):
        label, number, bound = nearest
        said = f"{_hard(f'{label} {number:.4g}')} {_hard(f'({bound})')}"
    return said + (f", {claim['evidence']}" if claim["evidence"] != evidence else "")


def everything(claim: Mapping[str, Any]) -> list[str]:
    """Lines on a claim: every number, each control, and what is missing."""
    rows = numbers(claim)
    label = max((len(r[0]) for r in rows), default=0)
    value = max((len(r[1]) for r in rows), default=0)
    lines = [_hard(f"{r[0]:{label}}  {r[1]:>{value}}  {r[2]}").rstrip() for r in rows]
    if claim["source"]:
        lines.append(f"evidence: {claim['evidence']}, {claim['source']}")
    if claim["missing"]:
        lines.append(f"missing: {', '.join(claim['missing'])}")
    if claim["reason"]:
        lines.append(claim["reason"])
    for verdict in (REFUTED, BLOCKED, CONFIRMED):
        named = [c for c in claim["controls"] if c["verdict"] == verdict]
        if named:
            lines.append(f"controls {verdict}: {', '.join(c['name'] for c in named)}")
    return lines


def main_numbers(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, Number]:
    """The main number of each claim that was judged, by its identifier.

    It is the first number that has a bound; of several under one name, the one nearest to
    breaking it.

    Parameters
    ----------
    verdicts
        ``claims`` of the JSON report.
    """
    return {
        v["id"]: nearest(labelled(name, v["measured"][name]), bound)[1]
        for v in verdicts
        for name, bound in list(v["tolerance"].items())[:1]
        if name in v["measured"]
    }


def numbers(claim: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Every measured number of a claim: what it is called, the number, and its bound or nothing."""
    settled = dict.fromkeys(claim.get("settled", ()), SETTLED)
    return [
        (label, _number(number), claim["tolerance"].get(name, settled.get(name, "")))
        for name, value in claim["measured"].items()
        for label, number in labelled(name, value)
    ]


def _number(value: Number) -> str:
    return f"{value:.4g}"


def _blocked(blocked: Sequence[Mapping[str, Any]], subject: Mapping[str, Any]) -> str:
    """One line for all blocked claims: what they need, and what would judge them."""
    verb = "needs" if len(blocked) == 1 else "need"
    wanted = needs(c["needs"] for c in blocked)
    need = f"{_counted(len(blocked), 'claim')} {verb} {wanted}"
    if subject["evidence"] == "live":
        missing = list(dict.fromkeys(name for c in blocked for name in c["missing"]))
        more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
        return f"{need}: missing {', '.join(missing[:2])}{more}"
    hub = "" if subject["replication"] else f"{_hard('--subject gpt2')} and a network, or "
    return f"{need}; to judge them: {hub}{_hard('--subject FOLDER')}"


def needs(codes: Iterable[str]) -> str:
    """What claims need, in words; a code is what ``Claim.needs`` holds."""
    asked = set(codes)
    if len(asked) > 1 or not asked <= NEEDS.keys():
        asked = {part.strip() for code in asked for part in code.split(",")}
    return " or ".join(dict.fromkeys(NEEDS[code] for code in NEEDS if code in asked))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of a text, broken between words alone."""
    lines = textwrap.wrap(
        text,
        min(width, WIDEST),
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(HARD_SPACE, " ") for line in lines]


class _Line(NamedTuple):
    """Text that is wrapped between words, with the columns to leave before it."""

    text: str
    indent: int = 0
    indent_when_wrapped: int = 0


def _beside(
    verdict: str, column: int, told: Iterable[_Line], width: int, paint: Paint
) -> list[str]:
    """Lines with a verdict in the left column, and text beside it."""
    margin = " " * (column + 2)
    first, *rest = (
        line.replace(HARD_SPACE, " ")
        for one in told
        for line in textwrap.wrap(
            one.text,
            min(width, WIDEST) - len(margin),
            initial_indent=" " * one.indent,
            subsequent_indent=" " * one.indent_when_wrapped,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
    word = _shown(verdict)
    return [paint(word, verdict) + margin[len(word) :] + first, *(margin + line for line in rest)]


def _with_unit(text: str) -> str:
    """Keep a number and its per cent sign on one line."""
    return re.sub(r"(?<=\d) (?=%)", HARD_SPACE, text)


def _hard(text: str) -> str:
    return text.replace(" ", HARD_SPACE)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _shown(verdict: str) -> str:
    return verdict.upper() if verdict == REFUTED else verdict
