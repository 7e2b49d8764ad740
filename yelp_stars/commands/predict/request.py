"""The arguments of `stars predict`, and which files they may write."""

from pathlib import Path
from typing import NamedTuple

from yelp_stars.commands.predict.formats import FORMATS
from yelp_stars.commands.predict.inputs import Input
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import Precision
from yelp_stars.pipeline.text import quoted
from yelp_stars.reading.layout import Layout


class Request(NamedTuple):
    """Arguments of the command, which says what they mean."""

    inputs: list[str]
    output: Path | None = None
    layout: Layout = Layout("text", None, all_columns=True)
    labels: tuple[str, ...] = ()
    unescape: bool = False
    below: float | None = None
    prefix: str = ""
    skip_bad: Path | None = None
    force: bool = False
    model: Path = Path("models/finetuned")
    rev: str | None = None
    precision: Precision = "auto"
    batch_size: int | None = None
    threads: int | None = None

    def check_paths(self, source: Input) -> None:
        """Check that the outputs overwrite neither the input nor each other, nor other files."""
        written = {"-o": self.output, "--skip-bad": self.skip_bad}
        paths = {option: path for option, path in written.items() if path is not None}
        resolved = [path.resolve() for path in paths.values()]
        # The file itself, or the archive that it is in.
        read = [] if source.path is None else [source.path, *source.path.parents]
        if any(path.resolve() in resolved for path in read if not path.is_dir()):
            raise UserError(f"{quoted(source.name)} is the input; choose another file to write")
        if len(set(resolved)) < len(resolved):
            raise UserError("-o and --skip-bad are the same file; choose two")
        if self.output is not None and self.output.suffix not in FORMATS:
            raise UserError(f"-o {quoted(str(self.output))} must end in {', '.join(FORMATS)}")
        part = self.output and self.output.with_name(f"{self.output.name}.part")
        resumed = part is not None and part.is_dir()
        for option, path in paths.items():
            if path.is_dir():
                raise UserError(f"{quoted(str(path))} is a folder; name a file in it")
            if path.exists() and not self.force and not (resumed and option == "--skip-bad"):
                raise UserError(
                    f"{quoted(str(path))} exists; choose another {option}, or add --force"
                )
