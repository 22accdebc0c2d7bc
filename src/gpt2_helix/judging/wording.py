"""What is told of a report, in words: the same in a terminal, on a page and in Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TypeVar

from gpt2_helix.judging.claim import VERDICTS, labelled, shown
from gpt2_helix.judging.headline import nearest_bound
from gpt2_helix.judging.report import About, ClaimVerdict, Report, StatementVerdict
from gpt2_helix.judging.suite import Words

Item = TypeVar("Item", StatementVerdict, ClaimVerdict)
NO_BREAK = "\N{NO-BREAK SPACE}"
"""Between a name and its digest, and before a sign of per cent."""
ON_CONTROL = {
    "refuted": "fails here, as it must",
    "n/a": "does not test this claim",
    "undecided": "leaves it open",
    "confirmed": "passes here too, so it tells nothing",
    "blocked": "could not be made",
    "error": "ended in an error",
}
"""What a claim says of a broken copy, by its verdict there."""


def heading(about: About, words: Words) -> list[str]:
    """Lines that say what is under test, on which evidence, and what its weights are."""
    name = about.name
    name += f" at {about.commit[:8]}" if about.commit else ""
    name += f", {words.replication}" if about.replication else ""
    name += f": {about.identity}" if about.identity else ""
    how: str = about.evidence
    how += f" on {about.recorded_on}" if about.recorded_on else ""
    how += f" in {about.source}" if about.source else ""
    shown = sorted(filter(words.digests.search, about.digests), reverse=True)
    shown = [] if about.identity else shown
    how += ", from " if shown else ""
    how += ", ".join(f"{name}{NO_BREAK}{about.digests[name][:8]}" for name in shown)
    lines = [f"subject: {name}", f"evidence: {how}"]
    if about.received:
        lines.append(about.received)
    if about.because:
        lines.append(f"not measured now: {about.because}")
    return lines + found(about)


def found(about: About) -> list[str]:
    """Lines that say which parts were found where nobody named them, by what and how clearly."""
    lines = []
    for name, part in about.found.items():
        least = list(part.chosen.values())[-1]
        line = f"{name}, found: {', '.join(part.chosen)}, by {part.by}: {least:.4g}"
        for other, number in part.best_left_out.items():
            line += f" or more, against {number:.4g} of {other}"
        lines.append(line)
    return lines


def rests_on(statement: StatementVerdict) -> str:
    """What a statement's verdict rests on: its claims by verdict, and their evidence."""
    if len(statement.claims) == 1:
        claims = counted(sum(statement.claims.values()), "claim")
    else:
        claims = ", ".join(f"{n} {verdict}" for verdict, n in statement.claims.items())
    return ", ".join(filter(None, [claims, " and ".join(statement.evidence)]))


def said(claim: ClaimVerdict, evidence: str) -> str:
    """The number nearest to its bound with that bound, or the reason if that is another.

    The claim's evidence is named unless it is this.
    """
    told = claim.reason
    nearest = nearest_bound(claim)
    if nearest and claim.verdict in {"confirmed", "described", "refuted"}:
        label, number, bound = nearest
        told = f"{label} {number:.4g} ({bound})"
    return told + (f", {claim.evidence}" if claim.evidence != evidence else "")


def numbers(claim: ClaimVerdict) -> list[tuple[str, str, str]]:
    """Every number of a claim: what it is called, the number with its interval, and its bound.

    With the bound stands when it was set; what is presumed is marked so.
    """
    rows = []
    for name, value in claim.measured.items():
        bound = claim.presumes.get(name, "")
        bound = f"presumed {bound}" if bound else bound
        if name in claim.tolerance:
            bound = f"{claim.tolerance[name]}, set {claim.set[name]}"
        for label, number, ends in labelled(name, value, claim.intervals.get(name)):
            rows.append((label, shown(number, ends), bound))
    return rows


def facts(claim: ClaimVerdict) -> list[str]:
    """Lines on a claim beside its numbers: evidence, what is missing, the reason, each control."""
    lines = []
    if claim.source:
        lines.append(f"evidence: {claim.evidence}, {claim.source}")
    if claim.missing:
        lines.append(f"missing: {', '.join(claim.missing)}")
    if claim.reason:
        lines.append(claim.reason)
    for verdict, meaning in ON_CONTROL.items():
        if named := [c.name for c in claim.controls if c.verdict == verdict]:
            lines.append(f"{meaning}: {', '.join(named)}")
    return lines


def controls_counted(claim: ClaimVerdict) -> str:
    """How many of a claim's controls count, such as ``2 of 3``."""
    counting = sum(control.counts for control in claim.controls)
    return f"{counting} of {len(claim.controls)}" if claim.controls else ""


def blocked(claims: list[ClaimVerdict], about: About, words: Words) -> str:
    """One line for all blocked claims: what they need, and what would judge them."""
    verb = "needs" if len(claims) == 1 else "need"
    need = f"{counted(len(claims), 'claim')} {verb} {needs((c.needs for c in claims), words)}"
    if about.evidence == "live":
        missing = list(dict.fromkeys(name for c in claims for name in c.missing))
        more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
        return f"{need}: missing {', '.join(missing[:2])}{more}"
    replication = about.replication
    by = words.unblocked_by_on_replication if replication else words.unblocked_by
    return f"{need} ({by})"


def opened(report: Report, words: Words) -> str:
    """What is not judged, and why: what is missing, and what the numbers leave undecided."""
    told = []
    if missing := [claim for claim in report.claims if claim.verdict == "blocked"]:
        told.append(f"{blocked(missing, report.subject, words)}.")
    for claim in report.claims:
        if claim.verdict == "undecided":
            told.append(f"{claim.id} is undecided: {claim.reason}.")
    return " ".join(told)


def needs(codes: Iterable[str], words: Words) -> str:
    """What claims need, in words; a code is what ``Claim.needs`` holds."""
    asked = set(codes)
    if len(asked) > 1 or not asked <= words.needs.keys():
        asked = {part.strip() for code in asked for part in code.split(",")}
    return " or ".join(dict.fromkeys(words.needs[code] for code in words.needs if code in asked))


def counts(report: Report) -> str:
    """How many claims have which verdict, and how many checks: of parts, and of the method."""
    claims = [c for c in report.claims if c.statement and not c.about]
    kinds = {"claims": claims, "checks": [c for c in report.claims if c not in claims]}
    told = []
    for kind, judged in kinds.items():
        number = Counter(claim.verdict for claim in judged)
        if judged:
            by_verdict = ", ".join(f"{number[v]} {v}" for v in VERDICTS if number[v])
            told.append(f"{kind}: {by_verdict}")
    return "; ".join(told)


def counted(n: int, noun: str) -> str:
    """A number of things."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def together(text: str) -> str:
    """The text, where no line is broken before a sign of per cent."""
    return text.replace(" %", f"{NO_BREAK}%")


def short_name(about: About) -> str:
    """What a table calls a subject."""
    return about.name.removeprefix("recorded:")


def aligned(of_each: Sequence[Sequence[Item]]) -> list[tuple[Item, list[Item | None]]]:
    """The same thing in several reports: the first that has it, and all, None where it lacks."""
    by_id = [{item.id: item for item in items} for items in of_each]
    found = []
    for name in dict.fromkeys(chain(*by_id)):
        same = [items.get(name) for items in by_id]
        found.append((next(item for item in same if item), same))
    return found
