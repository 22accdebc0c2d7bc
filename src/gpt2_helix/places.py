"""Where the claims and the records are: in a checkout, or in an installed package's own copy."""

from pathlib import Path

_COPY = Path(__file__).with_name("_checkout")
ROOT = _COPY if _COPY.is_dir() else Path(__file__).parents[2]
CLAIMS = ROOT / "claims"
DATA = ROOT / "data"
