"""The command `stars predict`: its arguments."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def predict(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Texts, or a file; - is standard input"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write .jsonl, .csv or .parquet")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Folder of the model; models/finetuned by default")
    ] = None,
    rev: Annotated[
        str | None, typer.Option(help="Take the model of a revision or an experiment")
    ] = None,
    text_column: Annotated[
        str, typer.Option(help="Name; or index from 0, in a file without a header")
    ] = "text",
    label_column: Annotated[str | None, typer.Option(help="Likewise; scores all rows")] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="VALUE=NAME", help="A value of the label column")
    ] = None,
    fail_below: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Mark rows of less probability, for a person"),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Of the names of the predicted columns")] = "",
    skip_bad: Annotated[
        Path | None, typer.Option(help="Leave out bad rows, write their errors to a file")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an output that exists")] = False,
    encoding: Annotated[str, typer.Option(help="Of a text, CSV, TSV or JSON file")] = "utf-8",
    delimiter: Annotated[str | None, typer.Option(help="Of a CSV or TSV")] = None,
    quoted: Annotated[
        bool | None,
        typer.Option("--quoted/--no-quoted", help="Whether double quotes enclose fields"),
    ] = None,
    longest_line_mb: Annotated[int, typer.Option(min=1, max=1000)] = 64,
    unescape: Annotated[
        bool, typer.Option("--unescape", help="Undo Yelp's escapes, as download.unescape does")
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Texts; 8 on each core, 64 on a GPU by default")
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], typer.Option(help="fp16 needs CUDA")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Cores; all by default")] = None,
) -> None:
    """Predict the stars of texts, or of a file of any size.

    Files: .txt, .csv, .tsv, .jsonl, .parquet, also with .gz. With -o, an interrupted command
    resumes where it stopped if it is run again.

    \b
    Examples:
      stars predict "The soup was cold."
      stars predict reviews.csv -o predicted.csv
      stars predict reviews.parquet -o predicted.parquet --fail-below 0.6
      stars predict labelled.jsonl --label-column stars --prefix predicted_
    """  # noqa: D301
    from yelp_stars.commands.predict import job
    from yelp_stars.commands.predict.request import Request, column_of
    from yelp_stars.reading.layout import Layout

    if model is not None and rev is not None:
        raise typer.BadParameter("and --model exclude each other", param_hint="--rev")
    encoding = checked(encoding, delimiter)
    text = column_of(text_column)
    value = None if label_column is None else column_of(label_column)
    if value is not None and type(value) is not type(text):
        raise typer.BadParameter("two names, or two indices", param_hint="--label-column")
    layout = Layout(
        text,
        value,
        encoding=encoding,
        delimiter=delimiter,
        quoted=quoted,
        longest_line=longest_line_mb * 1_000_000,
        all_columns=True,
    )
    job.run(
        Request(
            inputs or [],
            output,
            model or Path("models/finetuned"),
            rev,
            layout,
            label or [],
            unescape,
            fail_below,
            prefix,
            skip_bad,
            precision,
            batch_size,
            threads,
            force,
        )
    )


def checked(encoding: str, delimiter: str | None) -> str:
    """How a file is read, in the options of a command; returns the encoding's usual name.

    Raises:
        typer.BadParameter: if a file cannot be read so.
    """
    from yelp_stars.reading.lines import known_encoding

    try:
        encoding = known_encoding(encoding)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--encoding") from None
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n\0'):
        raise typer.BadParameter("should be one character", param_hint="--delimiter")
    return encoding
