"""Problems of the rows of a file, to report all at once."""

from yelp_stars.pipeline.errors import MAX_PROBLEMS, UserError
from yelp_stars.pipeline.text import counted


class Problems:
    """The first error of each kind, and the number of rows that have it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first: dict[str, UserError] = {}
        self._rows: dict[str, int] = {}

    def note(self, error: UserError) -> None:
        """Keep the error of a row; report at once when there are more kinds than are shown."""
        kind = error.problem
        self._first.setdefault(kind, error)
        self._rows[kind] = self._rows.get(kind, 0) + 1
        if len(self._first) > MAX_PROBLEMS:
            self.report()

    def report(self) -> None:
        """Raise what was noted, if anything."""
        for kind, error in self._first.items():
            if self._rows[kind] > 1:
                error.problem = f"{kind} ({counted(self._rows[kind], 'row')})"
        errors = [*self._first.values()]
        if len(errors) > 1:
            lines = map(str, errors)
            raise UserError(f"{self._name} has {counted(len(errors), 'problem')}", *lines)
        if errors:
            raise errors[0]
