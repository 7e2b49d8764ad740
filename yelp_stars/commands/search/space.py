"""Read the search space of `stars search` and draw its trials."""

from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.stats import qmc

from yelp_stars.commands.runs.experiments import SEED, Overrides, change
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import StageParams, check, stage_models
from yelp_stars.pipeline.text import quoted
from yelp_stars.pipeline.yaml_file import read_yaml

MOST = 20  # parameters, and choices of one
# The other sections decide which rows the trials are compared on.
SECTIONS = ("tokenize", "train")
DIGITS = 3  # of a number between `low` and `high`
# An integer beyond these is not a float exactly.
Number = Annotated[int | float, Field(ge=-(2**53), le=2**53)]


class Parameter(StageParams):
    """Values that a search may give a parameter."""

    low: Number | None = None
    """Smallest value; if this and `high` are integers, so are the values between them."""
    high: Number | None = None
    """Largest value."""
    log: bool = False
    """Draw on a logarithmic scale."""
    choices: list[bool | int | float | str] | None = Field(None, min_length=2, max_length=MOST)
    """Values, instead of `low` and `high`."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        ends = [end for end in (self.low, self.high) if end is not None]
        if self.choices is not None:
            if ends or self.log:
                raise ValueError("choices excludes low, high and log")
            if len({repr(choice) for choice in self.choices}) < len(self.choices):
                raise ValueError("choices has a duplicate value")
        elif len(ends) < 2:
            raise ValueError("should have low and high, or choices")
        elif ends[0] >= ends[1]:
            raise ValueError("low should be below high")
        elif self.log and ends[0] <= 0:
            raise ValueError("log requires low above 0")
        return self

    def at(self, share: float) -> Any:
        """Return the value at a share of the range, from 0 to 1."""
        if self.choices is not None:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        low, high = self.low, self.high
        assert low is not None
        assert high is not None
        if isinstance(low, int) and isinstance(high, int):
            # Half a step more at both ends: they are as likely as the integers between them.
            return min(max(round(_between(low - 0.5, high + 0.5, self.log, share)), low), high)
        value = float(f"{_between(low, high, self.log, share):.{DIGITS}g}")
        return min(max(value, float(low)), float(high))


def _between(low: float, high: float, log: bool, share: float) -> float:
    return low * (high / low) ** share if log else low + share * (high - low)


def read_space(path: Path, params: dict[str, Any]) -> dict[str, Parameter]:
    """Read a search space and check it against params.yaml; report every problem."""
    tree = read_yaml(path)
    if not isinstance(tree, dict) or not 1 <= len(tree) <= MOST:
        raise UserError(
            f"{quoted(str(path))} should have 1 to {MOST} parameters, such as "
            f"'train.learning_rate: {{low: 1e-5, high: 1e-4, log: true}}'"
        )
    known = {f"{section}.{key}" for section in SECTIONS for key in params[section]} - {SEED}
    problems = [
        f"{quoted(key)} is not a parameter of {' or '.join(SECTIONS)} that a search may change"
        for key in tree
        if key not in known
    ]
    for key in known & {*tree}:
        try:
            check({key: tree[key]}, {key: Parameter}, str(path))
        except UserError as error:
            problems += error.problems or (error.problem,)
    if problems:
        raise UserError(f"{quoted(str(path))}: problems: {len(problems)}", *sorted(problems))
    return {key: Parameter.model_validate(values) for key, values in tree.items()}


def draw(
    space: dict[str, Parameter], params: dict[str, Any], number: int, seed: int
) -> list[Overrides]:
    """Draw `number` trials beside `params` as they are; fewer, if the space has fewer.

    The points of a Halton sequence (1960), scrambled by a seed: they fill the space evenly, and a
    larger number begins with those of a smaller one.
    """
    trials: list[Overrides] = [{}]
    seen = {repr(params)}
    points = qmc.Halton(len(space), seed=np.random.default_rng(seed)).random(50 * number)
    for point in points:
        if len(trials) > number:
            break
        shares = zip(space.items(), point, strict=True)
        trial = {key: parameter.at(share) for (key, parameter), share in shares}
        changed = repr(change(params, trial))
        if changed not in seen:
            seen.add(changed)
            trials.append(trial)
    return trials


def check_trials(params: dict[str, Any], trials: list[Overrides]) -> None:
    """Check the parameters of all trials before the first one runs; report every problem."""
    problems: list[str] = []
    for trial in trials:
        try:
            check(change(params, trial), stage_models(), "params.yaml")
        except UserError as error:
            shown = ", ".join(f"{key}: {value}" for key, value in trial.items())
            problems.append(f"with {shown}: {error}")
    if problems:
        raise UserError(f"{len(problems)} of {len(trials)} trials cannot run", *problems)
