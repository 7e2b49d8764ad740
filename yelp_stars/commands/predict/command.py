"""Define the arguments of `stars predict`."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def predict(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Texts, or a file; - reads standard input"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file: .jsonl, .csv or .parquet")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of the model; default: models/finetuned")
    ] = None,
    rev: Annotated[
        str | None, typer.Option(help="Use the model of a revision or experiment")
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option(help="Column of the text: a name, or an index from 0 without a header"),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of the true label; also prints scores")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE=NAME", help="Map a value of that column to a label"),
    ] = None,
    fail_below: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Mark predictions below this probability for review"),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Prefix of the predicted columns")] = "",
    skip_bad: Annotated[
        Path | None, typer.Option(help="Skip bad rows; write their errors to a file")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing output files")] = False,
    encoding: Annotated[
        str | None, typer.Option(help="Encoding of a text, CSV, TSV or JSON file")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Column separator of a CSV or TSV file")
    ] = None,
    quoted: Annotated[
        bool | None,
        typer.Option("--quoted/--no-quoted", help="Let double quotes enclose fields"),
    ] = None,
    longest_line_mb: Annotated[
        int, typer.Option(min=1, max=1000, help="Maximum length of a line, in megabytes")
    ] = 64,
    unescape: Annotated[
        bool | None,
        typer.Option(
            "--unescape/--no-unescape", help="Undo Yelp's escapes; same as download.unescape"
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Texts per batch; default: 8, exported 4, on a GPU 64"),
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], typer.Option(help="Number format; fp16 needs CUDA")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; default: all")] = None,
) -> None:
    """Predict the labels of texts, or of a file of any size.

    Files: .txt, .csv, .tsv, .jsonl, .parquet, also with .gz. A file is read as the training file
    was, unless options say otherwise. With -o, an interrupted command resumes where it stopped when
    you run it again.

    \b
    Examples:
      stars predict "The soup was cold."
      stars predict reviews.csv -o predicted.csv
      stars predict reviews.parquet -o predicted.parquet --fail-below 0.6
      stars predict labelled.jsonl --label-column stars --prefix predicted_
    """  # noqa: D301
    from yelp_stars.commands.predict import job
    from yelp_stars.commands.predict.request import Request
    from yelp_stars.reading.layout import separator
    from yelp_stars.reading.lines import known_encoding

    if model is not None and rev is not None:
        raise typer.BadParameter("and --model exclude each other", param_hint="--rev")
    try:
        encoding = encoding and known_encoding(encoding)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--encoding") from None
    delimiter = separator(delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0'):
        raise typer.BadParameter("should be one character", param_hint="--delimiter")
    job.run(
        Request(
            inputs or [],
            output,
            text_column=_column(text_column),
            label_column=_column(label_column),
            encoding=encoding,
            delimiter=delimiter,
            quoted=quoted,
            max_line=longest_line_mb * 1_000_000,
            labels=tuple(label or ()),
            unescape=unescape,
            below=fail_below,
            prefix=prefix,
            skip_bad=skip_bad,
            force=force,
            model=model or Path("models/finetuned"),
            rev=rev,
            precision=precision,
            batch_size=batch_size,
            threads=threads,
        )
    )


def _column(argument: str | None) -> str | int | None:
    """Read a column's name, or its index."""
    if argument is None:
        return None
    return int(argument) if argument.isascii() and argument.isdecimal() else argument
