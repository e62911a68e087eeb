"""The ``lorarack`` command: errors become sentences."""

import io
import sys

from lorarack.registry.errors import LorarackError


def main() -> None:
    """Run the command line; errors that lorarack foresaw become one sentence and their exit code."""
    _write_any_text()
    try:
        from lorarack.registry.cli.app import root_command

        root_command(sys.argv[1] if len(sys.argv) > 1 else None)()
    except LorarackError as error:
        from lorarack.registry.cli.output import complain

        complain(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)


def _write_any_text() -> None:
    """Names of files need not be UTF-8: what stdout cannot encode is written as an escape, as Python does on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
