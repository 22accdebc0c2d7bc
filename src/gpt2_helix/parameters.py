"""What ``params.yaml`` says the measurements are made with, family by family."""

from pathlib import Path
from typing import Any

import yaml

PATH = Path(__file__).parents[2] / "params.yaml"

PARAMETERS: dict[str, dict[str, Any]] = yaml.safe_load(PATH.read_text(encoding="utf-8"))
