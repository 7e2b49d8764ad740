"""Runs are read at any revision: by hash, from the cache, without a checkout."""

import errno
import hashlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import runs
from dvc.api import DVCFileSystem
from helpers import run, stars
from small import MODEL, dvc, overwrite

from benchmarks.workspace import commit
from yelp_stars.classifier.classify import fingerprint
from yelp_stars.commands.runs import revisions
from yelp_stars.pipeline.errors import Damaged, Missing, UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two runs, `base` and `better`, with texts; then `latest`, with flags and a baseline."""
    repo = runs.new_repo(tmp_path_factory.mktemp("revisions") / "repo")
    run("git", "tag", "early", cwd=repo)
    texts = [runs.text(row) for row in range(400)]
    runs.add_run(repo, "base", runs.predicted(1.0), texts=texts)
    runs.add_run(repo, "better", runs.predicted(2.0), train={"learning_rate": 5e-5})
    flags = {"leak": [row % 4 == 0 for row in range(400)]}
    latest = runs.predicted(1.5)
    runs.add_run(repo, "latest", latest, texts=texts, flags=flags, baseline=runs.predicted(0.1))
    return repo


@pytest.fixture
def repo(made, tmp_path, monkeypatch):
    """A copy of it: the working folder."""
    shutil.copytree(made, tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


@pytest.fixture
def here(made, monkeypatch):
    """The repository itself, to read only: the working folder."""
    monkeypatch.chdir(made)
    return made


def cached(md5: str) -> Path:
    """The object of DVC's cache with a hash, in the working folder."""
    return Path(".dvc", "cache", "files", "md5", md5[:2], md5[2:])


def error(name: str) -> str:
    with pytest.raises(UserError) as caught:
        revisions.read_revision(name)
    return str(caught.value)


def test_a_revision_has_its_own_predictions_and_the_parameters_that_made_them(here):
    base, better = map(revisions.read_revision, ("base", "better"))
    assert base.predictions.logits.tolist() == runs.predicted(1.0).logits.tolist()
    assert better.predictions.logits.tolist() == runs.predicted(2.0).logits.tolist()
    assert base.lock.params["train.learning_rate"] == 1e-4
    assert better.lock.params == {**base.lock.params, "train.learning_rate": 5e-5}
    assert base.lock.code == runs.CODE


def test_the_parameters_are_those_of_the_run_not_edits_since(repo):
    (repo / "params.yaml").write_text("train: {learning_rate: 7.0}\n")
    assert revisions.read_revision("workspace").lock.params["train.learning_rate"] == 1e-4
    commit(repo, "edited")
    assert revisions.read_revision("HEAD").lock.params["train.learning_rate"] == 1e-4


def test_reading_changes_no_file_of_the_repository(here):
    revisions.read_revision("HEAD")  # the first time, DVC makes .dvc/tmp
    before = run("git", "status", "--porcelain", "--ignored", cwd=here)
    for name in ("base", "better", "workspace", "latest:baseline"):
        found = revisions.read_revision(name)
        revisions.read_texts(found)
        revisions.read_flags(found)
    assert run("git", "status", "--porcelain", "--ignored", cwd=here) == before


@pytest.mark.parametrize("name", ["HEAD~1", "better", "HEAD^{/^better}"])
def test_any_name_that_git_has_for_a_commit_is_a_revision(here, name):
    assert revisions.read_revision(name).commit == revisions.read_revision("better").commit


def test_a_folder_of_the_project_is_not_the_project(here, monkeypatch):
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert error("HEAD") == "no dvc.yaml in this folder; run the command in the project's folder"


