"""A report that another is expected to agree with: what ``--expect`` reads and compares."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpt2_helix.judging.claim import labelled
from gpt2_helix.judging.errors import InputError
from gpt2_helix.judging.report import About, ClaimVerdict, Report, read

APART = 0.01
"""Numbers this much apart, as a share of the larger, are told: processors differ by less."""
MOST_TOLD = 5


@dataclass(frozen=True)
class Expected:
    """A report that was written earlier."""

    path: Path
    report: Report

    @classmethod
    def read(cls, path: Path) -> "Expected":
        """Read it; ``InputError`` if it is no report."""
        try:
            return cls(path, read(path))
        except InputError as error:
            raise InputError(f"--expect: {error}") from None

    def differs(self, verdict: ClaimVerdict) -> str:
        """In what a claim differs, in verdict or bounds; empty if in nothing."""
        before = self._claim(verdict.id)
        if before is None:
            return f"{verdict.id}: expected no verdict as recorded, found {verdict.verdict}"
        if before.verdict != verdict.verdict:
            return (
                f"{verdict.id}: expected {before.verdict} as recorded, found {verdict.verdict}"
                + (f" ({verdict.reason})" if verdict.reason else "")
            )
        for kind in ("tolerance", "presumes", "set"):
            old, new = getattr(before, kind), getattr(verdict, kind)
            if old != new:
                return f"{verdict.id}: expected {kind} {old} as recorded, found {new}"
        return ""

    def of_another_subject(self, about: About) -> str:
        """How its subject differs from this one; empty if it does not.

        They are the same if all files and tensors that both name have the same digest.
        """
        before = self.report.subject
        both = before.digests.keys() & about.digests.keys()
        different = sorted(name for name in both if before.digests[name] != about.digests[name])
        same_name = before.name == about.name and not before.digests and not about.digests
        if different or not (both or same_name):
            what = f"another {different[0]}" if different else "no file or tensor in common"
            return f"{self.path}: expected verdicts on {about.name}, found {before.name}: {what}"
        return ""

    def told(self, report: Report) -> list[str]:
        """Lines on how this report agrees: claims that did not run, numbers that are apart."""
        missing = len(self.report.claims) - len(report.claims)
        lines = [f"as expected: all as in {self.path}"]
        if missing > 0:
            ran = f"{len(report.claims)} of {len(self.report.claims)} claims"
            lines = [f"as expected, as far as it ran: {ran} of {self.path}"]
        apart = [line for claim in report.claims for line in self._apart(claim)]
        if apart:
            lines.append(f"numbers more than {APART:.0%} apart: {len(apart)}")
            lines += [f"  {line}" for line in apart[:MOST_TOLD]]
        return lines

    def _apart(self, claim: ClaimVerdict) -> Iterator[str]:
        before = self._claim(claim.id)
        for name in claim.measured.keys() & (before.measured.keys() if before else ()):
            assert before is not None
            old = {label: number for label, number, _ in labelled(name, before.measured[name])}
            for label, number, _ in labelled(name, claim.measured[name]):
                then = old.get(label)
                largest = max(abs(number), abs(then or 0))
                if then is None or abs(number - then) > APART * largest:
                    yield f"{claim.id} {label}: {number:.4g}, recorded {then}"

    def _claim(self, name: str) -> ClaimVerdict | None:
        return next((claim for claim in self.report.claims if claim.id == name), None)
