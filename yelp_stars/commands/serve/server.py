"""`stars serve`: a model over HTTP, in the shape of text-embeddings-inference, and a page.

One model, computed in one worker thread, so that the event loop never waits for it.
"""

import asyncio
import base64
import copy
import errno
import functools
import hashlib
import importlib.metadata
import json
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field, PositiveInt
from scipy.special import expit
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from yelp_stars.classifier.classify import Classifier, Prediction, Scores, fingerprint, validated
from yelp_stars.commands.runs.git import ask_git
from yelp_stars.commands.serve import table
from yelp_stars.commands.serve.arriving import Connection, whole
from yelp_stars.commands.serve.observing import MODEL, observed
from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.pipeline.files import read_object
from yelp_stars.pipeline.text import printable, quoted

PAGE = Path(__file__).with_name("page.html")
DRAIN_SECONDS = 30  # for requests that are being answered when the server stops
PROVENANCE = ("source", "sha256", "files", "repo", "revision")  # of metrics/data.json
LABELS = ("model_id", "model_sha256", "precision", "commit")  # of the model, in /metrics
VERSIONS = ("yelp-stars", "tokenizers", "fastapi")  # and of what computes
EXAMPLE = {"examples": [{"inputs": "The soup was cold."}]}
KEPT: dict[str, Any] = {"left": "tail", "right": "head"}
CSV: dict[str, Any] = {"requestBody": {"content": {"text/csv": {"schema": {"type": "string"}}}}}
SENT = ("Authorization", "Content-Type", "X-Request-ID")  # headers of pages of other origins
OPEN = ("/", "/health", "/docs", "/docs/oauth2-redirect")  # to a GET without the token
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
MD5 = functools.partial(hashlib.md5, usedforsecurity=False)


class Texts(BaseModel, extra="forbid", json_schema_extra=EXAMPLE):
    """A request with one text, or several."""

    inputs: str | Annotated[list[str | tuple[str]], Field(min_length=1)]
    """Text, list of texts, or list of lists of one text."""
    truncate: bool | None = None
    """Truncate texts that are longer than the model's limit, the default; false refuses them."""
    truncation_direction: Literal["Left", "Right", "left", "right"] | None = None
    """Right keeps the first tokens, left the last; default: as in training."""


class Parameters(BaseModel, extra="forbid"):
    top_k: PositiveInt | None = None
    """Number of labels to return; default: all."""
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None
    """Default: softmax, with the model's temperature. The others apply to its logits."""


class RankedTexts(Texts):
    """A request as text-embeddings-inference or `InferenceClient` sends it."""

    raw_scores: bool | None = None  # logits instead of probabilities
    parameters: Parameters = Parameters()


class LabelScore(BaseModel):
    """A label with its probability."""

    label: str
    score: float


