"""``python -m gpt2_helix`` is ``gpt2-helix``."""

import sys

from gpt2_helix.judging.errors import SubjectError


def main() -> int:
    """Run ``cli.main``; its import reads ``params.yaml``, and an error there is one line too."""
    try:
        from gpt2_helix import cli
    except SubjectError as error:
        print(f"gpt2-helix: {error}", file=sys.stderr)
        return 2
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
