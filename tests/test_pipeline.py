"""The complete pipeline under DVC: what runs, what does not, what a user then sees."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from helpers import (
    EVALUATE,
    ROOT,
    SECRETS,
    dvc_in,
    edit,
    fails,
    fails_here,
    lay_out,
    outs,
    ran,
    run,
    soak,
    stars,
    would_run,
)

from benchmarks.workspace import commit
from stages import evaluate
from yelp_stars.commands import show
from yelp_stars.pipeline.entrypoint import call

pytestmark = pytest.mark.slow

PATHS = ("data/synthetic/sentences.tsv", "data/external", "raw", "u", "m")
SCORING = (*EVALUATE[3:5], "models/finetuned", *EVALUATE[6:])
MAKE = ("make", "-o", ".venv/installed")  # with this environment, in place of one of its own
DATA = ("data/raw", "data/audit.parquet", "data/tokenized", "data/sample")


def test_a_finished_run_has_its_model_scores_and_curves_and_no_partial_output(finished_repo):
    scores = json.loads((finished_repo / "metrics" / "test.json").read_text())
    assert scores["n"] == 30
    for made in show.MADE:
        assert (finished_repo / made).exists(), made
    assert not (finished_repo / "models" / "checkpoints").exists()
    assert not list(finished_repo.rglob("*.partial"))


def test_afterwards_dvc_and_git_are_clean_and_a_second_repro_runs_nothing(repo):
    assert would_run(repo) == set()
    assert run("git", "status", "--porcelain", cwd=repo) == ""
    assert ran(dvc_in(repo, "repro")) == []


def test_git_holds_none_of_the_outs_that_dvc_caches(finished_repo):
    files = run("git", "ls-files", "data", "models", cwd=finished_repo).splitlines()
    assert not [name for name in files if name.startswith(DATA)]
    assert not [name for name in files if name.endswith((".arrow", ".safetensors"))]
    assert "data/external/.gitignore" in files


def test_a_model_holds_no_file_that_can_hold_code(finished_repo):
    for folder in ("models/pretrained", "models/finetuned"):
        suffixes = {path.suffix for path in (finished_repo / folder).iterdir()}
        assert suffixes <= {".json", ".safetensors", ".txt", ".md"}, suffixes


def test_no_secret_of_the_environment_is_in_a_file_of_a_finished_run(finished_repo):
    files = [path for path in finished_repo.rglob("*") if path.is_file()]
    assert len(files) > 200
    for path in files:
        content = path.read_bytes()
        assert not [name for name, value in SECRETS.items() if value.encode() in content], path


EDITS = {
    "stages/sample.py": {"sample"},
    "stages/download.py": {"download"},
    "yelp_stars/reading/readers.py": {"download"},
    "yelp_stars/reading/unpacking.py": {"external", "download"},
    "yelp_stars/data/synthetic.py": {"download", "train"},
    "yelp_stars/scoring/plots.py": {"train", "evaluate", "report"},
    "yelp_stars/scoring/metrics.py": {"audit", "baseline", "train", "evaluate", "report"},
    "yelp_stars/audit/near_duplicates.py": {"audit"},
    "yelp_stars/baseline/label_errors.py": {"baseline"},
    "yelp_stars/scoring/calibration.py": {"train", "evaluate"},
    "yelp_stars/evaluation/slices.py": {"evaluate", "report"},
    "yelp_stars/training/progress.py": {"train"},
    "yelp_stars/report/page.html": {"report"},
    "yelp_stars/evaluation/estimates.py": {"evaluate"},
    "yelp_stars/cli.py": set(),
    "yelp_stars/scoring/__pycache__/x.cpython-399.pyc": set(),  # another interpreter's
    "data/synthetic/sentences.tsv": {"download", "train"},
}


def test_an_edit_changes_exactly_the_stages_that_use_the_file(repo):
    found = {}
    for name in EDITS:
        path = repo / name
        path.parent.mkdir(exist_ok=True)
        before = path.read_bytes() if path.exists() else b""
        path.write_bytes(before + (b"# a comment\n" if name.endswith("py") else b"train\tany\n"))
        found[name] = would_run(repo)
        path.write_bytes(before)
    assert found == EDITS
    assert run("git", "status", "--porcelain", cwd=repo) == ""


# The report shows all parameters.
CHANGES = {
    ("train", "learning_rate", 5e-4): {"train", "report"},
    ("train", "num_train_epochs", 1.0): set(),  # 1 and 1.0 are the same
    ("download", "seed", 1): {"external", "download", "report"},
    ("audit", "similarity", 0.9): {"audit", "report"},
    ("evaluate", "seed", 1): {"evaluate", "report"},
    ("pretrained", "folder", "other"): {"external", "pretrained", "report"},
}


def test_a_parameter_changes_exactly_the_stages_that_read_it(repo):
    before, found = (repo / "params.yaml").read_text(), {}
    for section, key, value in CHANGES:
        edit(repo, section, **{key: value})
        found[section, key, value] = would_run(repo)
        (repo / "params.yaml").write_text(before)
    assert found == CHANGES


def test_a_comment_in_sample_runs_sample_alone_as_its_result_is_the_same(repo):
    with (repo / "stages" / "sample.py").open("a") as edited:
        edited.write("# a comment\n")
    before = outs(repo)
    assert ran(dvc_in(repo, "repro")) == ["sample"]
    assert outs(repo) == before


def test_a_mistake_in_the_last_section_stops_the_first_stage(repo):
    edit(repo, "download", seed=1)
    edit(repo, "evaluate", precision="fp8")
    output = run("dvc", "repro", cwd=repo, ok=False)
    assert ran(output) == ["external"]
    assert "error: params.yaml: evaluate.precision is 'fp8': should be 'auto', 'fp32'" in output
    assert "Traceback" not in output


SAMPLE, WEIGHTS = "data/sample/test.arrow", "models/finetuned/model.safetensors"


@pytest.mark.parametrize(
    ("out", "mode"),
    [
        (SAMPLE, 0o444),
        pytest.param(SAMPLE, 0o644, marks=pytest.mark.thorough),
        pytest.param(WEIGHTS, 0o444, marks=pytest.mark.thorough),
    ],
)
def test_a_damaged_out_is_healed_by_the_commands_in_the_error(repo, monkeypatch, out, mode):
    monkeypatch.chdir(repo)
    before = outs(repo)
    dvc_in(repo, "checkout", "--relink")  # the fixture's copy has no links
    damaged = repo / out
    assert damaged.stat().st_nlink == 2  # here and in DVC's cache: both are damaged
    expected = damaged.read_bytes()
    damaged.chmod(0o644)
    with damaged.open("r+b") as file:
        file.write(bytes(5000))
    damaged.chmod(mode)
    message = fails_here(evaluate.main, *SCORING)
    assert damaged.parent.relative_to(repo).as_posix() in message
    for command in re.findall("`([^`]+)`", message):
        run(*command.split(), cwd=repo)
    assert damaged.read_bytes() == expected
    durations = {"dvclive": None, "reports/index.html": None}
    assert {**outs(repo), **durations} == {**before, **durations}
    assert would_run(repo) == set()
    if out == SAMPLE:  # and so is DVC's cache
        dvc_in(repo, "checkout", "--relink", str(damaged.parent))
        assert damaged.read_bytes() == expected


# The first run had one thread of OpenMP, and one of Rayon for each core.
@pytest.mark.parametrize(
    ("openmp", "rayon"), [("2", "1"), *(pytest.param(n, n, marks=soak) for n in ("1", "2"))]
)
def test_data_outs_are_the_same_bytes_in_another_clone_with_other_threads(
    finished_repo, tmp_path, tiny_checkpoint, openmp, rayon
):
    clone = lay_out(tmp_path / "elsewhere", tiny_checkpoint)
    commit(clone)
    threads = {"RAYON_NUM_THREADS": rayon, "OMP_NUM_THREADS": openmp}
    run("dvc", "repro", "sample", cwd=clone, **threads)
    first, second = ({path: outs(repo)[path] for path in DATA} for repo in (finished_repo, clone))
    assert first == second
    data = Path("metrics", "data.json")
    assert (finished_repo / data).read_bytes() == (clone / data).read_bytes()


def test_a_second_clone_pulls_and_has_nothing_to_do(repo, tmp_path, monkeypatch):
    dvc_in(repo, "remote", "add", "-d", "store", str(tmp_path / "store"))
    dvc_in(repo, "push")
    commit(repo, "a remote")
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(repo), str(clone), cwd=tmp_path)
    # Git ignores the user's own files: the checkpoint is copied by hand.
    tiny = Path("models", "external", "tiny")
    shutil.copytree(repo / tiny, clone / tiny)
    monkeypatch.chdir(clone)
    message = fails_here(evaluate.main, *SCORING)
    assert message == "no file 'data/sample/test.arrow'; run `dvc repro` or `dvc pull`"
    dvc_in(clone, "pull")
    call(evaluate.main, *map(Path, SCORING))
    assert would_run(clone) == set()
    assert ran(dvc_in(clone, "repro")) == []


@pytest.mark.thorough
def test_the_experiment_that_stars_show_suggests_changes_a_parameter_and_can_be_compared(
    second_run, monkeypatch, capsys
):
    monkeypatch.chdir(second_run)
    use, experiment, *comparisons = show.NEXT
    assert stars(*shlex.split(use)[1:]) == 0
    assert " star" in capsys.readouterr().out
    assert experiment == "dvc exp run -S train.learning_rate=5e-5"
    output = (second_run / ".dvc" / "tmp" / "printed.txt").read_text()
    assert ran(output) == ["train", "evaluate", "report"]
    for command in comparisons:
        run(*command.split(), cwd=second_run)
    changed = json.loads(dvc_in(second_run, "params", "diff", "--json"))["params.yaml"]
    assert list(changed) == ["train.learning_rate"]
    # All: of 30 rows, the rounded scores may be the same.
    metrics = json.loads(dvc_in(second_run, "metrics", "diff", "--all", "--json"))
    assert {"old", "new"} <= set(metrics["metrics/test.json"]["loss"])


def test_a_fresh_clone_shows_the_metrics_of_the_last_commit(finished_repo, tmp_path):
    run("git", "clone", "-q", str(finished_repo), str(tmp_path / "clone"), cwd=tmp_path)
    shown = json.loads(run("dvc", "metrics", "show", "--json", cwd=tmp_path / "clone"))
    assert shown[""]["data"]["metrics/test.json"]["data"]["n"] == 30


def test_every_out_is_stored_once(finished_repo):
    for folder in ("data", "data/predictions", "models/pretrained", "models/finetuned"):
        files = [
            path
            for path in (finished_repo / folder).rglob("*")
            if path.suffix in (".arrow", ".parquet", ".safetensors")
        ]
        assert files
        assert all(path.stat().st_nlink == 2 for path in files)  # here and in DVC's cache


def test_without_git_make_names_the_command_to_run(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    output = run(
        *MAKE, "repro", cwd=tmp_path, ok=False, GIT_CEILING_DIRECTORIES=str(tmp_path.parent)
    )
    assert "run: git init && git add -A && git commit" in output


def test_pytorch_alone_is_sought_in_its_own_index():
    """Where a network blocks that index, pip waits for it at each package that it may have."""
    commands = run("make", "-n", "-B", "setup", "TORCH=cpu", cwd=ROOT).replace("\\\n", "")
    asked = [line for line in commands.splitlines() if "download.pytorch.org" in line]
    assert len(asked) == 1
    assert " --no-deps " in asked[0]
    assert asked[0].endswith('"$(grep ^torch== requirements.lock)"')


def test_make_repro_and_make_use_fix_what_messages_say_they_fix(repo):
    shutil.copy(ROOT / "Makefile", repo)
    (repo / ".dvc" / "tmp").mkdir(exist_ok=True)
    (repo / ".dvc" / "tmp" / "rwlock").write_text("")  # DVC was killed
    assert "Unable to read RWLock-file" in run("dvc", "repro", cwd=repo, ok=False)
    assert "Test scores, 30 reviews" in run(*MAKE, "repro", cwd=repo)
    shutil.copy(ROOT / "presets" / "cpu.yaml", repo / "params.yaml")
    commit(repo, "reviews from the Hub")
    message = fails("python", "-m", "stages.download", *PATHS, cwd=repo)
    assert message.endswith("run `make use PRESET=quickstart`: it needs no network")
    run(*MAKE, "use", "PRESET=quickstart", cwd=repo)
    run("python", "-m", "stages.download", *PATHS, cwd=repo)
