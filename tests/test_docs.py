"""The documentation holds: every link, path, command and parameter in it exists in the project."""

import importlib.util
import posixpath
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from dvc.cli.parser import DvcParserError, get_main_parser
from helpers import ROOT, out_paths, run

from yelp_stars import cli
from yelp_stars.data.sources import write_reviews
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import check, stage_models, variants
from yelp_stars.pipeline.yaml_file import read_yaml

PLACEHOLDER = "NAME"  # in a path, a module or a command
# Folders whose files git ignores: the user's, interrupted runs', the environment, DVC's own.
IGNORED = (
    "data/external/", "models/external/", "models/checkpoints/", "models/exported/",
    ".venv/", ".dvc/tmp/", ".dvc/cache/",
)  # fmt: skip
FILE_TYPES = (".py", ".md", ".yaml", ".toml", ".lock", ".txt")

README, BOTH = "README.md", ["README.md", "README.zh-CN.md"]
OTHERS = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md"), ROOT / "CONTRIBUTING.md"])
GUIDES = [str(path.relative_to(ROOT)) for path in OTHERS]
DOCS = {name: (ROOT / name).read_text("utf-8") for name in BOTH + GUIDES}
ZH = ".zh-CN.md"
ENGLISH = {name: name.removesuffix(ZH) + ".md" for name in DOCS if name.endswith(ZH)}
NOTEBOOK = "docs/from-the-notebook.md"

MODELS = stage_models()
STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]
QUICKSTART = read_yaml(ROOT / "presets" / "quickstart.yaml")
PRESETS = {path.stem for path in ROOT.glob("presets/*.yaml")}
COMMANDS = typer.main.get_command(cli.app).commands
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):.*## ", MAKEFILE, re.M))


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    text: str


def blocks(text: str) -> list[Block]:
    fences = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.M | re.S)
    return [Block(language, textwrap.dedent(body)) for _, language, body in fences]


def prose(text: str) -> str:
    return re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.M | re.S)


def inline_code(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(text))


def links(text: str) -> list[str]:
    """The targets of links and images."""
    found = re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", prose(text))
    return [markdown or html for markdown, html in found]


def headings(text: str) -> list[tuple[str, str]]:
    """(marks, title) of each heading."""
    return re.findall(r"^(#+) (.+)$", prose(text), re.M)


def anchors(text: str) -> list[str]:
    """The anchors that GitHub makes from the headings."""
    titles = (re.sub(r"[^\w\s-]", "", title.lower()) for _, title in headings(text))
    return [title.replace(" ", "-") for title in titles]


def sections(text: str) -> list[str]:
    """What is before the first heading, then each heading with what follows it."""
    blocks_and_headings = re.finditer(r"^( *)```.*?^\1```$|^#+ [^\n]+$", text, re.M | re.S)
    starts = [found.start() for found in blocks_and_headings if found[0].startswith("#")]
    return [text[start:end] for start, end in zip([0, *starts], [*starts, len(text)])]


def tree(text: str) -> str:
    """The block with the tree of the project or of its library, or nothing."""
    starts = ("dvc.yaml ", "yelp_stars/ ")
    return next((block.text for block in blocks(text) if block.text.startswith(starts)), "")


def without_comments(text: str) -> str:
    return re.sub(r"(^|\s+)#.*$", "", text, flags=re.M)


def code(text: str) -> list[str]:
    """The pieces of code: inline, and the lines of all blocks but the tree, less comments."""
    bodies = [without_comments(block.text) for block in blocks(text) if block.text != tree(text)]
    return [*inline_code(text), *"\n".join(bodies).splitlines()]


def occurrences(pattern: str) -> list[tuple[str, Any]]:
    """(document, what `re.findall` returns) in the code of all documents; never empty."""
    found = [
        (name, match)
        for name, text in DOCS.items()
        for piece in code(text)
        for match in re.findall(pattern, piece)
    ]
    assert found, f"nothing matches {pattern}"
    return found


def parse_yaml(text: str, folder: Path) -> Any:
    (folder / "text.yaml").write_text(text, encoding="utf-8")
    return read_yaml(folder / "text.yaml")


def problem(section: str, values: dict[str, Any]) -> str:
    """What is wrong with the quickstart's parameters with another section; empty if nothing is."""
    try:
        check({**QUICKSTART, section: values}, MODELS, section)
    except UserError as error:
        return str(error)
    return ""


def project_files() -> set[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).exists()}


FILES = project_files()
OUTS = {path for stage in STAGES.values() for path in out_paths(stage, "outs", "metrics")}
TOP_LEVEL = {path.split("/")[0] for path in FILES | OUTS | set(IGNORED)}


