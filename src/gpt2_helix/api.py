"""Judging claims from Python: the same claims, code and verdicts as ``pytest claims/``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from gpt2_helix.commands import refuse_optimised
from gpt2_helix.judging import page, terminal
from gpt2_helix.judging.claim import Assess, Claim, Subject
from gpt2_helix.judging.collect import declared
from gpt2_helix.judging.errors import InputError, did_you_mean
from gpt2_helix.judging.files import check_name
from gpt2_helix.judging.headline import nearest_bound
from gpt2_helix.judging.progress import Progress
from gpt2_helix.judging.report import About, ClaimVerdict, Report, StatementVerdict
from gpt2_helix.judging.trial import Trial
from gpt2_helix.models.sources import open_in_memory
from gpt2_helix.places import CLAIMS, DATA
from gpt2_helix.prompts import check
from gpt2_helix.suite.gpt2 import suite_on
from gpt2_helix.suite.statements import WORDS
from gpt2_helix.suite.subjects import DEFAULT, live, open_subject
from gpt2_helix.texts import TextInputs

if TYPE_CHECKING:
    from pandas import DataFrame

_ONE_AT_A_TIME = Lock()
WIDTH = 100
"""Columns that verdicts are printed on."""


@dataclass(frozen=True, repr=False)
class Verdicts(Mapping[str, ClaimVerdict]):
    """Verdicts by the claim's identifier, such as ``verdicts["helix.axis"]``.

    Printed, they are the text of ``pytest claims/``; in a notebook they are tables.
    """

    report: Report
    """What ``pytest claims/ --claims-json`` writes; ``judging.report.plain`` gives its JSON."""

    @property
    def subject(self) -> About:
        """What was judged: its name, evidence and digests, and heads found that nobody named."""
        return self.report.subject

    @property
    def claims(self) -> tuple[ClaimVerdict, ...]:
        """The verdicts, in the order of the statements that the claims test."""
        return tuple(self.report.claims)

    @property
    def statements(self) -> dict[str, StatementVerdict]:
        """Verdicts on the post's statements, rolled up from the claims, by name."""
        return {statement.id: statement for statement in self.report.statements}

    def to_frame(self) -> "DataFrame":
        """Make a table of pandas, a row for each claim.

        The columns ``number``, ``value`` and ``bound`` are of the number nearest to its bound.
        """
        from pandas import DataFrame  # Slow to import, and TransformerLens installs it.

        rows = []
        for claim in self.claims:
            label, value, bound = nearest_bound(claim) or (None, None, None)
            rows.append(
                {
                    "claim": claim.id,
                    "statement": claim.statement,
                    "verdict": claim.verdict,
                    "evidence": claim.evidence,
                    "number": label,
                    "value": value,
                    "bound": bound,
                    "controls": len(claim.controls),
                    "controls_that_count": sum(c.counts for c in claim.controls),
                    "says": claim.says,
                }
            )
        return DataFrame(rows).set_index("claim")

    def __getitem__(self, claim: str) -> ClaimVerdict:
        return {verdict.id: verdict for verdict in self.claims}[claim]

    def __iter__(self) -> Iterator[str]:
        return (verdict.id for verdict in self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def __repr__(self) -> str:
        return terminal.text(self.report, WORDS, WIDTH)

    def _repr_html_(self) -> str:
        return page.notebook(self.report, WORDS)


def judge(
    subject: Any = DEFAULT,
    claims: str | Sequence[str] = "*",
    *,
    tokenizer: Any = None,
    corpus: str | Path | None = None,
    windows: int | None = None,
    prompt: str | Path | None = None,
) -> Verdicts:
    """Judge the claims whose identifiers match a pattern such as ``"helix.*"``, or one of several.

    The subject is a name or folder as ``pytest claims/ --subject`` takes it, or a model in memory:
    of transformers, or a ``TransformerBridge``, with a tokenizer for the claims that run it on
    text. ``"gpt2"`` is GPT-2 small from the hub or its cache, and its recorded measurements where
    neither has it. The rest is as in the options of ``pytest claims/``: text to run, number of
    windows of it, and a file with a repetition prompt.

    ``InputError`` if the subject cannot be judged or a pattern matches no claim;
    ``MissingInputError`` if it is ``control:NAME:SPEC`` and lacks what is to be broken;
    ``TypeError`` if an argument is of another type. Calls from several threads take turns: each
    sets the number of threads of the process's numeric libraries, and sets it back.
    """
    refuse_optimised()
    patterns = [claims] if isinstance(claims, str) else claims
    if not isinstance(patterns, Sequence) or not all(isinstance(one, str) for one in patterns):
        raise TypeError(f"claims: expected a pattern of identifiers, or several, found {claims!r}")
    texts = () if corpus is None else (_path("corpus", corpus),)
    material = TextInputs(texts, windows, None if prompt is None else _path("prompt", prompt))
    check(material)
    with _ONE_AT_A_TIME:
        return _judge(subject, patterns, tokenizer, material)


def _path(name: str, given: object) -> Path:
    if not isinstance(given, str | Path):
        raise TypeError(f"{name}: expected a path, found {type(given).__name__}")
    check_name(name, str(given))
    return Path(given)


def _judge(subject: Any, patterns: Sequence[str], tokenizer: Any, material: TextInputs) -> Verdicts:

    def opened() -> Subject:
        if isinstance(subject, str | Path):
            return open_subject(None if subject == DEFAULT else str(subject), DATA, material)
        model = open_in_memory(subject, tokenizer)
        return live(model.name, model, DATA, material)

    wanted = _matching(patterns)
    suite = suite_on(DATA, opened, CLAIMS)
    trial = Trial(suite, suite.open())
    progress = Progress(trial, len(wanted), suite.plan(trial.subject, [c for c, _ in wanted]))
    verdicts = []
    for claim, function in wanted:
        with progress.next_claim():
            verdicts.append(trial.run(claim, function)[0])
    return Verdicts(trial.report(trial.about(), verdicts))


def _matching(patterns: Sequence[str]) -> list[tuple[Claim, Assess]]:
    """Claims whose identifiers match one of these patterns, each of which must match some."""
    known = {claim.id: (claim, function) for _, function, claim in declared(CLAIMS)}
    families = list(dict.fromkeys(f"{name.partition('.')[0]}.*" for name in known))
    for pattern in patterns or [""]:
        if not any(fnmatchcase(name, pattern) for name in known):
            near = did_you_mean(pattern, [*known, *families])
            raise InputError(
                f"claims: expected patterns of identifiers, such as {', '.join(families)}, "
                f"found {pattern!r:.80}{near}"
            )
    return [
        wanted
        for name, wanted in known.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
