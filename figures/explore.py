"""The page ``explore.html``: a group size and an intervention move every picture of the argument.

One file that asks for nothing else. What moves is drawn by ``explore.js`` from the records that
are written into the page; what stands still, such as claims and tables, is written here.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import cause
import profiles
import style
from gpt2_helix.doctoring import group_size
from gpt2_helix.judging.report import ClaimVerdict, Report, StatementVerdict, read
from gpt2_helix.measure.agreement import whole_model
from gpt2_helix.suite.published import published_heads

PICTURED = {
    "helix": ("helix.circle", "helix.axis", "averaging.stays-on-the-helix"),
    "kernels": ("kernels.local-heads", "kernels.causal-mask"),
    "rebuilt": ("cause.rebuilt",),
    "profile": ("attention-only.near", "attention-only.not-previous"),
    "kept": ("attention-only.survives-averaging", "attention-only.breaks-by-100"),
    "cause": (
        "cause.one-head",
        "cause.plain-average",
        "cause.causal-mask",
        "cause.first-layer",
        "cause.local-heads-idle",
    ),
    "heads": ("attention-only.published",),
}
"""The claims that each picture shows."""
NEEDS = {
    "rebuilt": ("rebuilt",),
    "profile": ("attention_only",),
    "kept": ("attention_only",),
    "cause": ("cause", "attention_only", "kernels"),
    "heads": ("attention_only", "sensitivity"),
}
"""Families of measurements that a picture is drawn from; the rest every subject has."""

Numbers = Mapping[str, Any]


def page(subject: str) -> str:
    """The page's HTML: the template with records and verdicts on them inside."""
    report = read(style.DATA / f"verdicts/{subject}.json")
    data: dict[str, Any] = {"helix": _helix(subject), "kernels": _kernels(subject)}
    makers = {
        "rebuilt": _rebuilt,
        "profile": _profile,
        "kept": _kept,
        "cause": _interventions,
        "heads": _heads,
    }
    tolerance = {claim.id: claim.tolerance for claim in report.claims}
    for name, make in makers.items():
        if all(style.is_recorded(subject, family) for family in NEEDS[name]):
            data[name] = make(subject, tolerance)
    main = list(data["kept"]["floor"]) if "kept" in data else []
    filled = {
        "%SUBJECT%": escape(_name(subject)),
        "%FOUND%": _sentences(report.found),
        "%OPEN%": _open(report),
        "%MAIN%": escape(", ".join(main) or "not measured"),
        "%LAST%": str(data["helix"]["last"]),
        "%ORIGIN%": escape(style.origin(subject, style.read_record(subject, "helix"))),
        "%EXPLAINED%": f"{100 * data['helix'].pop('explained'):.0f}&nbsp;%",
        "%STATEMENTS%": _statements(s for s in report.statements if not s.ours),
        "%OURS%": _statements(s for s in report.statements if s.ours),
        "%KERNELS-TABLE%": _look_back(data["kernels"]),
        "%KEPT-TABLE%": _kept_table(data["kept"]) if "kept" in data else "",
        "%SCRIPT%": (style.FIGURES / "explore.js").read_text(encoding="utf-8"),
        # Less-than signs would end the script element that holds the data.
        "%DATA%": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    for picture, named in PICTURED.items():
        filled[f"%{picture.upper()}%"] = _claims(report, named)
    text = (style.FIGURES / "explore.html").read_text(encoding="utf-8")
    return re.sub(r"%[A-Z-]+%", lambda mark: filled[mark[0]], text)


def _name(subject: str) -> str:
    return "GPT-2 small" if subject == style.SUBJECT else subject


def _helix(subject: str) -> dict[str, Any]:
    """The curve, rows 1 .. n-2, and how far the means of groups lie from it."""
    curve = style.read_curve(subject)
    shape = style.read_record(subject, "helix")["measured"]["shape"]
    distance = style.read_record(subject, "averaging")["measured"]["distance_from_curve"]
    return {
        "curve": curve[1:-1].tolist(),
        "up": shape["axis"],
        "last": len(curve) - 1,
        "explained": shape["explained"],
        "distance": _by_size(distance["mean_distance"]),
    }


def _kernels(subject: str) -> dict[str, Any]:
    """By head and then by group size: the kernel, and how far it looks back on average."""
    record = style.read_record(subject, "kernels")["measured"]["local_heads"]
    return {
        "sizes": [group_size(name) for name in next(iter(record["kernel"].values()))],
        "kernel": {head: list(kernel.values()) for head, kernel in record["kernel"].items()},
        "unmasked": {head: list(of.values()) for head, of in record["kernel_without_mask"].items()},
        "ahead": record["offset_without_mask"],
        "lookBack": {head: list(found.values()) for head, found in record["look_back"].items()},
    }


def _rebuilt(subject: str, tolerance: Mapping[str, Any]) -> dict[str, Any]:
    """Share and likeness by group size and then by layer entered, from layer 1 on."""
    found = style.read_record(subject, "rebuilt")["measured"]["by_layer"]
    by_size = {
        name: {size: _triples(of) for size, of in _by_size(found[name]).items() if size > 1}
        for name in ("share", "likeness")
    }
    return {**by_size, "bound": _limit(tolerance, "cause.rebuilt", "share_20")}


def _profile(subject: str, tolerance: Mapping[str, Any]) -> dict[str, Any]:
    """By group size and then by head, attention by offset: attention alone, and as published."""
    found = style.read_record(subject, "attention_only")["measured"]
    intact = found["main_heads"]["profile"]
    alone = {head: [of["mean"] for of in given] for head, given in intact.items()}
    pictures: dict[int, Any] = {}
    if subject == style.SUBJECT and style.is_recorded(profiles.PICTURES, "heads"):
        record = style.read_record(profiles.PICTURES, "heads")
        pictures = _by_size(record["measured"]["profiles"]["by_offset"])
    return {"alone": {1: alone, **_by_size(found["averaged"]["profile"])}, "pictures": pictures}


def _kept(subject: str, tolerance: Mapping[str, Any]) -> dict[str, Any]:
    """By group size and then by head, what is kept of attention at -1, with its interval."""
    kept = style.read_record(subject, "attention_only")["measured"]["averaged"]["kept"]
    whole = {head: [1.0, 1.0, 1.0] for head in kept["zeroed"]}
    return {
        "kept": {1: whole, **{size: _triples(of) for size, of in _by_size(kept).items()}},
        "floor": {head: of["mean"] for head, of in kept["zeroed"].items()},
        "works": _limit(tolerance, "attention-only.survives-averaging", "kept_20"),
        "broken": _limit(tolerance, "attention-only.breaks-by-100", "kept_100"),
    }


def _interventions(subject: str, tolerance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each intervention leaves, intact and in groups of 20 where that is recorded."""
    found = style.read_record(subject, "cause")["measured"]
    kernels = style.read_record(subject, "kernels")["measured"]["local_heads"]["kernel"]
    local, first = ", ".join(kernels), cause.leading(found)[0]
    beside = found["beside"]["kept"]
    whole = {head: [1.0, 1.0, 1.0] for head in found["first_layer"]["kept"]}
    asked = (
        ("none", None, "average-20"),
        (f"{first} of layer 0 held at its mean", "one_head", f"average-20, {first} held"),
        (f"{first} made a plain average of the past", "plain_average", None),
        ("no causal mask in layer 0", "causal_mask", "average-20, no mask in layer 0"),
        ("layer 0 silenced", "first_layer", None),
        (f"{local} held, which look just behind", "local_heads", f"average-20, {local} held"),
    )
    return [
        {
            "says": says,
            "intact": _triples(found[name]["kept"]) if name else whole,
            "averaged": _triples(beside[averaged]) if averaged else None,
        }
        for says, name, averaged in asked
    ]


def _heads(subject: str, tolerance: Mapping[str, Any]) -> dict[str, Any]:
    """Attention of every head at -1, by group size."""
    record = style.read_record(subject, "sensitivity")["measured"]["every_head"]
    main = style.read_record(subject, "attention_only")["measured"]["main_heads"]
    found = {"main": list(main["attention"]), "attention": _by_size(record["attention"])}
    if subject == style.SUBJECT and style.is_recorded(subject, "agreement"):
        order = style.read_record(subject, "agreement")["measured"]["rank_correlation"]
        whole = whole_model(published_heads(style.DATA / "published"))["intact"]
        alone = order["attention"]["intact"]
        found["order"] = {head: [alone[head], whole[head]] for head in alone}
        found["rank"] = [order["correlation"]["intact"][end] for end in ("mean", "low", "high")]
    return found


def _by_size(by_doctoring: Numbers) -> dict[int, Any]:
    """What was measured under averaging, by group size; 1 is intact."""
    sizes = {name: group_size(name) for name in by_doctoring}
    return {size: by_doctoring[name] for name, size in sizes.items() if size is not None}


def _triples(found: Numbers) -> dict[str, list[float]]:
    """Estimates as the page's script has them: mean and the ends of the interval."""
    return {name: [of["mean"], of["low"], of["high"]] for name, of in found.items()}


def _limit(tolerance: Mapping[str, Any], claim: str, name: str) -> float:
    """The bound of a claim; ``KeyError`` if it has none on what is named."""
    return float(tolerance[claim][name].split()[1])


def _sentences(sentences: Iterable[str]) -> str:
    """Sentences as a list."""
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _open(report: Report) -> str:
    """The statements that wait for a measurement."""
    waiting = [s.says for s in report.statements if s.verdict == "blocked"]
    why = "not measured yet; it takes the whole model"
    return f"<p><strong>Open</strong> ({why})</p>{_sentences(waiting)}" if waiting else ""


def _text(sentence: str) -> str:
    """A sentence as HTML; a number and its sign stay on one line."""
    return escape(sentence).replace(" %", "&nbsp;%")


def anchor(heading: str) -> str:
    """Where a heading of a Markdown page is, as GitHub names it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _claims(report: Report, named: Iterable[str]) -> str:
    """Claims as a list, each with its verdict and a link to its numbers."""
    by_id = {claim.id: claim for claim in report.claims}
    return _list(_claim(report, by_id[name]) for name in named if name in by_id)


def _claim(report: Report, claim: ClaimVerdict) -> str:
    heading = anchor(f"`{claim.id}`: {claim.verdict}")
    href = f"../../data/verdicts/{report.subject.name}.md#{heading}"
    return _item(claim.verdict, claim.says, f'<a href="{href}">{escape(claim.id)}</a>')


def _statements(statements: Iterable[StatementVerdict]) -> str:
    """Statements as a list, each with its verdict and what was found."""
    return _list(_item(s.verdict, s.says, _text(s.finding or "not measured")) for s in statements)


def _list(items: Iterable[str]) -> str:
    return f'<ul class="statements">{"".join(items)}</ul>'


def _item(verdict: str, says: str, small: str) -> str:
    return (
        f'<li class="{verdict.split()[0].replace("/", "")}"><strong>{verdict}</strong> '
        f"{_text(says)} <small>{small}</small></li>"
    )


def _look_back(kernels: Numbers) -> str:
    return _table(
        "Mean look-back in tokens",
        ["group size", *kernels["lookBack"]],
        zip(kernels["sizes"], *kernels["lookBack"].values(), strict=True),
    )


def _kept_table(found: Numbers) -> str:
    return _table(
        "Attention at -1 kept, of intact",
        ["group size", *found["floor"]],
        [(size, *(of[0] for of in by_head.values())) for size, by_head in found["kept"].items()],
    )


def _table(caption: str, header: Sequence[str], rows: Iterable[Sequence[float]]) -> str:
    """Numbers for those who do not see the picture, and for those who want them."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{"1 (intact)" if size == 1 else size}</th>'
        + "".join(f"<td>{number:.3g}</td>" for number in numbers)
        + "</tr>"
        for size, *numbers in rows
    )
    return (
        f"<details><summary>Numbers</summary><table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )
