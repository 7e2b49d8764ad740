"""Round up the width of a batch, which also limits the length of its rows."""

PAD_TO_MULTIPLE_OF = 8  # the tokens that tensor cores and vector units work in


def padded_width(longest: int) -> int:
    """Return the width of a batch whose longest row has `longest` tokens."""
    return -(-longest // PAD_TO_MULTIPLE_OF) * PAD_TO_MULTIPLE_OF
