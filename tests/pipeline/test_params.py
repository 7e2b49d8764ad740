"""params.yaml: every problem in one error, before anything heavy is imported."""

import copy
import datetime
import re

import pytest
from helpers import FILES, FUZZ_EXAMPLES, ROOT, edit, fails_here, stars
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import download
from stages.sample import Params as SampleParams
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import StageParams, check, load_params, stage_models
from yelp_stars.pipeline.yaml_file import read_yaml

MODELS = stage_models()
QUICKSTART = read_yaml(ROOT / "presets" / "quickstart.yaml")
HUB = {"source": "hub", "repo": "o/n", "revision": "0" * 40}
PATHS = ("data/synthetic/sentences.tsv", "data/external", "raw", "u", "m")


def problems(tree) -> str:
    """What `check` reports, or an empty string."""
    try:
        check(tree, MODELS, "params.yaml")
    except UserError as error:
        return str(error)
    return ""


@pytest.fixture
def tree():
    return copy.deepcopy(QUICKSTART)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("sample", "train_size", True, "is true: should be a valid integer, or 'all'"),
        ("sample", "stratify", "yes", "is 'yes': should be true or false"),
        ("sample", "validation_from", "dev", "is 'dev': should be 'train' or 'test'"),
        ("tokenize", "max_length", 7, "is 7: should be greater than or equal to 8"),
        ("train", "learning_rate", "2e-5", "is '2e-5': should be a valid number"),
        ("train", "learning_rate", float("inf"), "is inf: should be a finite number"),
        ("train", "seed", 2**32, "is 4294967296: "),
        ("pretrained", "package", 3, "is 3: should be text; quote a number"),
        ("pretrained", "package", "", "is '': should have at least 1 character"),
        ("download", "source", "web", "is 'web': should be 'synthetic', 'files', 'hub'"),
        ("pretrained", "sha256", "abc", "is 'abc': "),
    ],
)  # fmt: skip
def test_a_wrong_value_is_reported_with_its_key_and_what_is_allowed(
    tree, section, key, value, message
):
    tree[section][key] = value
    assert problems(tree).startswith(f"params.yaml: {section}.{key} {message}")
    assert "\n" not in problems(tree)


@pytest.mark.parametrize(
    ("section", "key", "advice"),
    [
        ("train", "batch", "remove it or check its spelling"),
        ("download", "repo", "remove it or check its spelling"),  # of another source
        ("train", "launcher", "set the environment variable STARS_LAUNCHER instead"),
        ("train", "per_device_train_batch_size", "write batch_size, the rows of a step over all"),
    ],
)
def test_a_wrong_key_is_reported_and_an_old_one_with_its_replacement(tree, section, key, advice):
    tree[section][key] = 3
    assert problems(tree).startswith(f"params.yaml: {section}.{key} is not a parameter: {advice}")
    del tree[section][key]
    assert problems(tree) == ""


def test_a_missing_key_and_a_missing_or_unknown_section_are_reported(tree):
    del tree["sample"]["stratify"]
    del tree["download"]["source"]
    del tree["evaluate"]
    tree["trian"] = {}
    lines = problems(tree).splitlines()
    assert lines[0] == "params.yaml: 4 problems"
    assert set(lines[1:]) == {
        f"  - 'trian' is not a section; the sections are {', '.join(MODELS)}",
        "  - sample.stratify is missing: add it",
        "  - download.source is missing: add it",
        "  - section 'evaluate' is missing",
    }


@pytest.mark.parametrize("section", ["", None, [], 3, "train"])
def test_a_section_without_keys_is_reported(tree, section):
    tree["evaluate"] = section
    tree["download"] = section
    message = problems(tree)
    assert message.startswith("params.yaml: 2 problems\n")
    assert "  - evaluate is " in message
    assert "  - download" in message


@pytest.mark.parametrize("content", [None, [1], "just words", 3])
def test_a_file_without_sections_is_reported(content):
    assert problems(content) == f"params.yaml must have the sections {', '.join(MODELS)}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"batch_size": 16, "gradient_accumulation_steps": 3},
            "batch_size should be a multiple of gradient_accumulation_steps",
        ),
        (
            {"freeze_embeddings": False, "frozen_layers": 2},
            "frozen_layers above 0 requires freeze_embeddings: true",
        ),
    ],
)
def test_parameters_of_a_training_that_do_not_fit_together_are_reported(tree, values, message):
    tree["train"].update(values)
    assert problems(tree) == f"params.yaml: train is inconsistent: {message}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_size": None}, "set either test_file or test_size"),
        ({"test_file": "a.csv", "test_size": None}, "test_file is train_file; set it to null"),
        ({"text_column": 1}, "two different names, or two indices"),
        ({"text_column": 1, "label_column": 1}, "two different names, or two indices"),
        ({"train_file": "../secret.csv"}, "must be a path inside data/external"),
        ({"test_file": "/etc/passwd", "test_size": None}, "must be a path inside data/external"),
        ({"labels": {"0": "bad", "1": "bad"}}, "two different names"),
    ],
)
def test_parameters_that_do_not_fit_together_are_reported(tree, change, message):
    tree["download"] = {**FILES, **change}
    assert problems(tree).startswith("params.yaml: download is inconsistent: ")
    assert message in problems(tree)
    tree["download"] = FILES
    assert problems(tree) == ""


