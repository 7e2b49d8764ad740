"""Synthetic reviews: balanced, seeded, as long and as mixed as Yelp's, split without a leak."""

import re
from collections import Counter

import pytest
from helpers import SENTENCES

from yelp_stars.data import synthetic
from yelp_stars.pipeline.errors import Damaged


def reviews(rows, split="train", **changes):
    options = {"median_words": 40, "label_noise": 0.1, "seed": 0, **changes}
    bank = synthetic.read_bank(SENTENCES, split)
    return list(synthetic.reviews(bank, rows, split=split, **options))


def test_the_bank_has_several_hundred_sentences_for_each_split_and_shares_none():
    lines = [line.split("\t") for line in SENTENCES.read_text("utf-8").splitlines()]
    train = {text for split, _, _, text in lines if split == "train"}
    test = {text for split, _, _, text in lines if split == "test"}
    assert len(train) > 800
    assert len(test) > 400
    assert not train & test
    slots = set(re.findall(r"{\w*}", " ".join(train | test)))
    assert slots == set(synthetic.SLOTS)


def test_a_test_review_has_no_sentence_of_the_train_split():
    train = synthetic.read_bank(SENTENCES, "train")
    shown = [s for sentences in train.values() for s in sentences if "{" not in s]
    texts = " ".join(text for _, text in reviews(500, "test")).lower()
    assert not [sentence for sentence in shown if sentence.lower() in texts]


def test_reviews_are_balanced_and_a_prefix_of_more():
    few, many = reviews(1005), reviews(2500)
    assert many[:1005] == few
    assert set(Counter(label for label, _ in few).values()) == {201}
    for start in range(0, 1005, 5):
        assert {label for label, _ in few[start : start + 5]} == set(range(5))
    assert reviews(300) != reviews(300, seed=1)
    assert not [text for _, text in many if "{" in text or "}" in text]


def test_lengths_are_distributed_as_yelps():
    words = sorted(len(text.split()) for _, text in reviews(3000, median_words=97))
    assert words[1500] == pytest.approx(97, rel=0.15)
    # Yelp Review Full: a mean of 134 words at a median of 97.
    assert sum(words) / 3000 / words[1500] == pytest.approx(134 / 97, abs=0.12)
    assert words[2850] / words[1500] == pytest.approx(3.7, abs=0.6)  # exp(1.645 * 0.8)


def test_label_noise_is_the_share_of_texts_of_a_neighbouring_label():
    clean, noisy = reviews(2000, label_noise=0.0), reviews(2000, label_noise=0.2)
    moved = sum(a[1] != b[1] for a, b in zip(clean, noisy, strict=True))
    assert [label for label, _ in clean] == [label for label, _ in noisy]
    assert moved > 300


@pytest.mark.parametrize(
    ("old", "new"),
    [("\n", "\n\n"), ("\t1\t", "\tone\t"), ("\tany\t", "\tbar\t"), ("train", "trian")],
)
def test_a_bank_that_was_edited_wrongly_is_damaged(tmp_path, old, new):
    path = tmp_path / "bank.tsv"
    path.write_text(SENTENCES.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(Damaged):
        synthetic.read_bank(path, "train")
