"""Define the arguments of `stars serve`. FastAPI is imported when it is called."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted


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
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages of https://example.org ask; repeatable"),
    ] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Print a JSON line for each request")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Report to link from the page: reports/index.html"
        ),
    ] = None,
) -> None:
    """Serve a model over HTTP: POST /predict, /docs, a page to try.

    It also has /metrics for Prometheus. If the environment variable STARS_TOKEN is set, requests
    need it as their bearer token.

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
    for origin in cors_origin or ():
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?", origin):
            problem = f"{quoted(origin)} is no origin such as https://example.org"
            raise typer.BadParameter(problem, param_hint="--cors-origin")
    token = os.environ.get("STARS_TOKEN")
    if token is not None and not re.fullmatch(r"[\w.~+/-]+=*", token, re.ASCII):
        problem = "STARS_TOKEN is empty, or has other characters than letters, digits and -._~+/="
        raise UserError(problem, advice="set it to the output of `openssl rand -hex 32`")
    if report is not None and token is not None:
        problem = "needs a server without STARS_TOKEN: a browser follows links without a token"
        raise typer.BadParameter(problem, param_hint="--report")
    print("loading the model", file=sys.stderr)  # before the imports, which take seconds
    try:
        from yelp_stars.commands.serve import server as serving
        from yelp_stars.commands.serve.table import MAX_ROWS
    except ImportError:
        advice = "run `pip install fastapi fastapi-offline uvicorn prometheus-client`"
        raise UserError("the extra serve is not installed", advice=advice) from None
    from yelp_stars import load_classifier

    html = None if report is None else report.read_bytes()
    classify = load_classifier(model, precision=precision, threads=threads)
    described = serving.describe(model, classify)
    described["limits"] = {"texts": max_texts, "bytes": max_body, "rows": MAX_ROWS}
    origins = cors_origin or ()
    app = serving.make_app(classify, described, max_texts, max_requests, token, origins, html)
    serving.run(app, host, port, max_body, root_path, access_log)
