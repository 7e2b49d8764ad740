"""Start the stage on several devices, by the launcher in the user's environment."""

import os
import shlex
from collections.abc import Mapping, Sequence

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

VARIABLE = "STARS_LAUNCHER"
LAUNCHED = "LOCAL_RANK"  # torchrun and accelerate set it for the processes that they start


def launch(paths: Sequence[str], environment: Mapping[str, str]) -> None:
    """Replace this process by the launcher of `STARS_LAUNCHER`, if it names one.

    Without a shell. The processes that it starts do not see the variable: none launches again.
    """
    launcher = environment.get(VARIABLE, "")
    if LAUNCHED in environment or not launcher.strip():
        return
    try:
        command = [*shlex.split(launcher), "-m", "stages.train", *paths]
        others = {name: value for name, value in environment.items() if name != VARIABLE}
        os.execvpe(command[0], command, others)  # noqa: S606
    except (OSError, ValueError) as error:  # not installed; a quote is not closed
        problem = f"{VARIABLE} is {quoted(launcher)}, which cannot be started here ({error})"
        raise UserError(problem, advice="correct it, or unset it to train in one process") from None
