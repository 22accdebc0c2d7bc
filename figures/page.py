"""The helix as a page to turn and to average by hand: one file, no network."""

import json

import style

GROUP_SIZES = (1, 2, 5, 10, 20, 50, 100, 200)


def page(subject: str) -> str:
    """The page's HTML: the template with the recorded curve, rows 1 .. n-2, inside."""
    record = style.read_record(subject, "helix")
    shape = record["measured"]["shape"]
    curve = style.read_curve(subject)
    data = {"curve": curve[1:-1].tolist(), "sizes": GROUP_SIZES, "up": shape["axis"]}
    filled = {
        "%DATA%": json.dumps(data, separators=(",", ":")),
        "%LAST%": str(len(curve) - 1),
        "%CAPTION%": f"{style.origin(subject, record)}; three components hold "
        f"{shape['explained']:.1%} of the variance.",
    }
    text = (style.FIGURES / "page.html").read_text(encoding="utf-8")
    for mark, value in filled.items():
        text = text.replace(mark, value)
    return text
