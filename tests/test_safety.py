"""What others name and write starts nothing: not by a launcher, not by advice that is followed."""

import ast
import contextlib
import re
import shlex
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dvc.config_schema import RelPath
from helpers import ROOT, edit, fails, run, stars
from hypothesis import given
from hypothesis import strategies as st

from stages.external import advice_in_a_copy
from yelp_stars.checkpoint.find import find_in_package
from yelp_stars.commands.doctor import imports, leftovers, tracking
from yelp_stars.commands.runs.remotes import no_answer
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import reading
from yelp_stars.pipeline.params import check, stage_models
from yelp_stars.pipeline.text import shell_word
from yelp_stars.pipeline.yaml_file import read_yaml

CODE = [
    path
    for folder in ("yelp_stars", "stages")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "`" in path.read_text("utf-8")
]


@pytest.mark.parametrize("backend", ["c10d", "etcd"])
def test_a_host_in_params_yaml_is_not_asked_what_to_unpickle(data_project, backend):
    # torchrun unpickles what the host of its rendezvous answers.
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        launcher = f"torchrun --nnodes 2 --rdzv-backend {backend} --rdzv-endpoint {address}"
        edit(data_project, "train", launcher=launcher)
        command = ("python", "-m", "stages.train", *"abcdefg")
        message = fails(*command, cwd=data_project)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert "train.launcher is not a parameter: set the environment variable STARS_LAUN" in message


LOADERS = {
    "load_finetuned": "from yelp_stars.modeling.inference import load_finetuned as load; "
    "from yelp_stars.modeling.compute import Compute; load(folder, Compute('fp32', '', None))",
    "read_config": "from yelp_stars.checkpoint.architecture import read_config as load; "
    "load(folder)",
    "tokenizer": "from yelp_stars.checkpoint.architecture import load_auto_tokenizer as load; "
    "load(folder)",
    "frozen": "from yelp_stars.baseline.frozen import MeanPooled; MeanPooled(folder)",
}


@pytest.mark.slow
@pytest.mark.parametrize("loader", LOADERS)
def test_a_model_folder_that_is_missing_is_not_asked_of_the_hub(tmp_path, loader):
    # transformers takes "models/finetuned" for the name of somebody's repository.
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        code = f"from pathlib import Path; folder = Path('models/finetuned'); {LOADERS[loader]}"
        hub = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"}
        message = run("python", "-c", code, cwd=tmp_path, ok=False, **hub)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert "Missing: no folder 'models/finetuned'; run `dvc repro` or `dvc pull`" in message


# --- Advice ---------------------------------------------------------------------------------------


def names_in(node: ast.AST) -> set[str]:
    return {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}


def between_backticks(tree: ast.Module) -> Iterator[ast.expr]:
    """The values that f-strings put into commands; not numbers with a format, nor constants."""
    for node in ast.walk(tree):
        inside = False
        for part in node.values if isinstance(node, ast.JoinedStr) else ():
            if isinstance(part, ast.Constant):
                inside ^= part.value.count("`") % 2 == 1
            elif inside and not part.format_spec and not ast.unparse(part.value).isupper():
                yield part.value


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_value_in_an_advised_command_is_quoted(path):
    values = between_backticks(ast.parse(path.read_text("utf-8")))
    unquoted = {ast.unparse(value) for value in values if "shell_word" not in names_in(value)}
    # Python, not a command of a shell; the hash of a commit; Markdown.
    assert unquoted <= {"strip", "commit[:12]", "part"}


NAMES = [
    "x; touch P #", "$(touch P)", "-rf", "a'b; touch P", 'a" ; touch P "', "x\\", "&& touch P",
    "\x1b[31m; touch P", "x" * 300 + "; touch P", "'" * 200 + "; touch P #",
]  # fmt: skip


@given(st.text() | st.sampled_from(NAMES))
def test_any_value_is_one_word_and_no_option(value):
    command, word, last = shlex.split(f"rm {shell_word(value)} last")
    assert (command, last) == ("rm", "last")
    assert not word.startswith("-")
    if len(value) < 28:
        assert word.removeprefix("./") == value.removeprefix("./")


def raised(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


def in_a_copy(name: str) -> None:
    copy = Path(".dvc", "tmp", "exps", "tmp1").absolute()
    copy.mkdir(parents=True)
    with contextlib.chdir(copy), advice_in_a_copy(Path(name)):
        raise UserError("no file")


def damaged(name: str) -> None:
    with reading(Path(name)):
        raise ValueError


def not_python(name: str) -> None:
    Path(f"{name}.py").write_text("(")
    imports.imported(Path(f"{name}.py"))


MESSAGES: dict[str, Callable[[str], str]] = {
    "package": lambda name: raised(lambda: find_in_package(name, "")),
    "remote": lambda name: str(no_answer(name, "it is down")),
    "doctor": lambda name: stars("doctor", "--", name),
    "copy": lambda name: raised(lambda: in_a_copy(name)),
    "damaged": lambda name: raised(lambda: damaged(name)),
    "not Python": lambda name: raised(lambda: not_python(name)),
    "leftovers": lambda name: leftovers._remove([Path(name)] * 3),
    "relative remote": lambda name: [*tracking.check_remotes({name: {"url": RelPath(name)}})][-1],
    "your files": lambda name: next(tracking.check_your_files([])),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", MESSAGES)
def test_advice_with_any_name_in_it_is_the_command_that_it_looks_like(
    tmp_path, monkeypatch, kind, name
):
    monkeypatch.chdir(tmp_path)
    for folder in ("stages", "data/external"):
        Path(folder).mkdir(parents=True)
    Path("dvc.yaml").touch()
    if kind in ("relative remote", "your files"):
        run("git", "init", "-q", cwd=tmp_path)
        run("git", "commit", "-q", "--allow-empty", "-m", "start", cwd=tmp_path)
    if len(name) > 250 and kind in ("your files", "not Python"):
        pytest.skip("the system has no files of that name")
    if kind == "your files":
        Path("data", "external", name).touch()
    message = MESSAGES[kind](name)
    commands = re.findall("`([^`]*)`", message)
    assert commands
    for command in commands:
        words = shlex.split(command)
        assert words[0] in ("dvc", "stars", "git", "pip", "rm", "chmod"), words
        assert not {"touch", "P", "&&", ";", "-rf"} & {*words[3:]}, words


@pytest.mark.parametrize("name", NAMES[:5])
def test_a_section_that_is_unknown_is_named_without_advice_that_runs(data_project, name):
    tree = read_yaml(Path("params.yaml")) | {name: {}}
    assert "`" not in raised(lambda: check(tree, stage_models(), "params.yaml"))


# --- The comment under a pull request -------------------------------------------------------------


@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]
)
def test_no_line_of_a_parameter_leaves_the_indented_block_of_the_comment(end):
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert {*re.findall(r"dvc \w+ diff .*", workflow)} == {
        f'dvc {kind} diff "$BASE" HEAD | indent' for kind in ("metrics", "params")
    }
    (indent,) = re.findall(r"indent\(\) \{.*\}", workflow)
    evil = f"train.x  a好{end}### injected{end}{end}@octocat\x1b[31m\n"
    command = ("bash", "-c", f'{indent}; printf %s "$EVIL" | indent')
    shown = run(*command, cwd=ROOT, EVIL=evil)
    assert all(line.startswith("    ") for line in shown.splitlines())
    assert "a好" in shown
    assert "\x1b" not in shown
