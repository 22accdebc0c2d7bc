"""Bytes: tensors by name, from files and from the hub.

``InputError`` on import if a variable that huggingface_hub reads is not what it can read: it would
raise on its own import, in many lines.
"""

import os

from gpt2_helix.judging.errors import InputError

for _name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
    _found = os.environ.get(_name, "0")
    if not (_found.isascii() and _found.isdigit()):
        raise InputError(f"{_name}: expected a whole number of seconds, found {_found!r:.60}")
