"""A student repeats what a model says: its fit, its files, its place in the library."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import FUZZ_EXAMPLES, ROOT, result_or_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy.special import log_softmax, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from yelp_stars import load_classifier
from yelp_stars.baseline import tfidf
from yelp_stars.classifier.classify import fingerprint
from yelp_stars.classifier.student import Student, Weights, fit
from yelp_stars.pipeline.errors import UserError
from yelp_stars.scoring import calibration

NAMES = ["1 star", "2 stars", "3 stars"]
WORDS = ("bad", "cold", "fine", "okay", "great", "lovely", "soup", "staff")
QUIET = tqdm(disable=True)


def make_texts(n=120, labels=3, seed=0):
    """Texts, and probabilities that follow their words."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(WORDS), size=(n, 6))
    logits = rng.normal(size=(len(WORDS), labels))[drawn].sum(axis=1)
    return [" ".join(WORDS[word] for word in row) for row in drawn], softmax(logits, axis=1)


@pytest.fixture(scope="module")
def texts():
    return make_texts()[0]


@pytest.fixture(scope="module")
def student(texts):
    return fit(texts, make_texts()[1], NAMES, 1000, 30.0)


@pytest.fixture
def folder(student, tmp_path):
    (tmp_path / "student").mkdir()
    student.save(tmp_path / "student")
    return tmp_path / "student"


def test_it_learns_the_probabilities_not_only_the_most_likely_label(student, texts):
    _, wanted = make_texts()
    logits, truncated = student.logits(texts, QUIET)
    found = softmax(logits, axis=1)
    assert not truncated.any()
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.95
    assert abs(found - wanted).mean() < 0.05


@pytest.mark.parametrize("labels", [2, 3])
def test_no_small_change_of_a_weight_fits_better(labels):
    texts, wanted = make_texts(60, labels)
    names, c = [f"label {number}" for number in range(labels)], 1.0
    student = fit(texts, wanted, names, 1000, c)

    def loss(weights):
        logits, _ = Student(names, student.words, weights).logits(texts, QUIET)
        penalty = (weights.coefficients.astype(np.float64) ** 2).sum() / (2 * c)
        if labels == 2:  # scikit-learn fits one row of weights then
            penalty = (weights.coefficients[:, 1].astype(np.float64) ** 2).sum() / (2 * c)
        return penalty - (wanted * log_softmax(logits, axis=1)).sum()

    best = loss(student.weights)
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 0.05 * rng.normal(size=student.weights.coefficients.shape).astype(np.float32)
        if labels == 2:
            step[:, 0] = 0
        changed = student.weights._replace(coefficients=student.weights.coefficients + step)
        assert loss(changed) > best


def test_its_features_are_those_of_scikit_learns_tf_idf(student, texts):
    theirs = TfidfVectorizer(
        ngram_range=(1, 2), token_pattern=tfidf.WORD, sublinear_tf=True, min_df=2
    )
    expected = theirs.fit_transform(texts) @ student.weights.coefficients.astype(np.float64)
    assert student.words == list(theirs.get_feature_names_out())
    logits, _ = student.logits(texts, QUIET)
    assert np.allclose(logits, expected + student.weights.intercepts, atol=1e-5)


def test_a_loaded_student_is_the_saved_one(student, folder, texts):
    logits, _ = Student.load(folder, "auto").logits(texts, QUIET)
    assert np.array_equal(logits, student.logits(texts, QUIET)[0])
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "vocabulary.json",
    ]


def test_it_is_a_classifier_like_any_other(folder, texts):
    classify = load_classifier(folder)
    (found, unknown) = classify([texts[0], "zzz"])
    assert list(found.probabilities) == NAMES
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.range == ()
    assert not found.truncated
    assert sum(unknown.probabilities.values()) == pytest.approx(1)
    assert classify([]) == []
    fitted = calibration.fit(np.eye(3)[[0, 1, 2, 0]] * 3, np.array([0, 1, 2, 1]), True)
    (folder / calibration.FILE).write_text(json.dumps(calibration.as_json(fitted)))
    assert load_classifier(folder)([texts[0]])[0].range


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=5))
def test_a_text_has_the_same_logits_whatever_is_beside_it(student, texts):
    logits, _ = student.logits(texts, QUIET)
    assert np.isfinite(logits).all()
    for text, row in zip(texts, logits):
        assert np.array_equal(student.logits([text], QUIET)[0][0], row)


def test_the_result_does_not_depend_on_the_number_of_cores(student, texts):
    for cores in (1, 2):
        with threadpool_limits(cores):
            again = fit(texts, make_texts()[1], NAMES, 1000, 30.0)
        assert all(map(np.array_equal, again.weights, student.weights))


def test_it_needs_no_torch(folder):
    code = (
        "import sys, yelp_stars; classify = yelp_stars.load_classifier(sys.argv[1])\n"
        "print(len(classify(['soup'])), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "1 False\n", done.stderr


def test_texts_without_a_common_word_are_one_line():
    with pytest.raises(UserError, match="no word is in two of 2 texts; add --unlabelled FILE"):
        fit(["one", "two"], np.full((2, 3), 1 / 3), NAMES, 10, 1.0)


def test_only_the_most_frequent_words_are_kept(texts):
    assert len(fit(texts, make_texts()[1], NAMES, 5, 1.0).words) == 5


def test_another_precision_is_refused(folder):
    assert "choose precision auto or fp32" in result_or_line(
        lambda: load_classifier(folder, precision="bf16")
    )


def test_the_fingerprint_knows_the_words(folder):
    before = fingerprint(folder)
    path = folder / "vocabulary.json"
    path.write_text(path.read_text().replace("soup", "soap"))
    assert fingerprint(folder) != before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@settings(max_examples=FUZZ_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["id2label", "vocabulary", "weights"]),
    value=JSON,
    content=st.binary(max_size=60),
)
def test_a_damaged_folder_is_one_line_never_an_answer(folder, name, value, content):
    copy = shutil.copytree(folder, folder.parent / "copy", dirs_exist_ok=True)
    if name == "id2label":
        config = {"model_type": "yelp_stars_student", "id2label": value}
        (copy / "config.json").write_text(json.dumps(config))
    elif name == "vocabulary":
        (copy / "vocabulary.json").write_text(json.dumps(value))
    else:
        (copy / "model.safetensors").write_bytes(content)
    found = result_or_line(lambda: load_classifier(copy))
    assert found.endswith("has a damaged student; run `stars distill --force`")


@pytest.mark.parametrize(
    "change",
    [
        {"idf": np.ones(3, np.float32)},
        {"intercepts": np.array([0, np.nan, 0], np.float32)},
        {"intercepts": np.zeros(3, np.int64)},
        {"coefficients": None},
    ],
)
def test_weights_of_another_shape_dtype_or_value_are_one_line(student, folder, change):
    values = {**student.weights._asdict(), **change}
    save_file({k: v for k, v in values.items() if v is not None}, folder / "model.safetensors")
    assert "damaged student" in result_or_line(lambda: load_classifier(folder))


def test_the_weights_are_named(student):
    assert Weights._fields == ("idf", "coefficients", "intercepts")
    assert student.weights.coefficients.shape == (len(student.words), len(NAMES))
