"""`stars export`: the model as ONNX, for machines without PyTorch."""

import importlib.util
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import replacing, sha256_of
from yelp_stars.pipeline.text import counted

MODEL, EXPORTED = Path("models/finetuned"), Path("models/exported")
VALIDATION = Path("data/sample/validation.arrow")
CARD = "README.md"
SECTION = """
## Exported

model.onnx is this model for ONNX Runtime, written by torch {torch} in fp32. It takes `input_ids` and `attention_mask`, int64, of any number of texts and tokens, and gives `logits`, before the temperature. Instead of the code above:

```sh
stars predict --model {folder} "A text."
```

Compared with the model.safetensors of the SHA-256 {sha256}: {agreement}.
"""  # noqa: E501
CHECKED_ROWS = 2_000  # of the validation rows: a minute or two on two cores
BOUND = 1e-3  # of a logit's difference; that of a trained model is a hundredth of it, or less


def export() -> None:
    """Write the model as ONNX, to be used without PyTorch.

    It is checked on the validation rows, and refused if a logit differs by more than 0.001. Give
    it to `stars predict` and `stars serve` as --model models/exported.
    """
    for package in ("onnxruntime", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"{package} is not installed; run `pip install -e '.[export]'`")
    # Late: help must be fast.
    from yelp_stars.checkpoint.copying import TEXT_FILES
    from yelp_stars.checkpoint.tokenizer import ORIGIN, TRUNCATION
    from yelp_stars.classifier import classify
    from yelp_stars.classifier.transformer import Transformer
    from yelp_stars.data import arrow
    from yelp_stars.scoring import calibration

    model = Transformer(MODEL, "fp32", None)
    table = arrow.read(VALIDATION).slice(0, CHECKED_ROWS)
    if arrow.label_names(table.schema) != model.label_names:
        problem = f"{str(VALIDATION)!r} has other labels than {str(MODEL)!r}"
        raise UserError(problem, advice="run `dvc repro`")
    with replacing(EXPORTED) as folder:
        folder.mkdir()
        for name in (*TEXT_FILES, TRUNCATION, ORIGIN, calibration.FILE, CARD):
            if (MODEL / name).is_file():
                shutil.copyfile(MODEL / name, folder / name)
        model.tokenizer.save(str(folder / "tokenizer.json"))
        model.write_onnx(folder / classify.EXPORTED)
        exported = classify.Classifier(folder, "fp32", None, None)
        agreement = check(model, exported.engine, table)
        with (folder / CARD).open("a", encoding="utf-8") as card:
            digest = sha256_of(MODEL / "model.safetensors")
            facts = {"torch": version("torch"), "sha256": digest, "agreement": agreement}
            card.write(SECTION.format(folder=EXPORTED, **facts))
        size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{EXPORTED}: {size / 1e6:,.0f} MB; {agreement}")
    print(f'\nNext\n  stars predict --model {EXPORTED} "The soup was cold."')


def check(model: Any, exported: Any, table: Any) -> str:
    """Compare the logits of the same rows, by two engines; describe how they agree.

    Refuse a difference above `BOUND`.
    """
    import numpy as np
    from tqdm import tqdm

    from yelp_stars.classifier.classify import Tokens
    from yelp_stars.comparing import paired

    ids = table["input_ids"].to_pylist()
    tokens = Tokens(ids, np.array([*map(len, ids)]), np.zeros(len(ids), bool))
    with tqdm(total=2 * len(ids), desc="check", unit=" rows", delay=1) as bar:
        before, after = (one.logits(tokens, one.batch_size, bar) for one in (model, exported))
    gap, labels = float(np.abs(after - before).max()), table["label"].to_numpy()
    first, second = before.argmax(axis=1), after.argmax(axis=1)
    accuracy = paired.compare_accuracy(labels, first, second).scores["accuracy"]
    agreement = (
        f"on {counted(len(ids), 'validation row')}, the largest difference of a logit is {gap:.2g},"
        f" {100 * (first == second).mean():.1f} % of the labels are the same, and the difference of"
        f" the accuracy is {100 * accuracy.difference:+.1f} points "
        f"(95 % interval {paired.in_points(accuracy.low, accuracy.high, '+')})"
    )
    if gap > BOUND:
        problem = f"the exported model differs too much from {str(MODEL)!r}: {agreement}"
        raise UserError(problem, advice=f"it was not written; {BOUND:g} is the limit of a logit")
    return agreement