def test_a_project_in_a_folder_of_a_repository_is_read(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "mono" / "project", ignore=shutil.ignore_patterns(".git"))
    commit(tmp_path / "mono")
    monkeypatch.chdir(tmp_path / "mono" / "project")
    (tmp_path / "mono" / "project" / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    assert len(revisions.read_revision("HEAD").predictions.texts) == 400


def experiment(repo, name: str, started: str, commit_of: str) -> None:
    sha = run("git", "rev-parse", started, cwd=repo).strip()
    run("git", "update-ref", f"refs/exps/{sha[:2]}/{sha[2:]}/{name}", commit_of, cwd=repo)


def test_an_experiment_is_found_by_its_name_as_dvc_does(repo):
    experiment(repo, "my-exp", "base", "better")
    assert revisions.resolve("my-exp") == revisions.resolve("better")
    experiment(repo, "my-exp", "early", "base")
    assert error("my-exp").startswith("several experiments have the name 'my-exp'; name one by")
    experiment(repo, "my-exp", "HEAD", "latest")  # that of the current commit
    assert revisions.resolve("my-exp") == revisions.resolve("latest")
    experiment(repo, "a.b", "base", "better")
    assert error("a+b").startswith("no revision or experiment 'a+b'")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "no revision or experiment 'none'; run `dvc exp list`"),
        ("x\x1b[31m", r"no revision or experiment 'x\x1b[31m'; run `dvc exp list`"),
        ("--all", "no revision or experiment '--all'; run `dvc exp list`"),
        ("HEAD^{tree}", "no revision or experiment 'HEAD^{tree}'; run `dvc exp list`"),
        ("base:x", "'base:x' is not a revision, alone or with :baseline"),
        ("early", "'early' has no data/predictions/test.parquet in its dvc.lock; `git log --oneli"),
        ("base:baseline", "'base:baseline' has no data/predictions/baseline.parquet in its dvc.lo"),
        ("x" * 3000, "no revision or experiment 'xxxxx"),
    ],
)
def test_what_is_not_a_run_is_one_line(here, name, message):
    assert error(name).startswith(message)


def test_the_advice_about_a_revision_without_a_run_leads_to_one(here):
    command = re.search("`([^`]+)`", error("early"))[1]
    listed = run(*shlex.split(command), cwd=here).splitlines()
    assert len(listed) == 3
    assert all(len(revisions.read_revision(line.split()[0]).predictions.texts) for line in listed)


