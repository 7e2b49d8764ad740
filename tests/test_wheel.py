"""The installed wheel in an empty folder: a model is used without this checkout."""

import json
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT, copy_files, run

pytestmark = pytest.mark.slow


def install_wheel(folder: Path) -> tuple[Path, Path]:
    """The wheel, built from the files that git has, and where it is installed."""
    source = folder / "source"
    library = run("git", "ls-files", "yelp_stars", cwd=ROOT).split()
    copy_files([*library, "pyproject.toml", "README.md", "LICENSE"], source)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", "dist", ".", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    installed = folder / "installed"
    run(*pip, "install", "--no-deps", "--no-index", "-t", str(installed), str(built), cwd=folder)
    return built, installed


CODE = """
import json, sys, yelp_stars, yelp_stars.cli
classify = yelp_stars.load_classifier(sys.argv[-1], precision="fp32")
print(json.dumps([yelp_stars.__file__, classify([sys.argv[2]])[0].stars]))
yelp_stars.cli.main()
"""


def test_the_wheel_has_the_library_alone_and_predicts_in_an_empty_folder(finished_repo, tmp_path):
    built, installed = install_wheel(tmp_path / "built")
    names = [name for name in zipfile.ZipFile(built).namelist() if ".dist-info/" not in name]
    expected = run("git", "ls-files", "yelp_stars", cwd=ROOT).split()
    assert sorted(names) == sorted(expected)
    empty = tmp_path / "empty"
    empty.mkdir()
    paths = {"PYTHONPATH": str(installed)}
    command = ("predict", "The soup was cold.", "-o", "out.csv", "--model")
    model = str(finished_repo / "models" / "finetuned")
    output = run(sys.executable, "-c", CODE, *command, model, cwd=empty, **paths)
    file, stars = json.loads(output.splitlines()[0])
    assert file == str(installed / "yelp_stars" / "__init__.py")
    assert stars in ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
    assert [path.name for path in empty.iterdir()] == ["out.csv"]
