"""Would a small, fast student do? Its accuracy and speed beside those of its teacher.

`python -m benchmarks.student` trains the preset cpu's recipe on 1,000 real reviews (the private
sample beside the project), fits students on its probabilities, and scores all on 1,000 others. It
writes benchmarks/STUDENT.md. About eight minutes.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.machine import describe_machine
from benchmarks.quality import SAMPLE, params
from benchmarks.workspace import ROOT, commit, lay_out, measure, stage_command
from yelp_stars.classifier.classify import Classifier
from yelp_stars.classifier.transformer import Transformer
from yelp_stars.comparing.paired import accuracy_difference
from yelp_stars.data import arrow, synthetic
from yelp_stars.evaluation.intervals import proportion

STAGES = ("download", "audit", "pretrained", "tokenize", "sample", "baseline", "train", "evaluate")
UNLABELLED = 6000  # synthetic reviews that the teacher labels as well
# C of the regression; nothing is chosen: all are shown.
STRENGTHS = {"TF-IDF": (3.0, 30.0), "mean token vector": (0.01, 0.1)}
CASCADES = ("TF-IDF, C = 30", "mean token vector, C = 0.01")
SHARES = (0.1, 0.2, 0.3)  # of the texts that the student answers in a cascade
Predict = Callable[[list[str]], np.ndarray]


def train_teacher(folder: Path) -> Classifier:
    """Train the preset cpu on 1,000 reviews of the sample; the other 1,000 are the test rows."""
    lay_out(folder, params(1000, 1))
    commit(folder)
    shutil.copy(SAMPLE, folder / "data" / "external")
    for name in STAGES:
        measure(stage_command(name), folder)
    return Classifier.load(folder / "models" / "finetuned", "auto", None, None)


def reviews(folder: Path, split: str) -> tuple[list[str], np.ndarray]:
    """Texts and labels of the sample's split."""
    table = arrow.read(folder / "data" / "sample" / f"{split}.arrow")
    texts = arrow.read(folder / "data" / "raw" / f"{split}.arrow")["text"]
    return texts.take(arrow.column(table, "row")).to_pylist(), arrow.column(table, "label")


def fit(features: Any, probabilities: np.ndarray, strength: float) -> LogisticRegression:
    """Logistic regression on probabilities: each row once for each class, weighted."""
    rows, classes = probabilities.shape
    sparse = scipy.sparse.issparse(features)
    repeated = (scipy.sparse.vstack if sparse else np.vstack)([features] * classes)
    labels = np.repeat(np.arange(classes), rows)
    model = LogisticRegression(C=strength, max_iter=300)
    return model.fit(repeated, labels, sample_weight=probabilities.T.ravel())


def predict_with(model: LogisticRegression, features: Callable[[list[str]], Any]) -> Predict:
    """A student's answers to texts."""

    def predict(texts: list[str]) -> np.ndarray:
        found: np.ndarray = model.predict_proba(features(texts))
        return found

    return predict


