"""Draw figures from recorded measurements: ``python figures/draw.py [NAME ...]``.

A figure is a module beside this one, with

``draw``
    A function that takes the subjects and returns the figure and what is seen in it.
``NEEDS``
    Families of measurements that it reads. If one was never measured, nothing is drawn.
``CLAIMS``
    Identifiers of the claims that it is evidence for.
``SUBJECTS``
    Folders of ``data/`` to draw; GPT-2 small by default. The figure is filed under the first.
"""

import argparse
import hashlib
import importlib
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.transforms import Bbox

import explore
import style
from gpt2_helix.judging import records

LINE = 140
"""Letters in a line of a drawn caption."""
MARGIN = 0.1
"""Inches around what is drawn."""
NOT_FIGURES = (Path(__file__).stem, "style", "explore")
DRAWN = style.FIGURES.parent / "paper/figures"
PAGE = "explore.html"


def names() -> list[str]:
    """Every figure that there is."""
    modules = (path.stem for path in style.FIGURES.glob("*.py"))
    return sorted(name for name in modules if name not in NOT_FIGURES)


def write(name: str, into: Path = DRAWN) -> dict[str, Any]:
    """Draw a figure and write it, the same bytes every time.

    The SVG, for the paper, is bare; the PNG carries its caption. A JSON file of the same name has
    the caption, or says why the figure is not drawn, for the paper and the report to read.

    Parameters
    ----------
    name
        The figure's module.
    into
        Folder to write to.

    Returns
    -------
    What the JSON file holds.
    """
    module = importlib.import_module(name)
    subjects: Sequence[str] = getattr(module, "SUBJECTS", (style.SUBJECT,))
    about: dict[str, Any] = {"subject": subjects[0], "claims": list(module.CLAIMS)}
    missing = [
        f"{family} on {subject}"
        for subject in subjects
        for family in module.NEEDS
        if not style.is_recorded(subject, family)
    ]
    if missing:
        about |= {"drawn": False, "why": f"not measured: {', '.join(missing)}"}
        for kind in ("svg", "png"):
            (into / f"{name}.{kind}").unlink(missing_ok=True)
    else:
        about |= {"drawn": True, **_draw(module, subjects, into / name)}
    text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    (into / f"{name}.json").write_text(text, encoding="utf-8")
    return about


def _draw(module: ModuleType, subjects: Sequence[str], stem: Path) -> dict[str, Any]:
    drawn_from = {subject: style.read_record(subject, module.NEEDS[0]) for subject in subjects}
    figure, seen = module.draw(*subjects)
    origins = "; ".join(style.origin(subject, record) for subject, record in drawn_from.items())
    origins = textwrap.fill(origins, LINE)
    caption = " ".join(f"{seen}\n{origins}".split("\n"))
    svg, png = stem.with_suffix(".svg"), stem.with_suffix(".png")
    bare = {"Date": None, "Creator": None, "Description": caption}
    # Laid out and framed once: doing so for each file takes as long as drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    frame = figure.get_tightbbox().frozen()
    figure.savefig(svg, metadata=bare, bbox_inches=frame.padded(MARGIN))
    below = figure.text(0.5, 0.0, f"{seen}\n{origins}", ha="center", va="top", fontsize=7)
    in_inches = figure.dpi_scale_trans.inverted()
    both = Bbox.union([frame, below.get_window_extent().transformed(in_inches)])
    figure.savefig(png, metadata={"Software": None}, bbox_inches=both.padded(MARGIN))
    plt.close(figure)
    return {
        **({"source": source} if (source := records.source(style.DATA / subjects[0])) else {}),
        "W_pos_sha256": style.positions(drawn_from[subjects[0]])[1],
        "caption": caption,
        # So that what reads this file changes with the picture.
        "svg_sha256": hashlib.sha256(svg.read_bytes()).hexdigest(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figures that are named, or all of them and the page."""
    parser = argparse.ArgumentParser(description="Draw figures from recorded measurements.")
    parser.add_argument(
        "name", nargs="*", help=f"of {', '.join([*names(), 'explore'])}; default: all"
    )
    asked = parser.parse_args(arguments).name
    if unknown := set(asked) - {*names(), "explore"}:
        parser.error(
            f"expected {', '.join(names())} or explore, found {', '.join(sorted(unknown))}"
        )
    DRAWN.mkdir(parents=True, exist_ok=True)
    for name in asked or [*names(), "explore"]:
        if name == "explore":
            (DRAWN / PAGE).write_text(explore.page(style.SUBJECT), encoding="utf-8")
            print(PAGE, file=sys.stderr)
        else:
            about = write(name)
            said = name if about["drawn"] else f"{name}: not drawn, {about['why']}"
            print(said, file=sys.stderr)


if __name__ == "__main__":
    main()