@pytest.mark.parametrize(
    ("section", "values", "key"),
    [
        ("download", {**FILES, "labels": {"0": "bad", "1": ""}}, "download.labels.1 is ''"),
        ("download", {**FILES, "text_column": -1}, "download.text_column is -1"),
        ("download", {**FILES, "encoding": "rot13"}, "download.encoding is 'rot13'"),
        ("download", {**FILES, "delimiter": ";;"}, "download.delimiter is ';;'"),
        ("pretrained", {"source": "folder", "folder": "../x"}, "pretrained.folder is '../x'"),
        ("pretrained", {"source": "folder"}, "pretrained.folder is missing"),
        ("pretrained", {**HUB, "revision": "main"}, "pretrained.revision is 'main'"),
        ("pretrained", {**HUB, "repo": "name"}, "pretrained.repo is 'name'"),
    ],
)
def test_the_keys_of_a_source_are_checked(tree, section, values, key):
    tree[section] = values
    assert problems(tree).startswith(f"params.yaml: {key}")
    assert "\n" not in problems(tree)


@pytest.mark.parametrize(
    ("key", "written"),
    [(1.5, "1.5"), (None, "null"), (datetime.date(2001, 1, 1), "datetime.date("),
     ("\x1b[31mred", r"'\x1b[31mred'"), ("x" * 500, f"'{'x' * 79}…")],
)  # fmt: skip
def test_a_wrong_key_is_named_once_and_harmless_to_a_terminal(tree, key, written):
    tree["train"][key] = 1
    message = problems(tree)
    assert message.startswith("params.yaml: train.")
    assert "is not a parameter: remove it or check its spelling" in message
    assert len(message) < 200
    with pytest.raises(UserError) as caught:
        check({"s": {"labels": {key: []}}}, {"s": Mapped}, "params.yaml")
    assert str(caught.value).count(written) == 1


class Mapped(StageParams):
    """A section with a mapping."""

    labels: dict[str | int, str]


def test_wrong_keys_of_a_mapping_have_a_line_each_and_what_is_allowed():
    with pytest.raises(UserError) as caught:
        check({"s": {"labels": {1.0: "a", 2.0: "b"}}}, {"s": Mapped}, "params.yaml")
    assert caught.value.problems == tuple(
        f"s.labels has the key {key}: should be text; quote a number, or a valid integer"
        for key in (1.0, 2.0)
    )


def test_a_pattern_comes_with_the_command_that_explains_it(tree, capsys):
    tree["pretrained"]["sha256"] = "abc"
    command = re.search("run `stars (.*)` for its meaning", problems(tree))[1]
    assert stars(*command.split()) == 0
    assert "SHA-256 of its model.safetensors" in capsys.readouterr().out


HOSTILE = [
    "2001-99-99", "!!int abc", "1" * 5000, "[" * 2000, "1e400", ".nan", "'x", "&a [*a]", "*b",
    "<<: 1", "\x1b[31m", "\u202e", "'" + "x" * 3000 + "'", "!!python/object:os.system x", "? a",
    "|", "%", "\t", "0x_", '"\\ud800"', '"\\0"', "18446744073709551616", "{1.5: a, null: b}",
]  # fmt: skip
TEXT = (ROOT / "presets" / "quickstart.yaml").read_text("utf-8")
# (where a key or a value begins, whether to leave out the rest of its line, what to put there)
SPLICES = st.tuples(
    st.sampled_from([match.end() for match in re.finditer(r": |\n *", TEXT)]),
    st.booleans(),
    st.sampled_from(["", "  ", "seed: 1\n", *HOSTILE]),
)
YAML_LIKE = st.text(" \n-:,[]{}#&*!|>'\"%@`?\\aU01\t<=~", max_size=40).map(str.encode)


@pytest.mark.slow
@settings(max_examples=FUZZ_EXAMPLES // 3)
@given(splices=st.lists(SPLICES, min_size=1, max_size=4), other=st.binary(max_size=60) | YAML_LIKE)
def test_any_file_is_read_or_reported_in_short_lines(tmp_path_factory, splices, other):
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    mutated = TEXT
    for place, cut, inserted in splices:
        rest = mutated[place:]
        mutated = mutated[:place] + inserted + (rest[rest.find("\n") :] if cut else rest)
    for content in (mutated.encode(), other):
        path.write_bytes(content)
        try:
            check(read_yaml(path), MODELS, "params.yaml")
        except UserError as error:
            shown = str(error).split("\n")
            assert len(shown) <= 22
            assert all(line.isprintable() and len(line) <= 504 for line in shown)


def test_a_section_is_returned_typed_and_frozen(data_project):
    params = load_params(SampleParams, "sample")
    assert (params.train_size, params.validation_from) == (60, "train")
    with pytest.raises(ValueError, match="frozen"):
        params.train_size = 3


def test_a_stage_reports_the_mistakes_of_every_section_before_it_works(data_project):
    edit(data_project, "evaluate", per_device_eval_batch_size=0)
    message = fails_here(download.main, *PATHS)
    assert message.startswith("params.yaml: evaluate.per_device_eval_batch_size is 0:")
    assert not (data_project / "raw").exists()
