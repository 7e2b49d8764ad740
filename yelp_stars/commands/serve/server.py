"""`stars serve`: a model over HTTP, in the shape of text-embeddings-inference, and a page.

One model, computed in one worker thread, so that the event loop never waits for it.
"""

import asyncio
import base64
import hashlib
import importlib.metadata
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field

from yelp_stars.classifier.classify import Classifier, Prediction, fingerprint, validated
from yelp_stars.commands.runs.git import ask_git
from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.pipeline.files import read_object
from yelp_stars.pipeline.text import quoted

PAGE = Path(__file__).with_name("page.html")
DRAIN_SECONDS = 30  # for requests that are being answered when the server stops
PROVENANCE = ("source", "sha256", "files", "repo", "revision")  # of metrics/data.json
VERSIONS = ("yelp-stars", "torch", "transformers", "tokenizers", "fastapi")


class Texts(BaseModel):
    """A request with one text, or several."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"inputs": "The soup was cold."}]})

    inputs: str | Annotated[list[str], Field(min_length=1)]
    """Text, or list of texts."""
    truncate: bool = True
    """Truncate texts that are longer than the model's limit; false refuses them."""


class LabelScore(BaseModel):
    """A label with its probability."""

    label: str
    score: float


def make_app(
    classify: Classifier, described: dict[str, Any], max_texts: int, max_body: int
) -> FastAPI:
    """Make the application; `described` is the answer of /info."""
    # One request after the other, each on all cores. To compute those of 8 clients together gave
    # 65 texts/s instead of 72 on two cores: texts of different lengths are padded.
    worker = ThreadPoolExecutor(1, "model")

    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        title="yelp-stars",
        version=importlib.metadata.version("yelp-stars"),
        description=f"The label of a {classify.noun}.",
        max_body_size=max_body,
    )
    page, policy = read_page()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # Without what was sent: it may not be text that JSON can hold.
        problems = [
            {"loc": [str(part)[:80] for part in problem["loc"]], "msg": problem["msg"][:200]}
            for problem in error.errors()[:10]
        ]
        return JSONResponse({"detail": problems}, 422)

    async def answers(request: Texts) -> list[Prediction]:
        texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        if len(texts) > max_texts:
            raise HTTPException(413, f"{len(texts)} texts; the limit is {max_texts} per request")
        try:
            texts = validated(texts)
        except BadRow as error:
            raise HTTPException(422, str(error)) from None
        loop = asyncio.get_running_loop()
        if not request.truncate:
            tokens = await loop.run_in_executor(worker, classify.encode, texts)
            if tokens.truncated.any():
                first, limit = tokens.truncated.argmax(), classify.cut.max_length
                raise HTTPException(413, f"text {first} has more than {limit} tokens")
        return await loop.run_in_executor(
            worker, lambda: classify.predictions(classify.scores(texts))
        )

    @app.post("/predict", summary="Probability of each label, most likely first")
    async def predict(request: Texts) -> list[list[LabelScore]]:
        ranked = [
            sorted(prediction.probabilities.items(), key=lambda item: -item[1])
            for prediction in await answers(request)
        ]
        return [[LabelScore(label=label, score=score) for label, score in row] for row in ranked]

    @app.post("/classify", summary="Label, probabilities, range, and whether a text was truncated")
    async def classified(request: Texts) -> list[Prediction]:
        return await answers(request)

    @app.get("/health", summary="Whether the model is loaded")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/info", summary="Model, scores with intervals, and versions")
    async def info() -> dict[str, Any]:
        return described

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    return app


def read_page() -> tuple[str, str]:
    """Read the page, and allow it its own script and style and this server: its policy."""
    page = PAGE.read_text(encoding="utf-8")
    allowed = {}
    for tag in ("script", "style"):
        content = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        allowed[tag] = f"'sha256-{digest}'"
    return page, (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; "
        f"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'"
    )


def describe(folder: Path, classify: Classifier) -> dict[str, Any]:
    """Describe the model for /info: labels, cut, precision, commit, data, scores, versions."""
    manifest = _read(folder, "metrics/data.json")
    return {
        "model_id": folder.name,
        "model_sha256": fingerprint(folder),
        "noun": classify.noun,
        "labels": classify.label_names,
        "max_input_length": classify.cut.max_length,
        "truncation": classify.cut.truncation,
        "precision": classify.resolved.precision,
        "calibration": None if classify.fitted is None else classify.fitted._asdict(),
        "commit": ask_git("rev-parse", "HEAD", folder=folder) or None,
        "data": {name: manifest[name] for name in PROVENANCE if name in manifest},
        # A hash of each file, where there are several.
        "data_sha256": manifest.get("sha256") or manifest.get("files"),
        "test_scores": _read(folder, "metrics/evaluation.json").get("scores"),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
    }


def _read(folder: Path, name: str) -> dict[str, Any]:
    """Read a metrics file of the project whose model this is; any other folder has none."""
    if folder.resolve().parts[-2:] != ("models", "finetuned"):  # others have other scores
        return {}
    return read_object(folder.resolve().parents[1] / name)


def run(app: FastAPI, host: str, port: int, max_connections: int) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer the requests that have come."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol: without it asyncio leaves Nagle's algorithm on, 40 ms for every answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(1024)  # who asks from now on waits for the server
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {quoted(host)}, port {port} ({error}); choose another --port"
        ) from None
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    print(f"http://{shown}:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app,
        limit_concurrency=max_connections,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[listening])
