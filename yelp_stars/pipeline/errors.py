"""Errors that a user can act on: facts as fields, printed as short lines."""

from collections.abc import Callable

from yelp_stars.pipeline.text import one_line

MAX_PROBLEMS = 20


class UserError(Exception):
    """A mistake that the user can fix: problem, location and advice.

    Printed as one line, `location problem; advice`. `problems` are further lines, for a file that
    has several. `setting` is a parameter with its section, such as download.encoding; "{setting}"
    in `advice` stands for its name, which differs between params.yaml and a command line.
    No code reads the printed text: it reads the fields.
    """

    def __init__(
        self, problem: str, *problems: str, setting: str = "", location: str = "", advice: str = ""
    ) -> None:
        super().__init__(problem)
        self.problem, self.problems = problem, problems
        self.setting, self.location, self.advice = setting, location, advice

    def __str__(self) -> str:
        """Print the error as its user meets it in params.yaml."""
        return self.worded(lambda setting: setting)

    def worded(self, name: Callable[[str], str]) -> str:
        """Print the error with its setting under the `name` that the user knows."""
        advice = self.advice.replace("{setting}", name(self.setting))
        first = " ".join(filter(None, [self.location, self.problem]))
        shown = list(self.problems[:MAX_PROBLEMS])
        if len(self.problems) > MAX_PROBLEMS:
            shown.append(f"and {len(self.problems) - MAX_PROBLEMS:,} more")
        lines = (f"  - {one_line(problem)}" for problem in shown)
        return "\n".join([one_line("; ".join(filter(None, [first, advice]))), *lines])


class Damaged(UserError):
    """A file that differs from what was written."""


class Missing(UserError):
    """A missing file, folder or run."""


class BadRow(UserError):
    """An unusable row of a user's file whose other rows may be usable."""


def hub_error(repo: str, error: Exception, alternative: str) -> UserError:
    """Report a repository that the Hugging Face Hub did not deliver."""
    reason = " ".join(str(error).split())[:160]
    return UserError(
        f"the Hub did not deliver {repo!r} ({type(error).__name__}: {reason})",
        advice=f"check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or {alternative}",
    )
