"""The page ``explore.html``: one slider, the group size, moves every picture of the argument.

One file that asks for nothing else. What moves is drawn by its script from the records that are
written into it; what stands still, such as verdicts and tables, is written here.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import style
from gpt2_helix.doctoring import group_size
from gpt2_helix.judging import wording
from gpt2_helix.judging.report import Report, read

PICTURED = {
    "helix": ("helix", "averaging"),
    "kernels": ("backwards",),
    "attention": ("previous-token", "not-by-position"),
    "heads": ("extended",),
}
"""The statements that each picture carries."""

Numbers = Mapping[str, Any]


def page(subject: str) -> str:
    """The page's HTML: the template with records and verdicts on them inside."""
    report = read(style.DATA / f"verdicts/{subject}.json")
    tolerance = {claim.id: claim.tolerance for claim in report.claims}
    data: dict[str, Any] = {"helix": _helix(subject), "kernels": _kernels(subject, tolerance)}
    filled = {
        "%SUBJECT%": escape(_name(subject)),
        "%LAST%": str(data["helix"]["last"]),
        "%ORIGIN%": escape(style.origin(subject, style.read_record(subject, "helix"))),
        "%EXPLAINED%": f"{data['helix'].pop('explained'):.1%}",
        "%OTHERS%": _statements(report, _not_pictured(report)),
        "%KERNELS-TABLE%": _table(
            "Mean look-back in tokens",
            ["group size", *data["kernels"]["lookBack"]],
            zip(data["kernels"]["sizes"], *data["kernels"]["lookBack"].values(), strict=True),
        ),
        "%ATTENTION-TABLE%": "",
        "%PUBLISHED%": _published(report),
    }
    for picture, named in PICTURED.items():
        filled[f"%{picture.upper()}%"] = _statements(report, named)
    if all(style.is_recorded(subject, f) for f in ("attention_only", "sensitivity")):
        data["attention"] = _attention(subject, tolerance)
        data["heads"] = _heads(subject, data["kernels"]["sizes"])
        filled["%ATTENTION-TABLE%"] = _attention_table(data["attention"])
    # Less-than signs would end the script element that holds the data.
    filled["%DATA%"] = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
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


def _kernels(subject: str, tolerance: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """By head and then by group size: the kernel, and how far it looks back on average."""
    record = style.read_record(subject, "kernels")["measured"]["local_heads"]
    return {
        "sizes": [group_size(name) for name in next(iter(record["kernel"].values()))],
        "kernel": {head: list(kernel.values()) for head, kernel in record["kernel"].items()},
        "lookBack": {head: list(found.values()) for head, found in record["look_back"].items()},
        "bounds": bounds(tolerance["kernels.averaging"], "look_back_at"),
    }


def _attention(subject: str, tolerance: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Attention of the main heads to the previous token, against group size, and its bounds."""
    sweep = style.read_record(subject, "sensitivity")["measured"]["sweep"]
    main = style.read_record(subject, "attention_only")["measured"]["main_heads"]
    heads, sizes = list(main["attention"]), list(sweep["attention"])
    found = {size: sweep["attention"][size] for size in sizes}
    total = {size: sum(of["mean"] for of in found[size].values()) for size in sizes}
    kept_bounds = bounds(tolerance["attention-only.survives-averaging"], "kept")
    kept_bounds |= bounds(tolerance["attention-only.breaks-by-100"], "kept")
    one_group = tolerance["attention-only.breaks-by-100"]["kept_one_group"]
    return {
        "sizes": [int(size) for size in sizes],
        "attention": {h: [found[size][h]["mean"] for size in sizes] for h in heads},
        "interval": {
            h: [(found[size][h]["low"], found[size][h]["high"]) for size in sizes] for h in heads
        },
        "raw": main["raw"],
        "bound": _bound(tolerance["attention-only.previous-token"]["attention"]),
        "kept": [total[size] / total[sizes[0]] for size in sizes],
        "keptBounds": kept_bounds | {sizes[-1]: _bound(one_group)},
    }


def _heads(subject: str, sizes: Sequence[int]) -> dict[str, Any]:
    """Attention of every head to the previous token, by group size."""
    record = style.read_record(subject, "sensitivity")["measured"]["every_head"]
    main = style.read_record(subject, "attention_only")["measured"]["main_heads"]
    by_size = _by_size(record["attention"])
    return {"main": list(main["attention"]), "attention": [by_size[size] for size in sizes]}


def _by_size(by_doctoring: Numbers) -> dict[int, Any]:
    """What was measured under averaging, by group size; 1 is intact."""
    sizes = {name: group_size(name) for name in by_doctoring}
    return {size: by_doctoring[name] for name, size in sizes.items() if size is not None}


def bounds(tolerance: Mapping[str, str], name: str) -> dict[str, tuple[str, float]]:
    """Bounds on ``name_K``, or on the least of them, by group size K."""
    found = {key: re.fullmatch(rf"(?:least_)?{name}_(\d+)", key) for key in tolerance}
    return {match[1]: _bound(tolerance[key]) for key, match in found.items() if match}


def _bound(bound: str) -> tuple[str, float]:
    comparison, limit = bound.split()
    return ("at least" if comparison.startswith(">") else "at most"), float(limit)


def _statements(report: Report, named: Iterable[str]) -> str:
    """Statements of the post as a list, each with its verdict and the number that says most."""
    by_id = {statement.id: statement for statement in report.statements}
    items = []
    for statement in (by_id[name] for name in named if name in by_id):
        verdict, headline = statement.verdict, wording.headline(statement) or "not measured"
        items.append(
            f'<li class="{verdict.split()[0]}"><strong>{verdict}</strong> '
            f"{escape(statement.says)} <small>{escape(headline)}</small></li>"
        )
    return f'<ul class="statements">{"".join(items)}</ul>'


def _not_pictured(report: Report) -> list[str]:
    pictured = {name for names in PICTURED.values() for name in names}
    return [s.id for s in report.statements if s.id not in pictured]


def _published(report: Report) -> str:
    """How the order of the heads agrees with that in the whole model; empty if not measured."""
    measured = {claim.id: claim.measured for claim in report.claims}
    found = measured.get("attention-only.published", {})
    if not found:
        return ""
    return (
        "Their order agrees with that in the pictures of the whole model on text that the post's "
        f"author published: rank correlation {found['rank_correlation_intact']:.2f} intact, "
        f"{found['rank_correlation_averaged']:.2f} averaged in groups of ten."
    )


def _attention_table(found: Numbers) -> str:
    return _table(
        "Attention to the previous token",
        ["group size", *found["attention"], "kept of the sum"],
        zip(found["sizes"], *found["attention"].values(), found["kept"], strict=True),
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
