"""A survey as one page: its figure, and a table of verdicts."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from gpt2_helix.judging.files import write_text
from gpt2_helix.survey_rows import Row

_PAGE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
    """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Survey of {{ rows | length }} subjects</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
.wide { overflow-x: auto }
.wide svg { background: #fff; max-width: 100%; height: auto }
td, th { text-align: left; padding: .1rem .8rem .1rem 0 }
</style>
<h1>Survey of {{ rows | length }} subjects</h1>
{% if figure %}
<p>The first number of each claim that has a bound, which is dashed.{% if not by_step %} A
dot is filled where the claim holds on the model itself; controls are left out.{% endif %}</p>
<div class="wide">{{ figure | safe }}</div>
{% endif %}
<div class="wide"><table>
<tr><th>subject</th>{% for claim in claims %}<th>{{ claim }}</th>{% endfor %}</tr>
{% for row in rows %}
<tr><td>{{ row.subject }}</td>
{% if row.error %}<td colspan="{{ claims | length }}">{{ row.error }}</td>
{% else %}{% for claim in claims %}<td>{{ row.verdicts.get(claim, "") }}</td>{% endfor %}
{% endif %}</tr>
{% endfor %}
</table></div>
</html>
"""
)


def write_page(rows: Sequence[Row], path: Path, figure: Path) -> None:
    """Write the page; the figure stands in it if it was drawn."""
    claims = list(dict.fromkeys(name for row in rows for name in row.verdicts))
    by_step = any(row.step is not None for row in rows)
    svg = figure.read_text(encoding="utf-8") if figure.exists() else ""
    drawn = svg[svg.find("<svg") :] if "<svg" in svg else ""
    write_text(path, _PAGE.render(rows=rows, claims=claims, figure=drawn, by_step=by_step))