def make_app(
    classify: Classifier,
    described: dict[str, Any],
    max_texts: int,
    max_requests: int,
    token: str | None = None,
    origins: Sequence[str] = (),
    report: bytes | None = None,
) -> FastAPI:
    """Make the application; `described` is the answer of /info."""
    # One request after the other, each on all cores. To compute those of 8 clients together gave
    # 65 texts/s instead of 72 on two cores: texts of different lengths are padded.
    worker = ThreadPoolExecutor(1, "model")
    places, turn = asyncio.Semaphore(max_requests), asyncio.Lock()

    async def admit(http: Request, given: Bearer) -> None:
        sent, expected = given.credentials if given else "", token or ""
        is_right = secrets.compare_digest(sent.encode(), expected.encode())  # in constant time
        if not is_right and not (http.method == "GET" and http.scope["route"].path in OPEN):
            problem = "no token, or a wrong one: send the header Authorization: Bearer TOKEN"
            raise HTTPException(401, problem, {"WWW-Authenticate": "Bearer"})

    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        title="yelp-stars",
        version=importlib.metadata.version("yelp-stars"),
        description=f"The label of a {classify.noun}.",
        dependencies=[] if token is None else [Depends(admit)],
    )
    if origins:
        app.add_middleware(
            CORSMiddleware, origins, ("GET", "POST"), SENT, expose_headers=["X-Request-ID"]
        )
    MODEL.info({name: value or "" for name, value in described.items() if name in LABELS})
    page, policy = read_page()
    page = page if report is None else page.replace(' hidden href="report"', ' href="report"')

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if isinstance(error.body, bytes):  # not read as JSON
            kind = quoted(request.headers.get("content-type", ""))
            return JSONResponse({"detail": f"Content-Type is {kind}; send application/json"}, 415)
        # Of what was sent, only the names of fields: the rest may not be text that JSON can hold.
        problems = [
            {"loc": [printable(part, 80) for part in problem["loc"]], "msg": problem["msg"][:200]}
            for problem in error.errors()[:10]
        ]
        return JSONResponse({"detail": problems}, 422)

    @app.exception_handler(UserError)
    async def refused(request: Request, error: UserError) -> JSONResponse:
        code = 422 if isinstance(error, BadRow) else 503  # too little memory
        return JSONResponse({"detail": str(error)}, code)

    async def compute(http: Request, function: Callable[..., Any], *given: Any) -> Any:
        if places.locked():
            problem = f"{max_requests} requests are in progress"
            raise HTTPException(503, problem, {"Retry-After": "1"})
        async with places, turn:
            if await http.is_disconnected():  # while it waited for its turn
                raise HTTPException(499, "the client has gone")
            return await asyncio.get_running_loop().run_in_executor(worker, function, *given)

    async def answers(http: Request, request: Texts, function: str = "softmax") -> Scores:
        inputs = [request.inputs] if isinstance(request.inputs, str) else request.inputs
        if len(inputs) > max_texts:
            raise HTTPException(413, f"{len(inputs)} texts; the limit is {max_texts} per request")
        texts = validated([one if isinstance(one, str) else one[0] for one in inputs])
        if blank := [number for number, text in enumerate(texts) if not text.strip()]:
            raise HTTPException(422, f"text {blank[0]} is empty; remove it")
        found: Scores = await compute(http, score, classify, texts, request, function)
        http.state.texts = len(texts)
        return found

    @app.post("/predict", summary="Score of each label, the highest first")
    @app.post("/", include_in_schema=False)  # where an InferenceClient with our address asks
    async def predict(http: Request, request: RankedTexts) -> list[list[LabelScore]]:
        function, top_k = request.parameters.function_to_apply, request.parameters.top_k
        if request.raw_scores and function not in (None, "none"):
            raise HTTPException(422, f"raw_scores contradicts function_to_apply {function!r}")
        chosen = function or ("none" if request.raw_scores else "softmax")
        found = await answers(http, request, chosen)
        rows = [zip(classify.label_names, row) for row in found.probabilities.tolist()]
        ranked = [sorted(row, key=lambda item: -item[1])[:top_k] for row in rows]
        return [[LabelScore(label=label, score=score) for label, score in row] for row in ranked]

    @app.post("/classify", summary="Label, probabilities, range, and whether a text was truncated")
    async def classified(http: Request, request: Texts) -> list[Prediction]:
        return classify.predictions(await answers(http, request))

    @app.post("/csv", summary="A CSV file with the predicted columns added", openapi_extra=CSV)
    async def predicted_file(http: Request) -> Response:
        kind = http.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() != "text/csv":
            raise HTTPException(415, f"Content-Type is {quoted(kind)}; send text/csv")
        header, rows = table.read(await http.body(), classify.origin)
        parts, content = table.predict(classify, header, rows, max_texts), b""
        # Other requests are computed in between.
        while part := await compute(http, next, parts, b""):
            content += part
        http.state.texts = len(rows)
        return Response(content, media_type="text/csv")

    @app.get("/health", summary="Whether the model is loaded")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics", summary="Counters for Prometheus")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/info", summary="Model, scores with intervals, and versions")
    async def info() -> dict[str, Any]:
        return described

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    @app.get("/report", include_in_schema=False)
    async def reported() -> HTMLResponse:
        if report is None:
            raise HTTPException(404)
        # Besides its own policy: its scripts reach nothing of this server.
        return HTMLResponse(report, headers={"Content-Security-Policy": "sandbox allow-scripts"})

    return app


def score(model: Classifier, texts: list[str], request: Texts, function: str) -> Scores:
    """Score texts; other functions than softmax give logits in the place of probabilities."""
    if request.truncation_direction is not None:
        model = copy.copy(model)
        model.cut = model.cut._replace(truncation=KEPT[request.truncation_direction.lower()])
    scores = model.scores(texts)
    if request.truncate is False and scores.truncated.any():
        first, limit = scores.truncated.argmax(), model.cut.max_length
        raise HTTPException(413, f"text {first} has more than {limit} tokens")
    if function == "softmax":
        return scores
    logits = scores.logits
    return scores._replace(probabilities=expit(logits) if function == "sigmoid" else logits)


