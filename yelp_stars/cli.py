"""The command `stars`. Each command imports its module when it is called: help must be fast."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from yelp_stars.commands.doctor.command import doctor
from yelp_stars.commands.predict.command import predict
from yelp_stars.commands.search.command import curve, search, seeds
from yelp_stars.commands.show import show
from yelp_stars.pipeline.entrypoint import explain
from yelp_stars.pipeline.errors import UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ANYWHERE = {"predict", "serve"}  # commands that need a model, not the project


@app.callback()
def in_project(context: typer.Context) -> None:
    """Presets, parameters and scores of this project, beside the commands of DVC.

    \b
    Examples:
      stars show                  the scores of the last run
      stars use                   the presets
      stars use cpu               copy presets/cpu.yaml over params.yaml
      stars params train          what the parameters of a section mean
      stars compare main slow     is the second run better, and how sure is that?
      stars plots main slow       their curves in one picture
      stars seeds 5               how much chance alone changes
      stars predict reviews.csv   the stars of each review
      stars serve                 the model over HTTP, and a page to try it
      stars doctor                what is wrong with the project, and what mends it
    """  # noqa: D301
    anywhere = context.invoked_subcommand in ANYWHERE
    if not anywhere and not (Path("dvc.yaml").is_file() and Path("stages").is_dir()):
        raise UserError(
            f"{str(Path.cwd())!r} is not the project's folder: it has no dvc.yaml and no stages/; "
            f"run `stars` where dvc.yaml is"
        )


app.command()(show)


@app.command()
def use(
    preset: Annotated[str | None, typer.Argument(help="A file of presets/, without .yaml")] = None,
    force: Annotated[bool, typer.Option("--force", help="Discard uncommitted changes")] = False,
) -> None:
    """List the presets, or copy one to params.yaml.

    Lists the stages that will run. Refuses to overwrite uncommitted edits, unless --force.

    \b
    Examples:
      stars use
      stars use notebook
    """  # noqa: D301
    from yelp_stars.commands import presets

    if preset is None:
        presets.list_presets()
    else:
        presets.use_preset(preset, force)


@app.command()
def params(
    section: Annotated[str | None, typer.Argument(help="A stage, such as train")] = None,
) -> None:
    """Explain the parameters and show their values.

    A * marks what differs from the closest preset.

    \b
    Examples:
      stars params
      stars params train
    """  # noqa: D301
    from yelp_stars.commands import presets

    presets.print_params(section)


@app.command()
def compare(
    revisions: Annotated[
        list[str], typer.Argument(help="Revisions, experiments, or workspace; REV:baseline")
    ],
    margin: Annotated[
        float, typer.Option(help="Accuracies closer than this are equivalent")
    ] = 0.01,
    texts: Annotated[
        int, typer.Option(min=0, help="Print so many reviews of each kind of change")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request")
    ] = False,
    fail_if: Annotated[
        str | None,
        typer.Option(help="Exit with 3 if this holds for the difference: 'accuracy < -0.01'"),
    ] = None,
) -> None:
    """Compare the test predictions of two or more runs, row by row.

    Is the second better than the first, how sure is that, and what changed? More than two are
    ranked; those that differ only in their seeds are one group.

    \b
    Examples:
      stars compare main workspace
      stars compare main slow --texts 5
      stars compare HEAD:baseline HEAD
      stars compare main slow --fail-if 'accuracy < -0.01'
    """  # noqa: D301
    from yelp_stars.commands.compare import command

    failed = command.run(
        revisions,
        margin=margin,
        texts=texts,
        as_json=as_json,
        as_markdown=as_markdown,
        fail_if=fail_if,
    )
    if failed:
        print(f"{fail_if} holds: exit code 3", file=sys.stderr)
        raise typer.Exit(3)


for command in (predict, doctor, seeds, search, curve):
    app.command()(command)


@app.command()
def serve(
    model: Annotated[Path, typer.Option(help="Folder of the model")] = Path("models/finetuned"),
    host: Annotated[str, typer.Option(help="Address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8000,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], typer.Option(help="fp16 needs CUDA")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Cores; all by default")] = None,
    max_texts: Annotated[int, typer.Option(min=1, help="Texts in a request")] = 64,
    max_body: Annotated[int, typer.Option(min=100, help="Bytes in a request")] = 1_000_000,
    max_connections: Annotated[int, typer.Option(min=1, help="More get 503")] = 256,
) -> None:
    """Serve a model over HTTP: POST /predict, a page to try it, /docs.

    \b
    Examples:
      stars serve
      stars serve --model DIR --port 8080
    """  # noqa: D301
    if not host:  # the system would take it for all addresses of this machine
        raise typer.BadParameter(
            "is empty: give an address, such as 127.0.0.1", param_hint="--host"
        )
    try:
        from yelp_stars.commands.serve import server as serving
    except ImportError:
        raise UserError("FastAPI is not installed; run `pip install -e '.[serve]'`") from None
    from yelp_stars import load_classifier

    classify = load_classifier(model, precision=precision, threads=threads)
    limits = serving.Limits(max_texts, max_body, max_connections)
    serving.run(classify, model, host, port, limits)


@app.command()
def release(
    version: Annotated[str, typer.Argument(help="Such as v1.0.0")],
) -> None:
    """Register the model of this commit as a version, its scores in the tag's message.

    \b
    Examples:
      stars release v1.0.0
    """  # noqa: D301
    from yelp_stars.commands import release as releasing

    releasing.run(version)


@app.command()
def plots(
    revisions: Annotated[
        list[str] | None, typer.Argument(help="Revisions or experiments to draw together")
    ] = None,
) -> None:
    """Draw the plots of the last run, or of several, in a page that opens without a network.

    \b
    Examples:
      stars plots
      stars plots main slow
    """  # noqa: D301
    from yelp_stars.commands import plots

    plots.run(revisions or [])


def main() -> None:
    """Run the command line; a user error is one line and exit code 1."""
    # The wheel holds no stages: those of the current folder count.
    sys.path.insert(0, str(Path.cwd()))
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno is None:
            raise
        sys.exit(f"error: {explain(error)}")


if __name__ == "__main__":
    main()
