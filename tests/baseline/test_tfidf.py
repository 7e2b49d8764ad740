"""What a model must beat: exact shares, a fit that needs no luck, and cases with nothing to fit."""

import re

import numpy as np
import pytest
from helpers import FUZZ_EXAMPLES, ROOT, SENTENCES, run
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from yelp_stars.baseline.regression import predict
from yelp_stars.baseline.tfidf import WORD, fit, majority
from yelp_stars.data import synthetic

BANK = synthetic.read_bank(SENTENCES, "train")


def reviews(rows: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    made = synthetic.reviews(BANK, rows, median_words=20, label_noise=0.0, seed=seed, split="train")
    labels, texts = zip(*made, strict=True)
    return list(texts), np.array(labels)


def test_the_majority_class_is_predicted_with_the_shares_of_the_classes():
    logits = majority(np.array([2, 2, 0, 2]), 3, 4)
    assert np.allclose(softmax(logits, axis=1), [[0.25, 0, 0.75, 0]] * 3)
    assert np.isfinite(logits).all()


def test_tf_idf_with_logistic_regression_is_scikit_learns():
    texts, labels = reviews(400)
    others, _ = reviews(50, seed=1)
    found = predict(fit(texts, labels, 10**6, 3.0), others, 5)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    oracle = LogisticRegression(C=3.0, max_iter=200).fit(vectorizer.fit_transform(texts), labels)
    expected = oracle.predict_proba(vectorizer.transform(others))
    assert np.allclose(softmax(found, axis=1), expected, atol=1e-6)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("most", [1, 4, 100])
def test_the_most_frequent_words_are_counted_and_the_alphabet_decides_between_equals(most):
    # Twice each: too few for their order to be that of any sort by accident.
    texts = ["zoo apple zoo, kiwi? Pear! fig fig fig"] * 2
    singles = ["fig", "zoo", "apple", "kiwi", "pear"]
    pairs = ["fig fig", "apple zoo", "kiwi pear", "pear fig", "zoo apple", "zoo kiwi"]
    frequency = dict.fromkeys(singles + pairs, 1) | {"fig": 3, "zoo": 2, "fig fig": 2}
    expected = sorted(frequency, key=lambda word: (-frequency[word], word))[:most]
    model = fit(texts, np.array([0, 1]), most, 1.0)
    assert set(model[0].get_feature_names_out()) == set(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Die Pizza, süß & gut: 5 of 10", ["die", "pizza", "süß", "gut", "of", "10"]),
        ("味道很好", ["味", "道", "很", "好"]),
        ("這家pizza真差。", ["這", "家", "pizza", "真", "差"]),
        ("とてもイイ", ["と", "て", "も", "イ", "イ"]),
        ("정말 맛있어요", ["정말", "맛있어요"]),
        ("очень вкусно", ["очень", "вкусно"]),
    ],
)
def test_words_are_those_between_spaces_and_the_characters_of_chinese_and_japanese(text, words):
    assert re.findall(WORD, text.lower()) == words


@pytest.mark.parametrize("c", [1e-300, 1.0, 1e300])
def test_any_strength_of_the_penalty_has_finite_logits_and_no_warning(c, recwarn):
    texts, labels = reviews(100)
    assert np.isfinite(predict(fit(texts, labels, 1000, c), texts, 5)).all()
    assert not recwarn.list


@given(
    rows=st.lists(
        st.tuples(st.text(alphabet=" ab\n\0好\U0001f32e\u0301", max_size=12), st.integers(0, 19)),
        min_size=1, max_size=12,
    ),
    others=st.lists(st.text(max_size=20), min_size=1, max_size=3),
    most=st.integers(1, 5),
)  # fmt: skip
@settings(max_examples=FUZZ_EXAMPLES // 5)
def test_any_rows_have_the_logits_of_all_classes(rows, others, most):
    texts, labels = [text for text, _ in rows], np.array([label for _, label in rows])
    model = fit(texts, labels, most, 3.0)
    if model is None:
        return
    logits = predict(model, others, 20)
    assert logits.shape == (len(others), 20)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert set(logits.argmax(axis=1)) <= set(labels)


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["", " ", ""], [0, 1, 0]),
        (["one", "two", "three"], [0, 1, 1]),  # no word twice
        (["good food", "good food"], [1, 1]),
        (["a b", "b a"], [0, 1]),
    ],
    ids=["empty", "nothing shared", "one class", "letters"],
)
def test_a_model_is_none_where_there_is_nothing_to_fit(texts, labels):
    assert fit(texts, np.array(labels), 100, 1.0) is None


FIT = f"""
import hashlib
from pathlib import Path
from yelp_stars.baseline.regression import predict
from yelp_stars.baseline.tfidf import fit
from yelp_stars.data import synthetic
bank = synthetic.read_bank(Path({str(SENTENCES)!r}), "train")
options = dict(median_words=20, label_noise=0.0, seed=0, split="train")
labels, texts = zip(*synthetic.reviews(bank, 400, **options))
model = fit(texts, labels, 300, 3.0)
logits = predict(model, texts, 5)
words = " ".join(model[0].get_feature_names_out())
print(*(hashlib.sha256(made).hexdigest() for made in (logits.tobytes(), words.encode())))
print((logits.argmax(axis=1) == labels).mean())
"""


@pytest.mark.thorough
def test_the_logits_do_not_depend_on_the_threads_nor_the_words_on_the_kind_of_cpu():
    # NumPy sorts equal numbers in another order with and without these instructions.
    fewer = " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
    threads = ({"OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n} for n in "12")
    one, two, old = (
        run("python", "-W", "ignore", "-c", FIT, cwd=ROOT, **env).split()
        for env in (*threads, {"NPY_DISABLE_CPU_FEATURES": fewer})
    )
    assert one == two
    assert one[1:] == old[1:]
