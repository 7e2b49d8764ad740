"""Latency and texts per second of `stars serve`, beside FastAPI with a transformers pipeline.

`python -m benchmarks.serving` serves models/finetuned in both ways in turn, asks with 1, 8 and 64
clients over loopback, and writes benchmarks/SERVING.md. About four minutes.
"""

import http.client
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.workspace import ROOT
from yelp_stars.data import arrow

MODEL = ROOT / "models" / "finetuned"
CLIENTS = (1, 8, 64)
SECONDS = 8  # of each measurement
TURNS = 3
# What most people write: a pipeline in a function that FastAPI runs in its pool of threads.
PEER = """
import sys, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline
classify = pipeline("text-classification", model=sys.argv[1], truncation=True, top_k=None)
app = FastAPI()
class Texts(BaseModel):
    inputs: str
@app.post("/predict")
def predict(request: Texts):
    return classify([request.inputs])
@app.get("/health")
def health():
    return "ok"
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning")
"""
SERVERS = {
    "stars serve, fp32": ["-m", "yelp_stars.cli", "serve", "--precision", "fp32", "--port"],
    "FastAPI and pipeline": ["-c", PEER, str(MODEL)],
}
PORT = 8397


def ask(number: int, texts: list[str], until: float) -> list[float]:
    """Ask one text after the other over one connection; the seconds of each answer."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    found: list[float] = []
    while time.monotonic() < until:
        text = texts[(number * 997 + len(found)) % len(texts)]
        started = time.monotonic()
        body = json.dumps({"inputs": text})
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        if answer.status != 200 or len(content[0]) < 2:
            raise SystemExit(f"an answer with the status {answer.status}")
        found.append(time.monotonic() - started)
    return found


def memory(process: int) -> int:
    """Peak resident memory of a process, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def measure(command: list[str], texts: list[str]) -> dict[int, tuple[float, float, float, int]]:
    """For each number of clients: p50 and p99 in ms, texts/s, peak memory in MB."""
    server = subprocess.Popen([sys.executable, *command, str(PORT)], stdout=subprocess.DEVNULL)
    try:
        while True:
            time.sleep(0.2)
            connection = http.client.HTTPConnection("127.0.0.1", PORT)
            try:
                connection.request("GET", "/health")
                connection.getresponse().read()
                break
            except ConnectionError:
                continue
        ask(0, texts, time.monotonic() + 2)  # warm up
        found = {}
        for clients in CLIENTS:
            until = time.monotonic() + SECONDS
            with ThreadPoolExecutor(clients) as pool:
                answers = pool.map(
                    lambda number, end=until: ask(number, texts, end), range(clients)
                )
                seconds = np.concatenate([np.array(part) for part in answers])
            p50, p99 = np.quantile(seconds, (0.5, 0.99)) * 1000
            found[clients] = (p50, p99, len(seconds) / SECONDS, memory(server.pid))
        return found
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    texts = arrow.read(ROOT / "data" / "raw" / "test.arrow")["text"].to_pylist()
    turns = [
        {name: measure(command, texts) for name, command in SERVERS.items()} for _ in range(TURNS)
    ]
    lines = [
        "# Serving",
        "",
        f"`python -m benchmarks.serving`: {describe_machine('torch', 'transformers', 'fastapi')}.",
        "The quickstart's model and test reviews, one text a request, both in fp32; medians of "
        f"{TURNS} turns of {SECONDS} s. The clients run on the same cores.",
        "",
        "| clients | server | p50, ms | p99, ms | texts/s | peak memory, MB |",
        "|---|---|---|---|---|---|",
    ]
    for clients in CLIENTS:
        for name in SERVERS:
            columns = zip(*(turn[name][clients] for turn in turns))
            p50, p99, rate, peak = (statistics.median(column) for column in columns)
            lines.append(
                f"| {clients} | {name} | {p50:,.0f} | {p99:,.0f} | {rate:,.1f} | {peak:,.0f} |"
            )
    text = "\n".join(lines) + "\n"
    (ROOT / "benchmarks" / "SERVING.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