def students(
    teacher: Classifier, texts: list[str], probabilities: np.ndarray
) -> dict[str, tuple[Predict, float]]:
    """Students by name: how they predict, and their size in MB."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    counted = vectorizer.fit_transform(texts)
    assert isinstance(teacher.model, Transformer)
    model = teacher.model
    embeddings = model._model.get_input_embeddings().weight.detach().float().numpy()

    def mean(some: list[str]) -> np.ndarray:
        rows = model.encode(some).ids
        return np.stack([embeddings[ids].mean(axis=0) for ids in rows])

    means = mean(texts)
    center, scale = means.mean(axis=0), means.std(axis=0)

    def standardized(some: list[str]) -> Any:
        return (mean(some) - center) / scale

    found: dict[str, tuple[Predict, float]] = {}
    for strength in STRENGTHS["TF-IDF"]:
        words = fit(counted, probabilities, strength)
        found[f"TF-IDF, C = {strength:g}"] = (
            predict_with(words, vectorizer.transform),
            words.coef_.size * 4 / 1e6,
        )
    for strength in STRENGTHS["mean token vector"]:
        vectors = fit(standardized(texts), probabilities, strength)
        # A regression on the mean vector is a mean of five numbers per token: they are its size.
        found[f"mean token vector, C = {strength:g}"] = (
            predict_with(vectors, standardized),
            len(embeddings) * probabilities.shape[1] * 4 / 1e6,
        )
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        teacher = train_teacher(folder)
        size = (folder / "models" / "finetuned" / "model.safetensors").stat().st_size / 1e6
        train, train_labels = reviews(folder, "train")
        tested, labels = reviews(folder, "test")
    bank = synthetic.read_bank(ROOT / "data" / "synthetic" / "sentences.tsv", "train")
    more = synthetic.reviews(
        bank, UNLABELLED, median_words=60, label_noise=0.0, seed=1, split="train"
    )
    texts = [*train, *(text for _, text in more)]
    probabilities = teacher.scores(texts).probabilities
    answers: dict[str, np.ndarray] = {}
    made: dict[str, Predict] = {}
    lines: list[str] = []

    def add_row(name: str, rate: float, megabytes: str, guess: np.ndarray) -> None:
        right = proportion(int((guess == labels).sum()), len(labels))
        gap = accuracy_difference(labels, answers["teacher"].argmax(axis=1), guess)
        lines.append(
            f"| {name} | {rate:,.0f} | {megabytes} | {right['value']:.3f} "
            f"[{right['low']:.3f}, {right['high']:.3f}] | {gap.difference:+.3f} "
            f"[{gap.low:+.3f}, {gap.high:+.3f}] |"
        )

    def add_model(name: str, predict: Predict, megabytes: float) -> None:
        predict(tested[:50])
        started = time.perf_counter()
        answers[name], made[name] = predict(tested), predict
        rate = len(tested) / (time.perf_counter() - started)
        add_row(name, rate, f"{megabytes:.1f}", answers[name].argmax(axis=1))

    add_model("teacher", lambda some: teacher.scores(some).probabilities, size)
    hard = np.eye(len(teacher.label_names))[train_labels]
    for name, (predict, megabytes) in students(teacher, train, hard).items():
        add_model(f"{name}, on 1,000 labels, no teacher", predict, megabytes)
    for extra, count in (("", len(train)), (f" and {UNLABELLED:,} synthetic ones", len(texts))):
        for name, (predict, megabytes) in students(
            teacher, texts[:count], probabilities[:count]
        ).items():
            add_model(f"{name}, on 1,000 reviews{extra}", predict, megabytes)
    first = answers["teacher"].argmax(axis=1)
    for student in CASCADES:
        for name in [name for name in answers if name.startswith(f"{student}, on 1,000 reviews")]:
            sure = answers[name].max(axis=1)
            for share in SHARES:
                threshold = float(np.quantile(sure, 1 - share))
                left = [text for text, p in zip(tested, sure) if p < threshold]
                started = time.perf_counter()
                made[name](tested)
                teacher.scores(left)
                rate = len(tested) / (time.perf_counter() - started)
                guess = np.where(sure >= threshold, answers[name].argmax(axis=1), first)
                add_row(f"cascade, {share:.0%} by {name} (p ≥ {threshold:.2f})", rate, "", guess)
    text = "\n".join(
        [
            "# A student",
            "",
            f"`python -m benchmarks.student`: {describe_machine('torch', 'scikit-learn')}.",
            "",
            "The teacher is the preset `cpu` on 1,000 real reviews, in "
            f"{teacher.model.precision}; the students are logistic regressions on its "
            "probabilities. All are scored on 1,000 other reviews: accuracy and the paired "
            "difference from the teacher, with 95 % intervals. In a cascade the student's surest "
            "answers are kept, and the teacher gives the rest.",
            "",
            "| model | texts/s | MB | accuracy | difference |",
            "|---|---|---|---|---|",
            *lines,
            "",
        ]
    )
    (ROOT / "benchmarks" / "STUDENT.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