def test_a_file_that_the_cache_lacks_or_has_damaged_is_one_line_with_its_fix(repo):
    found = cached(revisions.read_revision("base").lock.outs[TEST])
    found.write_bytes(found.read_bytes()[:500])
    message = error("base")
    assert message.startswith("the test.parquet of 'base' is damaged in DVC's cache; run `rm -f")
    run(*shlex.split(re.search("`([^`]+)`", message)[1]), cwd=repo)
    assert not found.exists()
    sha = revisions.resolve("base")[:12]
    assert error("base") == (
        f"'base' has no {TEST} in DVC's cache or remote, or the remote does not answer; run `dvc "
        f"push` where it ran; or run it here, and name the new commit: `git checkout {sha}`, `dvc "
        f"repro`, `git commit -am again`"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_no_missing_model(here, monkeypatch, number):
    def full(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(DVCFileSystem, "get_file", full)
    message = stars("compare", "base", "better")
    assert message == f"error: {os.strerror(number)}; free some space and run again"


TEST = "data/predictions/test.parquet"


def test_the_workspace_is_what_its_lock_file_says(repo):
    assert revisions.read_revision("workspace").commit is None
    assert len(revisions.read_revision("workspace:baseline").predictions.texts) == 400
    run("git", "checkout", "-q", "base", cwd=repo)  # without `dvc checkout`
    assert error("workspace") == f"'{TEST}' does not match dvc.lock; run `dvc repro`"
    (repo / TEST).unlink()
    assert error("workspace") == f"no file '{TEST}'; run `dvc repro` or `dvc pull`"
    (repo / "dvc.lock").unlink()
    assert error("workspace") == "no 'dvc.lock': nothing has run; run `dvc repro`"


def test_without_git_only_the_workspace_can_be_read(repo):
    shutil.rmtree(repo / ".git")
    assert error("base").startswith("git rev-parse --git-dir failed: fatal")
    assert len(revisions.read_revision("workspace").predictions.texts) == 400


def test_the_texts_are_those_of_the_rows_or_none(repo):
    texts = [runs.text(row) for row in range(400)]
    base, better, latest = map(revisions.read_revision, ("base", "better", "latest"))
    assert revisions.read_texts(base) == texts
    assert revisions.read_texts(better) == texts  # from the workspace: it has no data/raw
    assert revisions.read_texts(latest) == texts
    shutil.rmtree(repo / "data" / "raw")
    assert revisions.read_texts(base) == texts  # from the cache
    assert revisions.read_texts(better) is None
    other = revisions.read_revision("base")
    swapped = other.predictions._replace(rows=other.predictions.rows[::-1].copy())
    assert revisions.read_texts(other._replace(predictions=swapped)) is None
    too_far = other.predictions._replace(rows=other.predictions.rows + 1000)
    assert revisions.read_texts(other._replace(predictions=too_far)) is None


def test_a_damaged_folder_in_the_cache_has_no_texts(repo):
    base = revisions.read_revision("base")
    cached(base.lock.outs["data/raw"]).write_bytes(b"[1]")
    cached(revisions.file_md5("data/raw/test.arrow")).unlink()
    shutil.rmtree(repo / "data" / "raw")
    assert revisions.read_texts(base) is None


def test_the_flags_are_those_of_the_audit_or_none(repo):
    latest = revisions.read_revision("latest")
    assert revisions.read_flags(latest)["leak"].nonzero()[0].tolist() == [*range(0, 400, 4)]
    assert revisions.read_flags(revisions.read_revision("base")) == {}
    cached(latest.lock.outs["data/audit.parquet"]).write_bytes(b"PAR1")
    assert revisions.read_flags(latest) == {}


@pytest.mark.parametrize("content", ["[1]", "a: [", "stages: {a: {outs: [{md5: x}]}}"])
def test_a_damaged_lock_file_is_one_line(repo, content):
    (repo / "dvc.lock").write_text(content)
    assert error("workspace").startswith("dvc.lock is not ")
    commit(repo, "damaged")
    assert error("HEAD").startswith("the dvc.lock of 'HEAD' is not ")


@pytest.mark.slow
def test_a_shallow_clone_says_so_and_its_advice_brings_the_revision(made, tmp_path, monkeypatch):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{made}", clone], check=True)
    monkeypatch.chdir(clone)
    message = error("base")
    assert message == (
        "no revision or experiment 'base'; this clone is shallow: run `git fetch --unshallow`"
    )
    run(*shlex.split(re.search("`([^`]+)`", message)[1]), cwd=clone)
    assert "in DVC's cache or remote" in error("base")


# --- Models ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_model_of_a_revision_is_that_which_it_was_made_with(finished_repo, monkeypatch, capsys):
    monkeypatch.chdir(finished_repo)
    with revisions.open_model("HEAD") as folder:
        assert fingerprint(folder) == fingerprint(Path("models", "finetuned"))
    shown = []
    for options in ([], ["--rev", "HEAD"], ["--rev", "workspace"]):
        assert stars("predict", "good", *options) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == shown[2]
    assert "no revision or experiment 'nothing'" in stars("predict", "good", "--rev", "nothing")
    assert stars("predict", "good", "--rev", "HEAD", "--model", "models/other") == 2


def test_a_model_comes_from_the_cache_or_the_remote_or_is_one_line(small_repo, tmp_path):
    def read() -> bytes:
        with revisions.open_model("HEAD") as folder:
            assert sorted(path.name for path in folder.iterdir()) == names
            return (folder / MODEL.name).read_bytes()

    content, names = MODEL.read_bytes(), ["config.json", "model.safetensors"]
    dvc("remote", "add", "-d", "store", str(tmp_path / "store"))  # later than the run
    dvc("push")
    assert read() == content
    shutil.rmtree("models/finetuned")
    shutil.rmtree(".dvc/cache/files")
    assert read() == content
    dvc("fetch")
    weights = cached(hashlib.md5(content).hexdigest())
    overwrite(weights, b"damaged")
    with pytest.raises(Damaged, match=r"model\.safetensors of 'HEAD' is damaged") as caught:
        read()
    run(*shlex.split(re.findall("`([^`]+)`", caught.value.advice)[0]), cwd=small_repo)
    assert not weights.exists()
    assert read() == content
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(Missing, match="has no models/finetuned in DVC's cache") as missing:
        read()
    again = re.findall("`([^`]+)`", missing.value.advice)[1:]
    again[-1] += " --allow-empty"  # the same processor: the same bytes
    for command in again:
        run(*shlex.split(command), cwd=small_repo)
    assert read() == content
