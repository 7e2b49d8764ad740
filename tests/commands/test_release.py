"""A version of the model: tagged with its scores, fetched and used by somebody else."""

import json
import re
import sys

import dvc.api
import numpy as np
import pytest
from dvc_data.hashfile.hash import file_md5
from helpers import documented, dvc_in, follow, run, stars, would_run

from benchmarks.workspace import commit
from yelp_stars import load_classifier
from yelp_stars.classifier.classify import fingerprint
from yelp_stars.commands.release import state
from yelp_stars.commands.runs.lock import read_lock
from yelp_stars.evaluation import predictions
from yelp_stars.pipeline.files import sha256_of

pytestmark = pytest.mark.slow
TAG = "yelp-stars@v1.0.0"


@pytest.fixture
def here(repo, monkeypatch):
    monkeypatch.chdir(repo)
    return repo


def model_hash() -> str:
    return next(out.md5 for out in read_lock()["train"].outs if out.path == "models/finetuned")


def test_the_tag_has_the_scores_with_their_intervals_and_the_models_hash(here, capsys):
    assert stars("release", "v1.0.0") == 0
    message = run("git", "tag", "-l", "--format=%(contents)", TAG, cwd=here)
    scores = json.loads((here / "metrics" / "evaluation.json").read_text())["scores"]
    accuracy = scores["accuracy"]
    assert (
        f"accuracy {accuracy['value']} [{accuracy['low']}, {accuracy['high']}] on "
        f"{accuracy['n']} test rows" in message
    )
    assert model_hash() in message
    tagged, head = run("git", "rev-parse", f"{TAG}^{{commit}}", "HEAD", cwd=here).split()
    assert tagged == head
    assert f"git push origin {TAG}" in capsys.readouterr().out


# What git reads of gpg: a signature, and that there is one.
SIGNER = """#!/bin/sh
cat > /dev/null
printf -- '-----BEGIN PGP SIGNATURE-----\\nx\\n-----END PGP SIGNATURE-----\\n'
printf '\\n[GNUPG:] SIG_CREATED \\n' >&2
"""


@pytest.mark.parametrize("setting", ["tag.gpgSign", "tag.forceSignAnnotated"])
def test_a_tag_is_signed_where_git_signs_tags_or_there_is_none(here, tmp_path, setting):
    run("git", "config", setting, "true", cwd=here)
    run("git", "config", "gpg.program", "false", cwd=here)
    assert "failed to sign" in stars("release", "v1.0.0")
    assert run("git", "tag", cwd=here) == ""
    (tmp_path / "signer").write_text(SIGNER)
    (tmp_path / "signer").chmod(0o755)
    run("git", "config", "gpg.program", str(tmp_path / "signer"), cwd=here)
    assert stars("release", "v1.0.0") == 0
    assert "BEGIN PGP SIGNATURE" in run("git", "cat-file", "-p", TAG, cwd=here)


@pytest.mark.thorough
def test_a_consumer_gets_a_version_or_a_stage_and_predicts_with_it(here, tmp_path):
    dvc_in(here, "remote", "add", "-d", "store", str(tmp_path / "store"))
    commit(here, "a remote")
    for block in documented("team.md", "Versions of the model"):
        for line in block.splitlines():
            command = line.split("#")[0].split()
            if command[0] == "dvc" and command[1] == "artifacts":
                command[3] = str(here)
                dvc_in(tmp_path, *command[1:])
            elif command[0] == "dvc":
                dvc_in(here, *command[1:])
            elif command[:2] != ["git", "push"]:
                run(*command, cwd=here)
    expected = fingerprint(here / "models" / "finetuned")
    assert fingerprint(tmp_path / "model") == expected
    assert fingerprint(tmp_path / "prod") == expected
    (found,) = load_classifier(tmp_path / "model")(["The soup was cold."])
    assert found.stars in found.probabilities
    shown = dvc.api.artifacts_show("yelp-stars", version="v1.0.0", repo=str(here))
    head = run("git", "rev-parse", "HEAD", cwd=here).strip()
    assert shown == {"rev": head, "path": "models/finetuned"}


def test_a_version_is_that_of_a_commit(here):
    assert "'1.0' is not a version such as v1.0.0" in stars("release", "1.0")
    (here / "params.yaml").write_text((here / "params.yaml").read_text() + "\n")
    assert "'params.yaml' is not committed" in stars("release", "v1.0.0")
    run("git", "commit", "-am", "as the message says", cwd=here)
    assert stars("release", "v1.0.0") == 0
    assert "v1.0.0 cannot be registered" in stars("release", "v1.0.0")


