"""What is told of a report, in words: the same in a terminal, on a page and in Markdown."""

from collections import Counter
from collections.abc import Iterable

from gpt2_helix.judging.claim import Verdict, labelled
from gpt2_helix.judging.headline import nearest_bound
from gpt2_helix.judging.report import About, ClaimVerdict, Report, StatementVerdict
from gpt2_helix.judging.suite import Words

NO_BREAK = "\N{NO-BREAK SPACE}"
"""Between a name and its digest."""
VERDICTS: tuple[Verdict, ...] = ("confirmed", "refuted", "blocked")


def heading(about: About, words: Words) -> list[str]:
    """Lines that say what is under test, on which evidence, and what its weights are."""
    name = about.name
    name += f" at {about.commit[:8]}" if about.commit else ""
    name += f", {words.replication}" if about.replication else ""
    how: str = about.evidence
    how += f" on {about.recorded_on}" if about.recorded_on else ""
    how += f" in {about.source}" if about.source else ""
    shown = sorted(filter(words.digests.search, about.digests), reverse=True)
    how += ", from " if shown else ""
    how += ", ".join(f"{name}{NO_BREAK}{about.digests[name][:8]}" for name in shown)
    lines = [f"subject: {name}", f"evidence: {how}"]
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


def headline(statement: StatementVerdict) -> str:
    """The number that says most about a statement, with its bound; empty if not measured."""
    return f"{statement.headline} ({statement.bound})" if statement.headline else ""


def rests_on(statement: StatementVerdict) -> str:
    """What a statement's verdict rests on: its number, evidence, claims and controls."""
    parts = [
        headline(statement),
        " and ".join(statement.evidence),
        counted(statement.claims, "claim"),
    ]
    if controls := statement.controls:
        refuted = f"{statement.controls_refuted} of {controls}"
        if statement.controls_refuted == controls:
            refuted = {1: "its", 2: "both"}.get(controls, f"all {controls}")
        parts.append(f"{refuted} control{'' if controls == 1 else 's'} refuted")
    return ", ".join(filter(None, parts))


def said(claim: ClaimVerdict, evidence: str) -> str:
    """The number that says most and its bound, or the reason if that is another.

    The claim's evidence is named unless it is this.
    """
    told = claim.reason
    nearest = nearest_bound(claim)
    if nearest and (not told or " must be " in told):
        label, number, bound = nearest
        told = f"{label} {number:.4g} ({bound})"
    return told + (f", {claim.evidence}" if claim.evidence != evidence else "")


def numbers(claim: ClaimVerdict) -> list[tuple[str, str, str]]:
    """Every measured number of a claim: what it is called, the number, and its bound or nothing."""
    return [
        (label, f"{number:.4g}", claim.tolerance.get(name, ""))
        for name, value in claim.measured.items()
        for label, number in labelled(name, value)
    ]


def facts(claim: ClaimVerdict) -> list[str]:
    """Lines on a claim beside its numbers: evidence, what is missing, the reason, each control."""
    lines = []
    if claim.source:
        lines.append(f"evidence: {claim.evidence}, {claim.source}")
    if claim.missing:
        lines.append(f"missing: {', '.join(claim.missing)}")
    if claim.reason:
        lines.append(claim.reason)
    for verdict in ("refuted", "blocked", "confirmed"):
        if named := [c.name for c in claim.controls if c.verdict == verdict]:
            lines.append(f"controls {verdict}: {', '.join(named)}")
    return lines


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
    return f"{need}; to judge them: {by}"


def needs(codes: Iterable[str], words: Words) -> str:
    """What claims need, in words; a code is what ``Claim.needs`` holds."""
    asked = set(codes)
    if len(asked) > 1 or not asked <= words.needs.keys():
        asked = {part.strip() for code in asked for part in code.split(",")}
    return " or ".join(dict.fromkeys(words.needs[code] for code in words.needs if code in asked))


def counts(report: Report) -> str:
    """How many claims have which verdict."""
    number = Counter(claim.verdict for claim in report.claims)
    return ", ".join(f"{number[verdict]} {verdict}" for verdict in VERDICTS)


def counted(n: int, noun: str) -> str:
    """A number of things."""
    return f"{n} {noun}" + ("" if n == 1 else "s")
