"""Choose the floating-point precision and the attention implementation of this machine."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import Precision


class Compute(NamedTuple):
    """Precision and attention to compute with."""

    precision: Literal["fp32", "bf16", "fp16"]
    reason: str
    """Reason to print: "auto: this CPU has AMX", or "as requested"."""
    attention: str | None
    """Fastest `attn_implementation` of training; None leaves the choice to transformers."""

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of matrix products."""
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        return dtypes[self.precision]


def resolve(precision: Precision, name: str) -> Compute:
    """Resolve the parameter or option called `name` on this machine."""
    cuda = torch.cuda.is_available()
    fastest: Literal["fp32", "bf16", "fp16"]
    if cuda:
        fastest = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        reason = f"{torch.cuda.get_device_name()} has{'' if fastest == 'bf16' else ' no'} bf16"
    elif torch.cpu._is_amx_tile_supported():
        fastest, reason = "bf16", "this CPU has AMX"
    elif torch.cpu._is_avx512_bf16_supported():
        fastest, reason = "bf16", "this CPU has AVX512_BF16"
    else:
        fastest, reason = "fp32", "this CPU has neither AVX512_BF16 nor AMX"
    if (precision == "bf16" and fastest != "bf16") or (precision == "fp16" and not cuda):
        problem = f"{name} is {precision!r}, but this machine has no hardware for it"
        raise UserError(problem, setting=name, advice="set it to 'fp32' or 'auto'")
    chosen = fastest if precision == "auto" else precision
    # Training in bf16 with the fused kernel (SDPA) takes 1.6 times as long as with plain matrix
    # products (torch 2.13, two cores with AMX): its backward pass is slow. They cost a matrix of
    # all pairs of tokens for each head and trained layer.
    eager = chosen == "bf16" and not torch.accelerator.is_available()
    return Compute(
        chosen,
        f"auto: {reason}" if precision == "auto" else "as requested",
        "eager" if eager else None,
    )


def device() -> torch.device:
    """Return the accelerator of this machine, or its CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def device_name() -> str:
    """Name the accelerator, or the processor and its cores."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':')[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def set_up_cuda(*, repeatable: bool) -> None:
    """Choose the kernels of a CUDA GPU; call it before the first tensor is there.

    cuDNN's attention builds a plan for each new shape of a batch, which takes up to a second
    (modelscope/FunASR#3704). `repeatable` chooses kernels that give the same bytes each time:
    without it, two trainings of a BERT-base in bf16 differed on a H200, and took twice as long.
    """
    if not torch.cuda.is_available():
        return
    torch.backends.cuda.enable_cudnn_sdp(False)
    if repeatable:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)


@contextlib.contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Report an accelerator whose memory the block exhausts; `advice` names a parameter."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise UserError(f"{device_name()} has too little memory", advice=advice) from None
