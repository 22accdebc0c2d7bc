"""What the engine judges here: the post's statements, asked of GPT-2 and of models like it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from gpt2_helix.judging.claim import Claim, Subject
from gpt2_helix.judging.collect import declared
from gpt2_helix.judging.errors import MissingInputError
from gpt2_helix.judging.report import Report
from gpt2_helix.judging.suite import Figure, Plan, Suite
from gpt2_helix.places import CLAIMS
from gpt2_helix.suite.controls import broken_copy
from gpt2_helix.suite.live import Live
from gpt2_helix.suite.plan import WHOLE_MODEL, WholeModelPlan
from gpt2_helix.suite.statements import STATEMENTS, WORDS
from gpt2_helix.suite.subjects import (
    explored,
    is_replication,
    received,
    said_of_weights,
    weaker_evidence,
)


def suite_on(
    data: Path, opened: Callable[[], Subject], claims: Path = CLAIMS, figures: Path | None = None
) -> Suite:
    """Bind the engine to GPT-2.

    ``data`` holds records by subject, with weaker evidence on the same model among them;
    ``claims`` all claims; ``figures`` the drawn figures, if a page is to show them.
    """
    return Suite(
        statements=STATEMENTS,
        open=opened,
        control=broken_copy,
        glance=glance,
        plan=plan,
        weaker=lambda subject: weaker_evidence(subject, data),
        is_replication=is_replication,
        explored=explored,
        identity=said_of_weights,
        received=received,
        claims=lambda: [claim for _, _, claim in declared(claims)],
        figures=lambda report: figures_of(report, figures) if figures else (),
        words=WORDS,
    )


def glance(claim: Claim, broken: Subject) -> tuple[Subject, str] | None:
    """A quarter of the windows of text, for claims that take them; and how to say so."""
    takes_windows = claim.id.partition(".")[0] in ("heads", "output")
    if not takes_windows or not isinstance(broken, Live) or (some := broken.on_a_quarter) is None:
        return None
    return some, f"on {some.n_windows} of {broken.n_windows} windows"


def plan(subject: Subject, claims: Sequence[Claim]) -> Plan | None:
    """What the claims that run the whole of a model will take of it; None if none does."""
    if not isinstance(subject, Live) or not set(WHOLE_MODEL) & {claim.needs for claim in claims}:
        return None
    try:
        return WholeModelPlan(subject, claims)
    except MissingInputError:
        return None


def figures_of(report: Report, folder: Path) -> list[Figure]:
    """Figures drawn from the subject's weights or from what others published, and those not drawn.

    What others published counts if a claim is judged on it. Why one is not drawn is told where a
    claim of it is not judged either, and of the model alone that figures are about.
    """
    missing = {c.id for c in report.claims if c.verdict == "blocked"}
    missing = set() if report.subject.replication else missing
    origins = {*report.subject.digests.values(), *(claim.source for claim in report.claims)}
    found = []
    for path in sorted(folder.glob("*.json")):
        about = json.loads(path.read_text(encoding="utf-8"))
        shown = path.stem, about["claims"]
        if not about["drawn"]:
            if missing & set(about["claims"]):
                found.append(Figure(*shown, why=about["why"]))
        elif {about["W_pos_sha256"], about.get("source")} & (origins - {None}):
            svg = path.with_suffix(".svg")
            found.append(Figure(*shown, about["caption"], svg, about["alt"]))
    return found
