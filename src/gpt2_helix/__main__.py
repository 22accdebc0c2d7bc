"""``python -m gpt2_helix`` is ``gpt2-helix``."""

from gpt2_helix.cli import main

raise SystemExit(main())
