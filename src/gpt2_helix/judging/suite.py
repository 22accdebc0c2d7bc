"""What the engine is given to judge: everything that it does not know itself."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from gpt2_helix.judging.claim import Claim, ClaimError, Subject
from gpt2_helix.judging.report import Report


class Statement(NamedTuple):
    """What is stated, and clauses that tell what was found; see ``finding``."""

    says: str
    finding: Sequence[str]
    ours: bool = False  # Whether it is this project's own, and not of the text that is tested.


class Finding(NamedTuple):
    """A result to tell first, if a claim holds: what, its number, and what to compare it with.

    The number and what it is compared with are clauses; see ``finding``.
    """

    claim: str
    says: str
    number: str
    beside: str


@dataclass(frozen=True)
class Words:
    """What reports call things."""

    said_by: str = "the author"  # Whose statements these are.
    found: Sequence[Finding] = ()  # Most important first.
    note: str = ""  # What to know before reading findings.
    # What a subject is for and what was found, by its name: clauses as of a finding.
    subjects: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)  # By the codes of Claim.needs.
    # What a subject lacks that breaks what claims presume under this name.
    lacks: Mapping[str, str] = field(default_factory=dict)
    replication: str = "a replication"  # Of a subject that the statements are not about.
    digests: re.Pattern[str] = re.compile("")  # Finds those that stand in the heading.
    # What to try where claims are blocked on a record, and on one of a replication.
    unblocked_by: str = "another subject"
    unblocked_by_on_replication: str = "another subject"


@dataclass(frozen=True)
class Figure:
    """A figure for the page, shown with claims of these identifiers; or why it is not drawn."""

    name: str
    claims: Sequence[str]
    caption: str = ""
    svg: Path | None = None
    alt: str = ""  # The picture in words, for those who do not see it.
    why: str = ""


@runtime_checkable
class Plan(Protocol):
    """How long claims will take."""

    @property
    def said(self) -> str:
        """A line before they are judged; empty if they are quick."""

    def left(self) -> str:
        """How long the rest will take, in words; empty if that is not known."""


@dataclass(frozen=True)
class Suite:
    """What is judged, and how it is opened and broken."""

    # What claims decide, by name, in the order of reports.
    statements: Mapping[str, Statement]
    # Opens the subject under test, or raises an error of one line.
    open: Callable[[], Subject]
    # Breaks a copy of a subject in the way of this name.
    control: Callable[[Subject, str], Subject]
    # A cheaper measurement of a broken copy, for this claim, that may refute it already; and how
    # it is cheaper.
    glance: Callable[[Claim, Subject], tuple[Subject, str] | None] = lambda *_: None
    # What claims cost on this subject, if that is worth telling before they are judged.
    plan: Callable[[Subject, Sequence[Claim]], Plan | None] = lambda *_: None
    # Other measurements of a subject, strongest first, for claims that are blocked on it.
    weaker: Callable[[Subject], Sequence[Subject]] = lambda _: ()
    # Whether the statements are about another subject than this one.
    is_replication: Callable[[Subject], bool] = lambda _: False
    # What is known of the subject's weights, in words; empty where there is nothing to say.
    identity: Callable[[Subject], str] = lambda _: ""
    # How much of it was received over a network so far, in words; empty where nothing was.
    received: Callable[[Subject], str] = lambda _: ""
    # Whether bounds that were set after looking were set on this evidence.
    explored: Callable[[Subject], bool] = lambda _: False
    # All claims there are: a statement is judged only once every claim on it was run.
    claims: Callable[[], Iterable[Claim]] = tuple
    # Figures for the page of a report.
    figures: Callable[[Report], Sequence[Figure]] = lambda _: ()
    words: Words = Words()

    def check(self, claim: Claim) -> None:
        """Refuse a claim on a statement that the suite does not have."""
        if claim.statement is not None and claim.statement not in self.statements:
            raise ClaimError(
                f"{claim.id}: expected a statement of {', '.join(self.statements)}, "
                f"found {claim.statement!r}"
            )
