"""A classifier of transformers, computed by PyTorch as the stage `evaluate` does."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from yelp_stars.checkpoint import architecture
from yelp_stars.checkpoint.copying import CONVERT, check_text_files, weight_files
from yelp_stars.checkpoint.tokenizer import read_json, special_tokens
from yelp_stars.checkpoint.weights import check_ids
from yelp_stars.classifier.classify import Tokens
from yelp_stars.classifier.foreign import ADVICE, ANOTHER, check_folder, check_labels
from yelp_stars.modeling import compute, inference
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.params import Precision
from yelp_stars.pipeline.text import quoted

CPU_ROWS, ACCELERATOR_ROWS = 8, 64  # in a batch
LESS = "give fewer or shorter texts at a time, or a smaller batch size"
LARGEST = 1_500_000_000  # bytes of weights in one file of ONNX; those of larger models are apart


class Transformer:
    """Computes logits by PyTorch: an `Engine`."""

    packages: tuple[str, ...] = ("torch", "transformers")

    def __init__(self, folder: Path, precision: Precision, threads: int | None) -> None:
        check_classifier(folder)
        if threads is not None:
            torch.set_num_threads(threads)
        self.resolved = compute.resolve(precision, "precision")
        self.precision: str = self.resolved.precision
        # Not tokenizer.json alone: tokenizer_config.json may say otherwise, and transformers obeys.
        loaded = architecture.load_auto_tokenizer(folder)
        check_tokenizer(folder, loaded)
        self.tokenizer, self.side = loaded.backend_tokenizer, loaded.truncation_side
        with compute.enough_memory("end other programs that use it, or choose a smaller model"):
            self.model = inference.load_finetuned(folder, self.resolved, ADVICE)
        check_ids(self.tokenizer, self.model)
        names = self.model.config.id2label
        self.label_names = [str(names[number]) for number in range(len(names))]
        self.batch_size = CPU_ROWS if compute.device().type == "cpu" else ACCELERATOR_ROWS

    @property
    def cores(self) -> int:
        """Return the number of threads; an accelerator computes one batch after the other."""
        return torch.get_num_threads() if compute.device().type == "cpu" else 1

    def logits(self, tokens: Tokens, batch_size: int, bar: tqdm) -> np.ndarray:
        """Compute the logits (texts, labels), float32."""
        with compute.enough_memory(LESS):
            return inference.predict_logits(self.model, tokens, batch_size, self.resolved, bar)

    def look(self, tokens: Tokens, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the margin of each text and its features; see `Classifier.look`."""
        with compute.enough_memory(LESS), inference.without_head(self.model) as linear:
            features = inference.predict_logits(
                self.model, tokens, batch_size, self.resolved, doing="look"
            )
        weight, bias = (
            parameter.detach().float().cpu().numpy() for parameter in linear.parameters()
        )
        ordered = np.sort(softmax(features @ weight.T + bias, axis=1), axis=1)
        return ordered[:, -1] - ordered[:, -2], features

    def write_onnx(self, path: Path) -> None:
        """Write the model as ONNX, for any number of texts and tokens, with its weights in it."""
        size = sum(weight.nbytes for weight in self.model.parameters())
        if size > LARGEST:
            problem = f"the model has {size / 1e9:.1f} GB of weights"
            raise UserError(f"{problem}; one file of ONNX holds {LARGEST / 1e9:.1f}")
        ids = torch.full((2, 8), self.model.config.pad_token_id)
        mask = torch.ones_like(ids)
        mask[1, 4:] = 0
        sizes = {0: "texts", 1: "tokens"}
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        # As plain matrix products: written so, ONNX Runtime computes attention 1.1 times as fast.
        attention = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        # Our own for MPNet calls PyTorch's.
        plain = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
        kind = self.model.config.model_type
        refused = refusing(f"a {kind} cannot be exported", "use another checkpoint, or PyTorch")
        with refused, plain, warnings.catch_warnings():  # about PyTorch's code, and transformers'
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                self.model.cpu().eval(),
                kwargs={"input_ids": ids, "attention_mask": mask},
                dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
                output_names=["logits"],
                verbose=False,
            )
        self.model.set_attn_implementation(attention)
        # The lines of code that made each operator, with the paths of this machine.
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()
        program.save(path)


def check_classifier(folder: Path) -> None:
    """Refuse a folder that is not a classifier of one label per text; say what it is."""
    check_folder(folder)
    check_text_files(folder, CONVERT if any(folder.glob("*vocab*")) else ADVICE)
    files = weight_files(folder, CONVERT if any(folder.rglob("*model*.*")) else ADVICE)
    config = architecture.read_config(folder)
    if len(files) > 1 and read_shards(folder) != {file.name for file in files}:
        problem = f"{quoted(str(folder))} has an index of weights that names other files"
        raise UserError(problem, advice=ANOTHER)
    function = getattr(config, "function_to_apply", None)
    check_labels(folder, config.id2label, config.problem_type, function)


def read_shards(folder: Path) -> set[Any]:
    """Read the names of the files that hold the weights of a large model."""
    index = read_json(folder / "model.safetensors.index.json").get("weight_map")
    return {*map(str, index.values())} if isinstance(index, dict) else set()


def check_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer whose ids alone do not decide what transformers computes."""
    name = f"the tokenizer of {quoted(str(folder))}"
    with refusing(f"{name} is not valid", ANOTHER):
        has_types = any(tokenizer.backend_tokenizer.encode("a").type_ids)
        special_tokens(tokenizer.backend_tokenizer)
    if has_types:
        raise UserError(f"{name} gives a text other token types than 0", advice=ANOTHER)
    if tokenizer.padding_side != "right":
        raise UserError(f"{name} pads texts on the left", advice=ANOTHER)
