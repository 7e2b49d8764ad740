"""A student: logistic regression on TF-IDF that repeats what a slower model says.

Its folder has the shape of a transformer's: config.json, model.safetensors, calibration.json; the
words are in vocabulary.json.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import sklearn
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix, vstack
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from yelp_stars.baseline import tfidf
from yelp_stars.classifier.classify import CONFIG, STUDENT, VOCABULARY
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted
from yelp_stars.scoring import calibration

WEIGHTS = "model.safetensors"
FILES = {CONFIG, WEIGHTS, VOCABULARY, calibration.FILE}  # of its folder
MOST_BYTES = 200_000_000  # of a file; 50,000 words need 2 MB
MOST_LABELS = 10_000
TEXTS_AT_A_TIME = 1000


class Weights(NamedTuple):
    """The numbers of a student."""

    idf: np.ndarray
    """Inverse document frequency of each word or pair of words, of shape (words,), float32."""
    coefficients: np.ndarray
    """Of shape (words, labels), float32."""
    intercepts: np.ndarray
    """Of shape (labels,), float32."""


class Student:
    """Words, their weights, and the names of the labels."""

    def __init__(self, label_names: list[str], words: list[str], weights: Weights) -> None:
        self.label_names, self.words, self.weights = label_names, words, weights
        self._counter = tfidf.make_counter(vocabulary=words)

    @classmethod
    def load(cls, folder: Path, precision: str) -> Self:
        """Read a student's folder.

        Raises:
            UserError: if a file is missing or damaged, or another precision is asked for.
        """
        if precision not in ("auto", "fp32"):
            raise UserError(f"{quoted(str(folder))} has a student: choose precision auto or fp32")
        try:
            names, words, weights = _read(folder)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
                raise
            raise UserError(
                f"{quoted(str(folder))} has a damaged student; run `stars distill --force`"
            ) from None
        return cls(names, words, weights)

    def save(self, folder: Path) -> None:
        """Write the files of a student into an empty folder."""
        numbers = {str(number): name for number, name in enumerate(self.label_names)}
        config = {
            "model_type": STUDENT,
            "id2label": numbers,
            "label2id": {name: int(number) for number, name in numbers.items()},
        }
        for name, content in ((CONFIG, config), (VOCABULARY, self.words)):
            text = json.dumps(content, ensure_ascii=False, indent=0) + "\n"
            (folder / name).write_text(text, encoding="utf-8")
        save_file(self.weights._asdict(), folder / WEIGHTS)

    def logits(self, texts: Sequence[str], bar: tqdm) -> tuple[np.ndarray, np.ndarray]:
        """The logits (texts, labels) as float64; no text is cut."""
        logits = np.empty((len(texts), len(self.label_names)))
        for start in range(0, len(texts), TEXTS_AT_A_TIME):
            some = texts[start : start + TEXTS_AT_A_TIME]
            # As in TfidfTransformer(sublinear_tf=True).
            counts = self._counter.transform(some).astype(np.float64)
            np.log(counts.data, out=counts.data)
            counts.data += 1
            weighted = normalize(counts.multiply(self.weights.idf.astype(np.float64)).tocsr())
            logits[start : start + len(some)] = (
                weighted @ self.weights.coefficients.astype(np.float64) + self.weights.intercepts
            )
            bar.update(len(some))
        return logits, self.too_long(texts)

    def too_long(self, texts: Sequence[str]) -> np.ndarray:
        """False for each text: all of it is read."""
        return np.zeros(len(texts), bool)

    @property
    def precision(self) -> str:
        """What it computes in."""
        return "fp32"

    @property
    def reads(self) -> str:
        """What it reads of a text, for people."""
        return f"a student with {len(self.words):,} words and pairs of words"

    @property
    def info(self) -> dict[str, Any]:
        """No limit of length."""
        return {"max_input_length": None, "truncation": None}

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the logits, beside the files of the model."""
        return {"version of scikit-learn": sklearn.__version__}


def fit(
    texts: list[str], probabilities: np.ndarray, label_names: list[str], max_features: int, c: float
) -> Student:
    """Fit a student to what a model says about texts: probabilities (texts, labels).

    `c` is the inverse strength of the L2 penalty. The result does not depend on the number of
    cores.

    Raises:
        UserError: if no two texts have a word in common.
    """
    counted = tfidf.count_words(texts, max_features)
    if counted is None:
        raise UserError(f"no word is in two of {len(texts):,} texts; add --unlabelled FILE")
    counter, counts = counted
    weights = TfidfTransformer(sublinear_tf=True)
    rows, labels = probabilities.shape
    with threadpool_limits(1):  # sums over several threads differ in their last digits
        weighted = weights.fit_transform(counts)
        # Each text once for each label, weighted by its probability: the loss is the cross-entropy
        # with the probabilities.
        regression = LogisticRegression(C=c, max_iter=300).fit(
            vstack([csr_matrix(weighted)] * labels),
            np.repeat(np.arange(labels), rows),
            sample_weight=probabilities.T.ravel(),
        )
    coefficients, intercepts = regression.coef_, regression.intercept_
    if labels == 2:  # one row: the logits of the second label
        coefficients, intercepts = (
            np.stack([np.zeros_like(each[0]), each[0]]) for each in (coefficients, intercepts)
        )
    weights = Weights(
        *(
            np.ascontiguousarray(each, np.float32)
            for each in (weights.idf_, coefficients.T, intercepts)
        )
    )
    return Student(label_names, [str(word) for word in counter.vocabulary], weights)


def _read(folder: Path) -> tuple[list[str], list[str], Weights]:
    """The content of a folder; any of the errors that `Student.load` expects if it is damaged."""
    for name in (CONFIG, VOCABULARY, WEIGHTS):
        if (folder / name).stat().st_size > MOST_BYTES:
            raise ValueError(name)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    numbers = config["id2label"]
    names = [numbers[str(number)] for number in range(min(len(numbers), MOST_LABELS))]
    words = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    found = load_file(folder / WEIGHTS)
    weights = Weights(*(found[name] for name in Weights._fields))
    shapes = ((len(words),), (len(words), len(names)), (len(names),))
    valid = (
        len(names) > 1
        and type(words) is list
        and len(words) > 0
        and all(type(each) is str for each in (*names, *words))
        and len(set(words)) == len(words)
        and all(
            each.shape == shape and each.dtype == np.float32 and math.isfinite(abs(each).sum())
            for each, shape in zip(weights, shapes)
        )
    )
    if not valid:
        raise ValueError("sizes")
    return names, words, weights
