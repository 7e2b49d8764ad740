"""Score the fine-tuned model on the test sample, once."""

import csv
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PositiveInt

from stars.params import StageParams, load_params
from stars.precision import Precision, attention_in, computed_in
from stars.stage import replacing, run, write_json

if TYPE_CHECKING:  # importing them takes seconds, checking params.yaml must not
    import numpy as np
    import pyarrow as pa
    from transformers import PreTrainedModel


class Params(StageParams):
    per_device_eval_batch_size: PositiveInt
    precision: Precision


def load_model(finetuned: Path, precision: str) -> "PreTrainedModel":
    """The model where it computes fastest, with what its logits need and no more."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from stars import first_token

    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        finetuned, attn_implementation=attention_in(precision)
    )
    first_token.compute_only_first(model)
    if torch.accelerator.is_available():
        model.to(torch.accelerator.current_accelerator())
    return model


def predict(
    model: "PreTrainedModel", table: "pa.Table", batch_size: int, precision: str
) -> "np.ndarray":
    """Logits (rows, classes), float32, in the order of the rows.

    The model sees the longest rows first: next to no padding, and too little memory shows at once.
    On a CPU each core computes batches of its own, so that as many are in memory as there are
    cores: none waits for another within a batch, and the logits do not depend on their number.
    """
    import numpy as np
    import torch
    from tqdm import tqdm

    from stars import batching

    examples = batching.Examples(table)
    order = np.argsort(-examples.lengths, kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    cores = torch.get_num_threads()
    pool = ThreadPoolExecutor(cores if model.device.type == "cpu" else 1)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]

    def logits_of(rows: np.ndarray) -> np.ndarray:
        batch = batching.pad([examples[row] for row in rows], model.config.pad_token_id)
        batch.pop("labels")
        autocast = torch.autocast(model.device.type, dtype, enabled=precision != "fp32")
        with torch.inference_mode(), autocast:
            on_device = {name: tensor.to(model.device) for name, tensor in batch.items()}
            computed: np.ndarray = model(**on_device).logits.float().cpu().numpy()
        return computed

    logits = np.empty((len(table), model.config.num_labels), np.float32)
    model.eval()
    with tqdm(total=len(order), desc="evaluate", unit=" rows") as bar:
        torch.set_num_threads(1)  # for each thread of the pool
        try:
            for rows, part in zip(batches, pool.map(logits_of, batches), strict=True):
                logits[rows] = part
                bar.update(len(rows))
        finally:  # after Ctrl-C no batch is begun that nobody waits for
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(cores)
    return logits


def write_predictions(table: "pa.Table", logits: "np.ndarray", path: Path) -> None:
    """Write row (in data/raw), label and logits of each test row."""
    import numpy as np
    import pyarrow as pa

    from stars import arrow

    columns = {"row": pa.int64(), "label": pa.int64(), "logits": pa.list_(pa.float32())}
    schema = arrow.schema(columns, arrow.label_names(table.schema))
    rows, labels = arrow.column(table, "row"), arrow.column(table, "label")

    def batches() -> Iterator[pa.RecordBatch]:
        for start, stop in arrow.spans(len(table)):
            part = logits[start:stop]
            widths = np.full(len(part), part.shape[1])
            lists = arrow.list_array(part.ravel(), widths, pa.float32())
            yield pa.record_batch([rows[start:stop], labels[start:stop], lists], schema=schema)

    arrow.write(path, schema, batches())


def write_plots(
    logits: "np.ndarray", labels: "np.ndarray", names: list[str], title: str, folder: Path
) -> None:
    """The confusion matrix and the scores of each class, for `dvc plots` and as a picture."""
    from stars import metrics, pictures

    folder.mkdir()
    predicted = logits.argmax(axis=1)
    _write_csv(
        folder / "confusion.csv",
        [
            {"actual": names[label], "predicted": names[guess]}
            for label, guess in zip(labels, predicted, strict=True)
        ],
    )
    _write_csv(folder / "per_class.csv", metrics.per_class(logits, labels, names))
    counts = metrics.confusion(logits, labels)
    pictures.confusion_matrix(counts, names, title, folder / "confusion.svg")


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(sampled: Path, finetuned: Path, predictions: Path, scored: Path, plots: Path) -> None:
    params = load_params(Params, "evaluate")

    import evaluate
    import torch
    from transformers.utils import logging

    from stars import arrow, evaluate_module
    from stars.memory import keep_freed_memory

    precision, why = computed_in(params.precision, "evaluate")
    if not torch.accelerator.is_available():
        keep_freed_memory()
    logging.disable_progress_bar()
    table = arrow.read(sampled / "test.arrow")
    names, labels = arrow.label_names(table.schema), arrow.column(table, "label")
    model = load_model(finetuned, precision)
    print(f"{len(table):,} rows in {precision} ({why}) on {model.device}", flush=True)
    logits = predict(model, table, params.per_device_eval_batch_size, precision)
    metric = evaluate.load(evaluate_module.__file__, keep_in_memory=True)
    scores = metric.compute(predictions=logits, references=labels)
    with replacing(predictions) as predicted, replacing(plots) as pictures:
        write_predictions(table, logits, predicted)
        interval = f"[{scores['accuracy_low']:.3f}, {scores['accuracy_high']:.3f}]"
        title = f"accuracy {scores['accuracy']:.3f} {interval} on {scores['n']:,} rows"
        write_plots(logits, labels, names, title, pictures)
        write_json(scored, scores)
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    run(main)
