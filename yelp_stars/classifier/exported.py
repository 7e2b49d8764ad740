"""An exported model, computed by ONNX Runtime: what `stars export` writes, or somebody else."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

# Its wheels report to Microsoft what they load and run, for Linux since 1.29: unless this is set
# before the import.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from pydantic import BaseModel, NonNegativeInt
from tqdm import tqdm

from yelp_stars.checkpoint.copying import check_text_files
from yelp_stars.checkpoint.tokenizer import load_tokenizer, read_json
from yelp_stars.classifier.classify import EXPORTED, Tokens
from yelp_stars.classifier.foreign import ADVICE, ANOTHER, check_labels
from yelp_stars.modeling.padding import padded_width
from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.files import damaged_as, refusing
from yelp_stars.pipeline.params import Precision
from yelp_stars.pipeline.text import quoted

LARGEST = 2**31 - 1  # bytes of a file of ONNX
INPUTS = ["attention_mask", "input_ids"]
# The key of what a graph keeps in other files, or at an address in memory. The eight letters are
# in no name that PyTorch gives, and hardly ever in numbers.
ELSEWHERE = b"location"


class Config(BaseModel):
    """What is read of config.json here; the limit of tokens is read with the tokenizer."""

    id2label: dict[int, Any]
    pad_token_id: NonNegativeInt
    problem_type: Any = None
    function_to_apply: Any = None


def usable_cores() -> int:
    """Count the cores that this process may use, or all where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Exported:
    """Computes logits by ONNX Runtime, in fp32 on the CPU: an `Engine`."""

    packages: tuple[str, ...] = ("onnxruntime",)
    precision = "fp32"
    batch_size = 4  # 1.05 times as fast as 8, of one core with AMX: attention fits its cache

    def __init__(self, folder: Path, precision: Precision, threads: int | None) -> None:
        if precision not in ("auto", "fp32"):
            problem = f"precision is {precision!r}, but an exported model computes in fp32"
            raise UserError(problem, setting="precision", advice="set it to 'fp32' or 'auto'")
        check_text_files(folder, ADVICE)
        with damaged_as(folder / "config.json", advice=ANOTHER):
            content = (folder / "config.json").read_bytes()
            config = Config.model_validate_json(content, strict=True)
        self.label_names = check_labels(
            folder, config.id2label, config.problem_type, config.function_to_apply
        )
        self._padding = config.pad_token_id
        self.tokenizer, _ = load_tokenizer(folder)
        self.side: str = read_json(folder / "tokenizer_config.json").get("truncation_side", "right")
        self.cores = threads or usable_cores()
        self._file = quoted(str(folder / EXPORTED))
        self._session = self._open(folder / EXPORTED)
        self._check_graph()

    def _open(self, path: Path) -> onnxruntime.InferenceSession:
        """Load a graph, which may be anybody's: of known operators, and with its weights in it."""
        if path.stat().st_size > LARGEST:
            raise UserError(f"{self._file} has more than 2 GB", advice=ANOTHER)
        content = path.read_bytes()
        if ELSEWHERE in content:
            raise UserError(f"{self._file} keeps weights in another file", advice=ANOTHER)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # for each thread of the pool
        options.log_severity_level = 4  # an error is an exception
        # Whatever the file looks like: its own format has other parsers.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        with refusing(f"{self._file} cannot be loaded", ANOTHER):
            return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])

    def _check_graph(self) -> None:
        """Refuse a graph of other inputs and outputs: two of any size give a logit per label."""
        taken, given = self._session.get_inputs(), self._session.get_outputs()
        shapes = [len(x.shape or ()) for x in taken], [x.shape[1:] for x in given if x.shape]
        fixed = any(isinstance(size, int) for x in taken for size in x.shape or ())
        names = sorted(x.name for x in taken)
        types = {x.type for x in taken}, {x.type for x in given}
        if names != INPUTS or shapes[0] != [2, 2] or types[0] != {"tensor(int64)"} or fixed:
            found = quoted({x.name: f"{x.type}, {x.shape}" for x in taken}, 200)
            problem = f"{self._file} does not take {INPUTS} of any size, int64: it takes {found}"
            raise UserError(problem, advice=ANOTHER)
        if shapes[1] != [[len(self.label_names)]] or types[1] != {"tensor(float)"}:
            found = quoted({x.name: f"{x.type}, {x.shape}" for x in given}, 200)
            problem = f"{self._file} gives {found}, not {len(self.label_names)} logits in fp32"
            raise UserError(problem, advice=ANOTHER)

    def logits(self, tokens: Tokens, batch_size: int, bar: tqdm) -> np.ndarray:
        """Compute the logits (texts, labels), float32, as `inference.predict_logits` does.

        The longest texts come first, and each core computes batches of its own.
        """
        order = np.argsort(-tokens.lengths, kind="stable")
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        found = np.empty((len(order), len(self.label_names)), np.float32)
        pool = ThreadPoolExecutor(self.cores)
        try:
            for rows, part in zip(batches, pool.map(partial(self._compute, tokens), batches)):
                found[rows] = part
                bar.update(len(rows))
        finally:  # after an error, start no batch that nobody waits for
            pool.shutdown(cancel_futures=True)
        return found

    def _compute(self, tokens: Tokens, rows: np.ndarray) -> np.ndarray:
        """Compute a batch: the texts with these numbers."""
        width = padded_width(int(tokens.lengths[rows].max()))
        ids = np.full((len(rows), width), self._padding, np.int64)
        mask = np.zeros_like(ids)
        for number, row in enumerate(rows):
            length = int(tokens.lengths[row])
            ids[number, :length], mask[number, :length] = tokens.ids[row], 1
        with refusing(f"{self._file} cannot compute a text", ANOTHER):
            (part,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        if part.shape != (len(rows), len(self.label_names)) or not np.isfinite(part).all():
            problem = "the model's logits are not finite, or not one per label"
            raise Damaged(problem, advice=ANOTHER)
        return part