def test_a_version_has_the_scores_of_its_own_model(here):
    """A run that ended before its evaluation, then scores of another run."""
    lock = (here / "dvc.lock").read_text()
    trained = lock.replace(model_hash(), "0" * 32 + ".dir", 1)
    (here / "dvc.lock").write_text(trained)
    commit(here, "half a run")
    message = stars("release", "v1.0.0")
    assert "the scores belong to another models/finetuned; run `dvc repro`, and" in message
    (here / "dvc.lock").write_text(lock)
    scores = (here / "metrics" / "evaluation.json").read_text()
    (here / "metrics" / "evaluation.json").write_text(scores.replace("0", "1", 1))
    commit(here, "other scores")
    message = stars("release", "v1.0.0")
    assert "'metrics/evaluation.json' does not match dvc.lock; run `dvc repro evaluate`" in message
    (here / "dvc.lock").write_text("stages: {}\n")
    commit(here, "no lock")
    assert "has no run of the stage 'train'; run `dvc repro`" in stars("release", "v1.0.0")
    (here / "dvc.lock").write_text(lock)
    (here / "metrics" / "evaluation.json").write_text(scores)
    commit(here, "as the command in the message writes it")
    assert stars("release", "v1.0.0") == 0


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("params.yaml", "learning_rate: 0.001", "learning_rate: 0.5"),
        ("yelp_stars/training/saving.py", "\n", "\n# other code\n"),
        ("dvc.yaml", "-m stages.train ", "-m stages.train  "),
    ],
)
def test_a_commit_whose_code_or_parameters_did_not_make_the_model_is_no_version(
    here, file, before, after
):
    text = (here / file).read_text()
    assert before in text
    (here / file).write_text(text.replace(before, after, 1))
    commit(here, "and no run")
    message = stars("release", "v1.0.0")
    assert "the stage 'train' has changed since its run, see `dvc status`; run `dvc re" in message
    assert run("git", "tag", cwd=here) == ""


def test_outs_that_are_not_pulled_do_not_keep_a_version_back(here, tmp_path, monkeypatch):
    dvc_in(here, "remote", "add", "-d", "store", str(tmp_path / "store"))
    commit(here, "a remote")
    dvc_in(here, "push")
    run("git", "clone", "-q", here, tmp_path / "clone", cwd=tmp_path)
    monkeypatch.chdir(tmp_path / "clone")
    assert stars("release", "v1.0.0") == 0


def test_a_model_that_its_baseline_beats_is_released_by_force_alone(here, tmp_path):
    path = "data/predictions/baseline.parquet"
    before = predictions.read(here / path)
    perfect = np.eye(len(before.names))[before.labels]
    predictions.write(before._replace(logits=perfect), tmp_path / "better.parquet")
    md5 = file_md5(str(tmp_path / "better.parquet"))
    (cached := here / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).parent.mkdir(
        exist_ok=True
    )
    cached.write_bytes((tmp_path / "better.parquet").read_bytes())
    lock = here / "dvc.lock"
    lock.write_text(lock.read_text().replace(file_md5(str(here / path)), md5))
    commit(here, "a better baseline")
    message = stars("release", "v1.0.0")
    assert "the baseline is better than the model by " in message
    assert " points (95 % interval " in message
    assert "; improve the model, or release it with --force" in message
    assert run("git", "tag", cwd=here) == ""
    assert stars("release", "v1.0.0", "--force") == 0


def test_a_version_is_an_in_toto_statement_of_the_type_link(here):
    """The fields that the layouts of both require, with no others."""
    assert stars("release", "v1.0.0") == 0
    stated = json.loads(json.dumps(state(TAG)))
    assert stated.keys() == {"_type", "subject", "predicateType", "predicate"}
    assert stated["_type"] == "https://in-toto.io/Statement/v1"
    assert stated["predicateType"] == "https://in-toto.io/attestation/link/v0.3"
    predicate = stated["predicate"]
    assert predicate.keys() <= {"name", "command", "materials", "byproducts", "environment"}
    assert predicate["command"] == ["dvc", "repro"]
    for listed in (stated["subject"], predicate["materials"]):
        assert len({item["name"] for item in listed}) == len(listed)
        for item in listed:
            assert item.keys() == {"name", "digest"}
            ((algorithm, digest),) = item["digest"].items()
            assert re.fullmatch("[0-9a-f]+", digest)
            assert len(digest) == {"sha256": 64, "gitCommit": 40}[algorithm]
    head = run("git", "rev-parse", "HEAD", cwd=here).strip()
    digests = {item["name"]: item["digest"] for item in predicate["materials"]}
    assert digests["git"] == {"gitCommit": head}
    assert digests.keys() == {"git", "dvc.lock"}  # requirements.lock is not in this project
    model = here / "models" / "finetuned"
    hashed = {item["name"]: item["digest"]["sha256"] for item in stated["subject"]}
    files = [path for path in model.rglob("*") if path.is_file()]
    assert hashed == {str(file.relative_to(model)): sha256_of(file) for file in files}
    assert predicate["byproducts"]["tag"] == TAG
    assert predicate["byproducts"]["scores"][0].startswith("accuracy 0.")


def test_without_a_name_in_git_it_is_one_line(here, tmp_path, monkeypatch):
    for role in ("AUTHOR", "COMMITTER"):
        for part in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{part}", raising=False)
    command = (sys.executable, "-m", "yelp_stars.cli", "release", "v1.0.0")
    message = run(*command, cwd=here, ok=False, HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))
    assert message.startswith("error: v1.0.0 cannot be registered: ")
    assert "user name" in message
    assert "Traceback" not in message


@pytest.mark.thorough
def test_an_earlier_model_comes_back_and_nothing_has_to_run(finished_repo, second_run):
    commit(second_run, "another learning rate")
    before, after = (fingerprint(r / "models" / "finetuned") for r in (finished_repo, second_run))
    (back,) = documented("team.md", "An earlier model")
    follow(back, second_run)
    assert fingerprint(second_run / "models" / "finetuned") == before != after
    assert would_run(second_run) == set()
    follow("git switch -\ndvc checkout\n", second_run)
    assert fingerprint(second_run / "models" / "finetuned") == after
    assert would_run(second_run) == set()
