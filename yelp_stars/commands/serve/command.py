"""Define the arguments of `stars serve`. FastAPI is imported when it is called."""

import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from yelp_stars.pipeline.errors import UserError


def serve(
    model: Annotated[Path, typer.Option(help="Folder of the model")] = Path("models/finetuned"),
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one")
    ] = 8000,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], typer.Option(help="Number format; fp16 needs CUDA")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Cores to use; default: all")] = None,
    max_texts: Annotated[int, typer.Option(min=1, help="Maximum texts per request")] = 64,
    max_body: Annotated[int, typer.Option(min=100, help="Maximum bytes per request")] = 1_000_000,
    max_requests: Annotated[
        int, typer.Option(min=1, help="Maximum requests in progress; further ones get 503")
    ] = 256,
    root_path: Annotated[
        str, typer.Option(help="Path below which a proxy serves it, such as /stars")
    ] = "",
) -> None:
    """Serve a model over HTTP: POST /predict, /docs, a page to try.

    \b
    Examples:
      stars serve
      stars serve --model DIR --port 8080
    """  # noqa: D301
    if not host:  # the system would take it for all addresses of this machine
        raise typer.BadParameter(
            "is empty; give an address, such as 127.0.0.1", param_hint="--host"
        )
    if not re.fullmatch(r"(/[\w.~-]+)*", root_path, re.ASCII):
        raise typer.BadParameter("is no path such as /stars", param_hint="--root-path")
    print("loading the model", file=sys.stderr)  # before the imports, which take seconds
    try:
        from yelp_stars.commands.serve import server as serving
    except ImportError:
        raise UserError("FastAPI is not installed; run `pip install -e '.[serve]'`") from None
    from yelp_stars import load_classifier

    classify = load_classifier(model, precision=precision, threads=threads)
    described = serving.describe(model, classify)
    app = serving.make_app(classify, described, max_texts, max_requests)
    serving.run(app, host, port, max_body, root_path)