def exists(path: str) -> bool:
    """Whether git has the file or folder, or it is an out, or below an out or ignored folder."""
    path = path.rstrip("/")
    below = tuple(f"{out}/" for out in OUTS if not any(f.startswith(f"{out}/") for f in FILES))
    return (
        PLACEHOLDER in path
        or path in FILES | OUTS
        or any(known.startswith(f"{path}/") for known in FILES | OUTS | set(IGNORED))
        or path.startswith(below + IGNORED)
    )


def test_every_link_leads_to_a_file_and_a_heading():
    broken = []
    for name, text in DOCS.items():
        for link in links(text):
            path, _, anchor = link.partition("#")
            target = (ROOT / name).parent.joinpath(path).resolve() if path else ROOT / name
            if link.startswith("https://"):
                continue
            inside = target.is_relative_to(ROOT) and exists(str(target.relative_to(ROOT)))
            if not inside or (anchor and anchor not in anchors(target.read_text("utf-8"))):
                broken.append((name, link))
    assert not broken


def test_every_path_exists_or_is_an_out():
    paths = occurrences(r"(?<![\w./~@-])\.?\w[\w.-]*(?:/[\w.-]+)*/?")
    missing = [
        (name, path)
        for name, path in paths
        if (path.split("/")[0] in TOP_LEVEL if "/" in path else path.endswith(FILE_TYPES))
        and not exists(path)
    ]
    assert not missing


def test_every_make_command_exists():
    for name, words in occurrences(r"^ *make((?: [A-Z]+=\S+| [a-z][\w-]*)+)"):
        for word in words.split():
            variable, is_set, value = word.partition("=")
            assert f"$({variable})" in MAKEFILE if is_set else word in TARGETS, (name, word)
            assert variable != "PRESET" or value in PRESETS, (name, word)


def test_make_help_lists_every_target_in_two_columns():
    lines = run("make", "--no-print-directory", "help", cwd=ROOT).splitlines()
    assert {line[:11].strip() for line in lines} == TARGETS
    assert all(line[10] == " " and line[11:].strip() for line in lines)
    assert set(MAKEFILE.split(".PHONY: ")[1].splitlines()[0].split()) == TARGETS


def test_every_stars_command_exists_with_its_options():
    for name, (command, rest) in occurrences(r"^ *stars ([a-z-]+)((?: \S+)*)"):
        assert command in COMMANDS, (name, command)
        options = {option for param in COMMANDS[command].params for option in param.opts}
        used = {word for word in rest.split() if re.match("--?[a-z]", word)}
        assert used <= options, (name, command, rest)
        assert command != "use" or {*rest.split()} <= PRESETS | options | {PLACEHOLDER}, name


def test_every_dvc_command_is_one_that_dvc_parses():
    for name, command in occurrences(r"^ *(?:[A-Z_]+=\S+ )?dvc( \S+(?: \S+)*)"):
        for part in command.split("&& dvc"):
            assert dvc_parses(shlex.split(part)), (name, part)


def dvc_parses(arguments: list[str]) -> bool:
    for attempt in (arguments, [*arguments, "target"]):  # prose names commands without a target
        try:
            parsed = get_main_parser().parse_args(attempt)
        except (DvcParserError, SystemExit):
            continue
        return parsed.cmd != "repro" or set(parsed.targets) <= {*STAGES, "target"}
    return False


def test_every_module_that_is_run_exists():
    for name, module in occurrences(r"python -m ([\w.]+)"):
        assert PLACEHOLDER in module or importlib.util.find_spec(module), (name, module)


def test_every_parameter_exists():
    # `evaluate.load("accuracy")` is a call.
    pattern = rf"(?<![\w./-])({'|'.join(MODELS)})\.([a-z]\w*)(?![\w(])"
    for name, (section, key) in occurrences(pattern):
        models = variants(MODELS[section])[1].values()
        known = {field for model in models for field in model.model_fields}
        assert key in known or f".{key}" in (*FILE_TYPES, ".arrow"), (name, section, key)


def test_every_override_is_valid(tmp_path):
    for name, (quoted, bare) in occurrences(r"(?:-S|--set-param) (?:'([^']+)'|(\S+))"):
        key, _, value = (quoted or bare).partition("=")
        section, _, parameter = key.partition(".")
        for one in [value] if value.startswith("[") else value.split(","):  # a grid
            values = {**QUICKSTART[section], parameter: parse_yaml(one, tmp_path)}
            assert not problem(section, values), name


