"""Name the audit's flags of rows, and the kinds that `sample.exclude` accepts.

What a flag means is said where it is printed: a new word must not audit again.
"""

from typing import Literal

Kind = Literal["leaks", "duplicates", "conflicts", "short"]
KINDS: dict[str, Kind] = {
    "leak": "leaks",
    "duplicate": "duplicates",
    "near_duplicate": "duplicates",
    "conflict": "conflicts",
    "short": "short",
}
