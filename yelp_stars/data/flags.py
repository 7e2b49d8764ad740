"""The flags that the audit gives to rows, and the kinds by which `sample.exclude` names them.

What a flag means is said where it is printed: a new word must not train again.
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
