"""The one exception a user's mistake raises.

Anything a user can mend (a missing file, a ragged row, an unknown objective) raises `InputError` with one sentence that
names the file, the place in it and the remedy. The command line prints that sentence and exits with status 2; a Python
user sees a `ValueError`. Everything else is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


class InputError(ValueError):
    """The data, a file or an argument cannot be used as given; the message says where and what to do."""