def read_page() -> tuple[str, str]:
    """Read the page, and allow it its own script and style and this server: its policy."""
    page, policy = PAGE.read_text(encoding="utf-8"), "default-src 'none'; "
    for tag in ("script", "style"):
        content = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        policy += f"{tag}-src 'sha256-{digest}'; "
    policy += "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    return page, f"{policy}frame-ancestors 'none'"


def describe(folder: Path, classify: Classifier) -> dict[str, Any]:
    """Describe the model for /info: labels, cut, precision, commit, data, scores, versions."""
    manifest = _read(folder, "metrics/data.json")
    return {
        "model_id": folder.resolve().name,
        "model_sha256": fingerprint(folder),
        "noun": classify.noun,
        "text_column": str(classify.origin.text_column),
        "labels": classify.label_names,
        "max_input_length": classify.cut.max_length,
        "truncation": classify.cut.truncation,
        "precision": classify.engine.precision,
        "calibration": None if classify.fitted is None else classify.fitted._asdict(),
        "commit": made_by(folder),
        "data": {name: manifest[name] for name in PROVENANCE if name in manifest},
        "test_scores": _read(folder, "metrics/evaluation.json").get("scores"),
        "versions": {
            name: importlib.metadata.version(name) for name in VERSIONS + classify.engine.packages
        },
    }


def made_by(folder: Path) -> str | None:
    """Return the first commit whose dvc.lock has this model, None if there is none.

    Only the repository of the working folder is asked: git runs programs that the settings of a
    repository name, and a model may come with a repository of its own.
    """
    if not (Path("dvc.lock").is_file() and folder.resolve().is_relative_to(Path.cwd())):
        return None
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    files = [{"md5": _hash(folder / name), "relpath": name.as_posix()} for name in names]
    change = f"-S{MD5(json.dumps(files).encode()).hexdigest()}.dir"
    safe = ("-c", "safe.bareRepository=explicit", "-c", "log.showSignature=false")
    log = (*safe, "log", "--no-textconv", "--format=%H", change)
    found = ask_git(*log, "--", ":(top)*dvc.lock")
    return found.splitlines()[-1] if found else None


def _hash(path: Path) -> str:
    """Hash a file as DVC does, which a machine that only predicts may lack."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, MD5).hexdigest()


def _read(folder: Path, name: str) -> dict[str, Any]:
    """Read a metrics file of the project whose model this is; any other folder has none."""
    if folder.resolve().parts[-2:] != ("models", "finetuned"):  # others have other scores
        return {}
    return read_object(folder.resolve().parents[1] / name)


def run(app: FastAPI, host: str, port: int, max_body: int, root_path: str, log: bool) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer the requests that have come."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        family, _, protocol, _, address = min(found)  # IPv4 first
        # With the protocol: without it asyncio leaves Nagle's algorithm on, 40 ms for every answer.
        listening = socket.socket(family, socket.SOCK_STREAM, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)  # who asks from now on waits for the server
    except (OSError, UnicodeError) as error:
        taken = getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES)
        advice = f"choose another {'--port' if taken else '--host'}"
        problem = f"cannot listen on {quoted(host)}, port {port} ({error})"
        raise UserError(problem, advice=advice) from None
    shown = f"[{address[0]}]" if ":" in host else host
    out = sys.stderr if log else sys.stdout  # a log has nothing but JSON
    print(f"http://{shown}:{listening.getsockname()[1]}", file=out, flush=True)
    # An attacker's site can have its name point here, and send it (DNS rebinding). Only who listens
    # on all addresses knows under which names.
    everywhere = address[0] in ("0.0.0.0", "::")  # noqa: S104
    names = ["*"] if everywhere else ["localhost", "127.0.0.1", "[::1]", shown]
    trusting = TrustedHostMiddleware(app, names, www_redirect=False)
    routes = {getattr(route, "path", "") for route in app.routes}
    config = uvicorn.Config(
        observed(whole(trusting, max_body), routes, log),
        http=Connection,
        ws="none",
        lifespan="off",
        root_path=root_path,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[listening])
