"""Predict the stars of a review: `from yelp_stars import load_classifier`."""

from pathlib import Path
from typing import Any

__all__ = ["load_classifier"]


def load_classifier(
    folder: str | Path,
    *,
    precision: Any = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
) -> Any:
    """Load a fine-tuned model as a function of texts: a `Classifier`.

    Args:
        folder: A model of this project, such as models/finetuned, or any classifier that
            `from_pretrained` loads and that has a tokenizer.json.
        precision: auto (bf16 where the hardware supports it well), fp32, bf16 or fp16 (CUDA).
        batch_size: Texts per batch: on the GPU, or on each CPU core. None is 64 or 8.
        threads: Cores to use; None is all.

    Raises:
        UserError: if the folder has no model, or a damaged one.
    """
    # Late: `import yelp_stars` must not wait for torch.
    from yelp_stars.classifier.classify import Classifier

    return Classifier(Path(folder), precision, batch_size, threads)
