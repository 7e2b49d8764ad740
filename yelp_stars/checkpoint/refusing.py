"""Whatever a library raises on a user's file, as one line."""

import contextlib
from collections.abc import Iterator

from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.text import one_line


@contextlib.contextmanager
def refusing(problem: str, advice: str) -> Iterator[None]:
    """Report any error as a file of the user's that is not valid.

    Only for calls of libraries that parse it and document no errors: a damaged checkpoint gives
    almost every built-in one in transformers, a bare `Exception` in tokenizers, and a panic of
    Rust is not even that. `damaged_as` of pipeline/files is for the others.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        if isinstance(error, OSError) and error.errno is not None:  # a full disk, for example
            raise
        # The first lines give the reason; after an empty one, some libraries explain at length.
        reason = one_line(str(error).split("\n\n")[0])[:160]
        name = type(error).__name__
        raise Damaged(f"{problem} ({name}: {reason})", advice=advice) from None
