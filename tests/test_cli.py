"""`stars`: help without waiting, one line for a user's mistake."""

import re
import sys
from pathlib import Path

import pytest
import typer.main
from helpers import fails, run, stars

from yelp_stars import cli

COMMANDS = typer.main.get_command(cli.app).commands


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["-h"], 0), ([], 2)])
def test_help_lists_every_command_and_examples(capsys, arguments, code):
    assert stars(*arguments) == code
    shown = "".join(capsys.readouterr())
    for command in COMMANDS:
        assert f"\n  {command} " in shown
    for example in ("stars show", "stars use cpu", "stars params train"):
        assert f"\n    {example} " in shown


def test_help_has_the_commands_in_groups_and_cuts_no_line_at_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert stars("--help") == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^(\w+):\n  (\w+) ", shown.split("Options:")[1], re.M) == [
        (title, commands[0].__name__) for title, commands in cli.GROUPS.items()
    ]
    assert "..." not in shown.split("Options:")[1]
    assert max(map(len, shown.splitlines())) <= 80
    first = [line for line in shown.splitlines() if re.match(r"  [a-z-]+ +[A-Z]", line)]
    assert len(first) == len(COMMANDS)
    assert all(line.endswith((".", "?")) for line in first)


@pytest.mark.thorough
@pytest.mark.parametrize("arguments", [["predict", "good"], ["serve"]])
def test_what_loads_a_model_says_so_before_it_imports_torch(tmp_path, arguments):
    start = """if True:
        import io, sys
        from yelp_stars.cli import main

        class Terminal(io.StringIO):
            def write(self, text):
                print(text, sorted({"torch", "fastapi"} & sys.modules.keys()))
                raise SystemExit(1)

        sys.stderr = Terminal()
        main()
    """
    assert (
        run("python", "-c", start, *arguments, cwd=tmp_path, ok=False) == "loading the model []\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "arguments", "message"),
    [
        ("torch", ["predict", "good", "--model", "typo"], "no folder 'typo'; run `dvc repro` "),
        ("torch", ["serve", "--model", "typo"], "no folder 'typo'; run `dvc repro` "),
        ("torch", ["serve", "--model", "."], "'.' needs PyTorch, which is not installed; install "),
        ("uvicorn", ["serve"], "the extra serve is not installed; run `pip install fastapi "),
    ],
)
def test_a_package_that_is_missing_is_one_line(tmp_path, missing, arguments, message):
    start = f"import sys; sys.modules[{missing!r}] = None; from yelp_stars.cli import main; main()"
    assert fails("python", "-c", start, *arguments, cwd=tmp_path).startswith(message)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_of_its_arguments(data_project, capsys, command):
    assert stars(command, "--help") == 0
    shown = capsys.readouterr().out
    assert re.match(rf"Usage: .*stars {command} ", shown)
    has_arguments = any(param.param_type_name == "argument" for param in COMMANDS[command].params)
    if has_arguments or command in cli.ANYWHERE:
        assert f"\n    stars {command} " in shown
    else:
        assert "Examples" not in shown


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in cli.ANYWHERE])
def test_outside_the_projects_folder_every_command_is_one_line(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert stars(command) == (
        f"error: '{tmp_path}' is not the project's folder: it has no dvc.yaml and no stages/; "
        f"run `stars` where dvc.yaml is"
    )
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_one_line(data_project):
    Path("params.yaml").unlink()
    Path("params.yaml").mkdir()
    expected = "error: Is a directory 'params.yaml'; a file is expected there: move the folder away"
    assert stars("use", "quickstart") == expected


@pytest.mark.parametrize(
    "arguments", [["release", "v1.0.0"], ["compare", "HEAD", "workspace"], ["seeds", "2"]]
)
def test_without_git_it_is_one_line(data_project, monkeypatch, arguments):
    monkeypatch.setenv("PATH", str(data_project))
    assert stars(*arguments).endswith("the command `git` is not installed; install it")


@pytest.mark.parametrize("arguments", [["shwo"], ["show", "x"], ["use", "--froce"]])
def test_a_wrong_command_or_option_is_a_usage_error(data_project, capsys, arguments):
    assert stars(*arguments) == 2
    assert "Usage: " in (error := capsys.readouterr().err)
    assert "Traceback" not in error


WIDTHS = ["0", "1", "20", "x", "", "-1", "120"]


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_table_is_printed_whatever_the_environment_says_of_its_width(
    data_project, capsys, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", columns)
    assert stars("params", "sample") == 0
    shown = capsys.readouterr().out
    assert "train_size" in shown
    assert "Rows to train on" in " ".join(shown.split())


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp932"])
def test_a_terminal_without_unicode_gets_escapes(data_project, encoding):
    shown = run("stars", "params", "sample", cwd=data_project, PYTHONIOENCODING=encoding)
    assert "\\u2265" in shown or encoding == "cp932"


@pytest.mark.slow
@pytest.mark.parametrize("command", [("predict", "a.csv"), ("serve",)])
def test_no_file_beside_the_texts_runs_as_a_library(tmp_path, command):
    for name in ("numpy", "tokenizers", "datasets", "random", "stages"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('ran')")
    (tmp_path / "a.csv").write_text("text\ngood\n")
    assert "no folder 'models/finetuned'" in fails("stars", *command, cwd=tmp_path)


def edit_text(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


# Libraries, what libraries import if it is there, and the standard library.
SHADOWS = ["evaluate", "datasets", "numpy", "wandb", "mlflow", "tensorflow", "yaml", "signal"]
SHADOWS += sorted(sys.stdlib_module_names - {*sys.builtin_module_names})


def write_shadows(folder):
    for name in SHADOWS:
        (folder / f"{name}.py").write_text("raise SystemExit('ran')")
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text("raise SystemExit('ran')")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "options", "variables"),
    [("train", [], {}), ("sample", ["-P"], {}), ("sample", [], {"PYTHONSAFEPATH": "1"})],
)
def test_a_stage_starts_with_any_path_and_no_file_of_its_folder_runs(
    data_project, stage, options, variables
):
    write_shadows(data_project)
    paths = ["a", "b", "c", "d", "e", "f", "g"][: 7 if stage == "train" else 3]
    command = ("python", *options, "-m", f"stages.{stage}", *paths)
    assert fails(*command, cwd=data_project, **variables).startswith("no file ")


@pytest.mark.parametrize("command", [["params", "sample"], ["use"]])
def test_no_file_beside_dvc_yaml_runs_as_a_library(data_project, command):
    write_shadows(data_project)
    assert "ran" not in run("stars", *command, cwd=data_project).split()


@pytest.mark.parametrize(
    ("start", "variables"),
    [(["stars"], {"PYTHONPATH": "."}), (["python", "-m", "yelp_stars.cli"], {})],
)
def test_nor_does_one_that_python_itself_looks_for_first(data_project, start, variables):
    for name in ("typer", "rich", "yaml", "pydantic", "numpy", "datasets", "tokenizers"):
        (data_project / f"{name}.py").write_text("raise SystemExit('ran')")
    printed = run(*start, "params", "sample", cwd=data_project, **variables)
    assert "train_size" in printed


@pytest.mark.parametrize("variables", [{}, {"PYTHONSAFEPATH": "1"}])
def test_a_stage_runs_the_code_of_its_folder_not_that_of_the_installed_clone(
    data_project, variables
):
    edit_text(
        data_project / "yelp_stars" / "pipeline" / "params.py",
        "import re\n",
        "import re\nprint('own')\n",
    )
    edit_text(data_project / "stages" / "sample.py", "load_params(Params", "print('code') or (0")
    command = ("python", "-m", "stages.sample", "a", "b", "c")
    assert "own\ncode\n" in run(*command, cwd=data_project, ok=False, **variables)
