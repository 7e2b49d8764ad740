"""Whatever a library raises on a user's file, as one line."""

from types import TracebackType

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import one_line


class Refusing:
    """A context in which an error means that a file of the user's is not valid.

    Only for calls of libraries that parse it. They document no errors: a damaged checkpoint gives
    almost every built-in one in transformers, a bare `Exception` in tokenizers, and a panic of
    Rust is not even that.
    """

    def __init__(self, problem: str, advice: str) -> None:
        self._problem, self._advice = problem, advice

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, (UserError, KeyboardInterrupt, SystemExit)):
            return
        if isinstance(error, OSError) and error.errno is not None:  # a full disk, for example
            return
        # The first lines say what is wrong; after an empty one, some libraries explain at length.
        reason = one_line(str(error).split("\n\n")[0])[:160]
        raise UserError(
            f"{self._problem} ({type(error).__name__}: {reason}); {self._advice}"
        ) from None
