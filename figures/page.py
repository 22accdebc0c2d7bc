"""The helix as a page to turn and to average by hand: one file, no network."""

import json
import sys

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
        "%CAPTION%": f"{subject}, wpe.weight sha256 {record['weights']['wpe.weight'][:12]}; "
        f"three components hold {shape['explained']:.1%} of the variance.",
    }
    text = (style.FIGURES / "page.html").read_text(encoding="utf-8")
    for mark, value in filled.items():
        text = text.replace(mark, value)
    return text


if __name__ == "__main__":
    (style.FIGURES / "helix.html").write_text(page(style.SUBJECT), encoding="utf-8")
    print("helix.html", file=sys.stderr)