def test_every_yaml_block_is_valid(tmp_path):
    keys = {key for stage in STAGES.values() for key in stage}
    fences = [(name, block) for name, text in DOCS.items() for block in blocks(text)]
    for name, block in fences:
        tree = parse_yaml(block.text, tmp_path) if block.language == "yaml" else {}
        for section, values in tree.items():
            if section == "stages":
                for stage in values.values():
                    assert {"desc", "cmd", "deps"} <= set(stage) <= keys, name
            elif "source" in values:
                assert not problem(section, values), name
            else:  # a part of a section
                assert not problem(section, {**QUICKSTART.get(section, {}), **values}), name


def test_every_extra_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name, extra in occurrences(r"\.\[(\w+)\]"):
        assert extra in project["optional-dependencies"], name


def test_every_name_of_the_code_occurs_in_the_code():
    sources = {f for f in FILES if f.endswith((".py", ".yaml"))} - {"tests/test_docs.py"}
    known = {word for f in sources for word in re.findall(r"\w+", (ROOT / f).read_text("utf-8"))}
    # Plain words are not only names of the code: `quickstart`, `git`.
    pattern = re.compile(r"(?=\w*[A-Z_])([A-Za-z]\w*)(?:\(\w*\))?")
    for name, text in DOCS.items():
        words = [found[1] for found in map(pattern.fullmatch, inline_code(text)) if found]
        assert not [word for word in words if word not in known and PLACEHOLDER not in word], name


def test_every_target_command_preset_stage_and_out_is_documented():
    assert {word for _, words in occurrences(r"^ *make (.+)") for word in words.split()} >= TARGETS
    assert {command for _, command in occurrences(r"^ *stars ([a-z-]+)")} >= set(COMMANDS)
    assert set(inline_code(DOCS["docs/experiments.md"])) >= PRESETS
    built = {path.rstrip("/") for path in inline_code(DOCS["docs/how-it-is-built.md"])}
    assert built >= set(STAGES) | OUTS
    listed = "\n".join(f"{name:<12}{stage['desc']}" for name, stage in STAGES.items())
    assert listed in DOCS["docs/how-it-is-built.md"]


@pytest.mark.parametrize("name", BOTH)
def test_the_readme_is_short_and_leads_to_every_guide(name):
    assert len(DOCS[name].splitlines()) <= 150
    guides = {guide for guide in GUIDES if guide.startswith(("docs", "CON"))} - {*ENGLISH}
    assert {ENGLISH.get(link, link) for link in links(DOCS[name])} >= guides
    assert " → ".join(STAGES) in DOCS[name]


def paths_of_tree(name: str) -> set[str]:
    """The paths in the tree of a document; each has a comment and exists."""
    paths, parents = set(), {0: ""}
    for line in tree(DOCS[name]).splitlines():
        indent, names, comment = re.fullmatch(r"( *)(\S+(?:, \S+)*)(?: {2,}(.*))?", line).groups()
        assert (comment or "").strip(), line
        for path in names.split(", "):
            parents[len(indent) + 2] = parents[len(indent)] + path
            paths.add(parents[len(indent)] + path)
    assert not [path for path in paths if not exists(path)]
    return paths


def modules(folder: str) -> set[str]:
    return {f for f in FILES if re.match(rf"{folder}/.*\.py$", f) and "__init__" not in f}


@pytest.mark.parametrize("name", BOTH)
def test_the_tree_of_the_readme_has_every_stage_and_every_folder_with_a_comment(name):
    folders = {f"{module.rpartition('/')[0]}/" for module in modules("yelp_stars")}
    top_level = {f"{f.split('/')[0]}/" for f in FILES if "/" in f and not f.startswith(".")}
    assert modules("stages") | folders | top_level <= paths_of_tree(name)


def test_the_tree_of_the_library_has_every_module_with_a_comment():
    assert modules("yelp_stars") <= paths_of_tree("docs/how-it-is-built.md")


def without_link_to_the_other_language(name: str) -> str:
    """The text of a page that has two languages."""
    if name in ENGLISH:
        switch = f"[English]({posixpath.basename(ENGLISH[name])}) | 简体中文"
    else:
        switch = f"English | [简体中文]({posixpath.basename(name).removesuffix('.md')}{ZH})"
    assert DOCS[name].count(switch) == 1, name
    return DOCS[name].replace(switch, "")


def leads_to(name: str, link: str) -> tuple[str, int | None]:
    """The page of a link, and the number of the heading on it: the same in both languages."""
    if link.startswith("https://"):
        return link, None
    path, _, anchor = link.partition("#")
    page = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
    heading = anchors(DOCS[page]).index(anchor) if anchor else None
    if name in ENGLISH:  # on a Chinese page, a link to an English one that is also Chinese is wrong
        page = ENGLISH.get(page, f"{page} in English" if page in ENGLISH.values() else page)
    return page, heading


