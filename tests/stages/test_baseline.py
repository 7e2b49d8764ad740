"""The stage `baseline`: scores, predictions and suspects of the very rows of the sample."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
from helpers import edit

from stages.baseline import main
from yelp_stars.data import arrow
from yelp_stars.evaluation import predictions
from yelp_stars.pipeline.entrypoint import call

PATHS = ("data/raw", "data/sample", "models/pretrained", "p.parquet", "s.parquet", "b.json")


def baseline(project) -> tuple[dict, predictions.Predictions, list[dict]]:
    call(main, *(project / path for path in PATHS))
    suspects = pq.read_table(project / "s.parquet").to_pylist()
    scores = json.loads((project / "b.json").read_text())
    return scores, predictions.read(project / "p.parquet"), suspects


def test_the_baselines_are_scored_on_the_test_rows_of_the_sample(train_project, capsys):
    scores, predicted, suspects = baseline(train_project)
    tested = arrow.read(train_project / "data" / "sample" / "test.arrow")
    assert predicted.rows.tolist() == tested["row"].to_pylist()
    assert predicted.labels.tolist() == tested["label"].to_pylist()
    raw = train_project / "data" / "raw" / "test.arrow"
    texts = predictions.read_texts(raw, predicted.rows)
    assert predicted.texts == [predictions.text_hash(text) for text in texts]
    contents = [(train_project / path).read_bytes() for path in PATHS[3:]]
    correct = predicted.right
    assert scores[scores["strongest"]]["accuracy"] == round(correct.mean(), 2)
    assert scores["majority"]["accuracy"] == 0.2
    assert scores["tfidf"]["n"] == scores["majority"]["n"] == 30
    trained = arrow.read(train_project / "data" / "sample" / "train.arrow")
    assert {row["row"] for row in suspects} <= set(trained["row"].to_pylist())
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("majority class: accuracy 0.200 [")
    assert output[0].endswith("] on 30 rows, fitted on 60")
    assert output[2].startswith("frozen checkpoint: accuracy 0.")
    assert output[3].startswith(f"{len(suspects)} training rows have a doubtful label")
    baseline(train_project)
    assert contents == [(train_project / path).read_bytes() for path in PATHS[3:]]


def test_only_the_first_training_rows_are_used(train_project, capsys):
    edit(train_project, "baseline", max_rows=40, suspects=3)
    _, _, suspects = baseline(train_project)
    trained = arrow.read(train_project / "data" / "sample" / "train.arrow")
    assert len(suspects) <= 3
    assert {row["row"] for row in suspects} <= set(trained["row"].to_pylist()[:40])
    assert "fitted on 40" in capsys.readouterr().out


def rewrite(project, split: str, texts: list[str]) -> None:
    """Give a split of data/raw other texts."""
    path = project / "data" / "raw" / f"{split}.arrow"
    table = arrow.read(path)
    made = pa.array((texts * len(table))[: len(table)], pa.large_string())
    table = table.set_column(table.schema.get_field_index("text"), table.schema.field("text"), made)
    arrow.write(project / "written", table.schema, table.to_batches())
    (project / "written").replace(path)


def test_texts_without_a_word_are_scored_as_the_majority_class_and_the_stage_says_so(
    train_project, capsys
):
    rewrite(train_project, "train", ["", "!", "\U0001f32e"])
    scores, predicted, suspects = baseline(train_project)
    assert scores["tfidf"] == scores["majority"]
    assert len(predicted.rows) == 30
    assert suspects == []
    output = capsys.readouterr().out.splitlines()
    assert scores["strongest"] == "frozen"
    assert output[1].startswith("TF-IDF (nothing to fit, so the majority class): ")


def test_classes_without_an_order_have_no_star_scores(train_project):
    for path in (train_project / "data" / "sample").iterdir():
        table = arrow.read(path)
        nominal = table.replace_schema_metadata({**table.schema.metadata, b"ordered": b"false"})
        arrow.write(train_project / "written", nominal.schema, nominal.to_batches())
        (train_project / "written").replace(path)
    scores, predicted, _ = baseline(train_project)
    assert not predicted.ordered
    assert not {"mae", "within_one", "quadratic_kappa"} & set(scores["tfidf"])
