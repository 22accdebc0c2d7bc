"""``python -m gpt2_helix`` is ``gpt2-helix``."""

import sys

from gpt2_helix.cli import main

if __name__ == "__main__":
    sys.exit(main())