def outline(name: str, section: str) -> dict[str, Any]:
    """What a section has in both languages: all but the words."""
    text, plan = prose(section), tree(section)
    bare = re.sub(r"`[^`]+`|\]\([^)]+\)", "", text)
    return {
        "level": [marks for marks, _ in headings(section)],
        "lines": [(line.count("|"), line[:2] == "- ", not line) for line in bare.split("\n")],
        "inline code": sorted(inline_code(section)),
        "blocks": [without_comments(b.text) for b in blocks(section) if b.text != plan],
        "tree": re.sub(r"(?<=\S) {2,}.*$", "", plan, flags=re.M),
        "links": [leads_to(name, link) for link in links(section)],
        "numbers": sorted(re.findall(r"\d+(?:[.,]\d+)*", bare)),
    }


@pytest.mark.parametrize("name", ENGLISH)
def test_a_chinese_page_has_the_sections_code_links_and_numbers_of_the_english_one(name):
    chinese, english = (
        [outline(page, section) for section in sections(without_link_to_the_other_language(page))]
        for page in (name, ENGLISH[name])
    )
    assert [section["level"] for section in chinese] == [section["level"] for section in english]
    for section, original in zip(chinese, english):
        assert section == original


def test_the_cells_of_the_notebook_have_the_values_of_its_preset():
    preset = read_yaml(ROOT / "presets" / "notebook.yaml")
    stated = [re.fullmatch(r"(\w+)\.(\w+): (\w+)", code) for code in inline_code(DOCS[NOTEBOOK])]
    values = [found.groups() for found in stated if found]
    assert len(values) >= 10
    for section, parameter, value in values:
        assert str(preset[section][parameter]) == value, (section, parameter)


@pytest.mark.slow
def test_the_code_that_looks_at_the_data_leaves_it_as_it_is(tmp_path):
    (code,) = (block.text for block in blocks(DOCS[NOTEBOOK]) if block.language == "python")
    raw = tmp_path / "data" / "raw" / "train.arrow"
    raw.parent.mkdir(parents=True)
    write_reviews(raw, [(row % 2, f"text {row}") for row in range(20)], ["bad", "good"])
    shown = run(sys.executable, "-c", code, cwd=tmp_path).splitlines()
    assert len(shown) == 10
    assert all(re.fullmatch(r"(\d+) (bad|good) text \1", line) for line in shown)
    assert [*raw.parent.iterdir()] == [raw]


def test_the_hours_of_the_homework_follow_from_the_measured_rates():
    full = read_yaml(ROOT / "presets" / "full.yaml")
    rows = (650_000 - full["sample"]["validation_size"]) * full["train"]["num_train_epochs"]
    assert f"{rows:,} rows" in DOCS[NOTEBOOK]
    row = r"\| (\d+) \| ([\d.]+ GB) \| ([\d.]+) \|$"
    found = re.findall(row, DOCS[NOTEBOOK], re.M)
    row = r"\| (\d+)(?:, \d+)? \| [\d.]+ \| ([\d.]+ GB) \|$"
    measured = re.findall(row, DOCS["docs/gpus.md"], re.M)
    assert len(found) == 3
    for rate, memory, hours in found:
        assert (rate, memory) in measured
        assert hours == f"{rows / int(rate) / 3600:.1f}"


def test_the_output_in_the_readme_is_that_of_stars_show(tmp_path, monkeypatch, capsys):
    if read_yaml(ROOT / "params.yaml") != QUICKSTART:
        pytest.skip("the README shows the quickstart's scores")
    (tmp_path / "models" / "finetuned").mkdir(parents=True)
    (tmp_path / "metrics").mkdir()
    for name in ("test.json", "evaluation.json", "baseline.json"):
        scores = (ROOT / "metrics" / name).read_text("utf-8")
        (tmp_path / "metrics" / name).write_text(scores)
    monkeypatch.chdir(tmp_path)
    cli.show()
    shown = capsys.readouterr().out.strip()
    printed = blocks(DOCS[README].split("<!-- output -->\n")[1])[0].text.strip()
    number = r"\d+\.\d+"
    assert re.sub(number, "#", printed) == re.sub(number, "#", shown)
    # Another CPU rounds other sums: a few of 1,000 reviews may be predicted differently.
    expected = [pytest.approx(float(score), abs=0.02) for score in re.findall(number, shown)]
    assert [float(score) for score in re.findall(number, printed)] == expected
