"""The command line: parse, call, print.

Exit status: 0 done, or every gate passed; 1 a `--fail-if` gate failed; 2 bad usage or bad data, told in one sentence on
standard error; 130 interrupted (what was learned so far is saved).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pushforward` with the words `argv` (the process's own by default) and return the exit status."""
    # Idle threads sleep instead of spinning: on cores shared with other work, spinning made a fit several times slower.
    # It counts only before torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from ..errors import InputError
    from .app import run

    try:
        return run(list(sys.argv[1:] if argv is None else argv))
    except InputError as error:
        print(f"pushforward: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pushforward: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone (`| head`): not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
