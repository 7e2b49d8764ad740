"""Code that decides a stage's result is in its deps."""

import re

import pytest

from yelp_stars.commands.doctor.imports import own_imports, undeclared
from yelp_stars.pipeline.errors import UserError


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (b"word = 'caf\xe9'\n", "(unicode error) "),
        (b"\0", "null bytes"),
    ],
    ids=["Latin-1", "NUL"],
)
def test_code_that_is_not_python_is_one_line(tmp_path, damaged, problem):
    script = write(tmp_path / "fit.py")
    script.write_bytes(damaged)
    with pytest.raises(UserError, match=re.escape(problem)):
        own_imports(tmp_path, script)


def test_imports_are_followed_relative_ones_and_those_inside_functions_too(tmp_path):
    library = tmp_path / "yelp_stars"
    script = write(tmp_path / "stages" / "fit.py", "from . import common\nfrom .. import nothing\n")
    found = {
        write(tmp_path / "stages" / "common.py", "from yelp_stars.data import late\n"),
        write(library / "data" / "late.py", "def main():\n    import yelp_stars.data.read\n"),
        write(library / "data" / "read.py", "from .parts import one\nfrom ..errors import Error\n"),
        write(library / "data" / "parts.py", "from . import *\nimport yelp_stars.absent\n"),
        write(library / "errors.py"),
    }
    assert own_imports(tmp_path, script) == found


def test_a_file_beside_dvc_yaml_is_no_code_of_a_stage(tmp_path):
    script = write(tmp_path / "stages" / "fit.py", "import evaluate\nimport numpy as np\n")
    write(tmp_path / "evaluate.py")
    write(tmp_path / "numpy.py")
    assert own_imports(tmp_path, script) == set()


def test_a_stage_that_stands_for_several_and_a_dep_on_the_project_are_read(tmp_path):
    write(tmp_path / "stages" / "fit.py")
    assert list(undeclared(tmp_path, {"fit@a": {"deps": ["stages/fit.py"]}})) == []
    (line,) = undeclared(tmp_path, {"fit@a": {"deps": ["."]}})
    assert line.startswith("stage 'fit@a' imports 'stages/fit.py'")


def test_code_that_is_not_declared_is_named_with_the_stage(tmp_path):
    write(tmp_path / "stages" / "fit.py", "import yelp_stars.helper\nimport yelp_stars.data.read\n")
    write(tmp_path / "yelp_stars" / "helper.py")
    write(tmp_path / "yelp_stars" / "data" / "read.py")
    stages = {"fit": {"deps": ["stages/fit.py", "yelp_stars/data", "data/raw"]}, "other": {}}
    (line,) = undeclared(tmp_path, stages)
    assert line == (
        "stage 'fit' imports 'yelp_stars/helper.py', which its deps in dvc.yaml lack, so an edit "
        "reruns nothing; add it, then run `dvc repro fit`"
    )
    stages["fit"]["deps"].append("yelp_stars/helper.py")
    assert list(undeclared(tmp_path, stages)) == []
