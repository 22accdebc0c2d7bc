"""``python -m gpt2_helix`` is ``gpt2-helix``."""

import sys

from gpt2_helix.commands import exit_code


def main() -> int:
    """Run the command; exit codes as for ``cli.main``."""
    code = 0

    def run() -> None:
        # Here, not above: an import refuses variables of the environment that cannot be read.
        from gpt2_helix import cli

        nonlocal code
        code = cli.main()

    return exit_code("gpt2-helix", run) or code


if __name__ == "__main__":
    sys.exit(main())
