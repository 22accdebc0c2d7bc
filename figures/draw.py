"""Draw figures from recorded measurements: ``python figures/draw.py [NAME ...]``.

A figure is a module beside this one, with

``draw``
    A function that takes the subjects and returns the figure with its words, a ``style.Drawn``.
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
import numpy as np
from matplotlib.transforms import Bbox

import explore
import style
from gpt2_helix.judging import records

LETTERS = 21
"""Of a drawn caption, to the inch."""
MARGIN = 0.02
"""Inches around what is drawn."""
PLACES = 5
"""Digits after the point of where axes stand, as shares of the figure."""
NOT_FIGURES = (Path(__file__).stem, "style", "explore")
MODULES = {"profile": "profiles"}
"""Figures whose name no module can bear: it would hide one of Python's own."""
DRAWN = style.FIGURES.parent / "paper/figures"
PAGE = "explore.html"


def names() -> list[str]:
    """Every figure that there is."""
    figures = {module: name for name, module in MODULES.items()}
    modules = (path.stem for path in style.FIGURES.glob("*.py"))
    return sorted(figures.get(name, name) for name in modules if name not in NOT_FIGURES)


def module_of(name: str) -> ModuleType:
    """The module that draws a figure."""
    return importlib.import_module(MODULES.get(name, name))


def subjects_of(module: ModuleType) -> Sequence[str]:
    """Folders of ``data/`` that a figure is drawn from."""
    subjects: Sequence[str] = getattr(module, "SUBJECTS", (style.SUBJECT,))
    return subjects


def not_measured(module: ModuleType) -> list[str]:
    """What a figure needs and was never measured."""
    return [
        f"{family} on {subject}"
        for subject in subjects_of(module)
        for family in module.NEEDS
        if not style.is_recorded(subject, family)
    ]


def write(name: str, into: Path = DRAWN) -> dict[str, Any]:
    """Draw a figure and write it, the same bytes every time.

    The SVG, for the paper, is bare; the PNG carries its caption. A JSON file of the same name has
    caption, alt text and origin, or says why the figure is not drawn, for the paper and the report
    to read.

    Parameters
    ----------
    name
        The figure's name.
    into
        Folder to write to.

    Returns
    -------
    What the JSON file holds.
    """
    module = module_of(name)
    subjects = subjects_of(module)
    about: dict[str, Any] = {"subject": subjects[0], "claims": list(module.CLAIMS)}
    if missing := not_measured(module):
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
    figure, found, alt = module.draw(*subjects)
    claims = ", ".join(module.CLAIMS)
    caption = f"{found} (Claim{'s' if len(module.CLAIMS) > 1 else ''}: {claims}.)"
    origin = "; ".join(style.origin(subject, record) for subject, record in drawn_from.items())
    svg, png = stem.with_suffix(".svg"), stem.with_suffix(".png")
    bare = {"Date": None, "Creator": None, "Description": alt}
    # Laid out and framed once: doing so for each file takes as long as drawing.
    figure.draw_without_rendering()
    figure.set_layout_engine(None)
    for axes in figure.axes:
        # The layout's solver differs in the last digits from one run to the next.
        axes.set_position(np.round(axes.get_position(original=True).bounds, PLACES))
    frame = figure.get_tightbbox().frozen().padded(MARGIN)
    figure.savefig(svg, metadata=bare, bbox_inches=frame)
    below = figure.text(
        *frame.p0 / figure.get_size_inches(),
        "\n" + textwrap.fill(caption, int(LETTERS * frame.width)),
        va="top",
        fontsize=style.SMALL,
    )
    in_inches = figure.dpi_scale_trans.inverted()
    both = Bbox.union([frame, below.get_window_extent().transformed(in_inches)])
    figure.savefig(png, metadata={"Software": None}, bbox_inches=both.padded(0.1))
    plt.close(figure)
    return {
        **({"source": source} if (source := records.source(style.DATA / subjects[0])) else {}),
        "W_pos_sha256": style.positions(drawn_from[subjects[0]])[1],
        "caption": caption,
        "alt": alt,
        "origin": origin,
        "width_cm": round(2.54 * frame.width, 1),
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
