"""In which numbers this machine computes: by params.yaml, or by what its hardware is fast in."""

from typing import Literal

from stars.stage import UserError

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def computed_in(precision: Precision, section: str) -> tuple[str, str]:
    """What this machine computes in, and why: ("bf16", "auto: this CPU has AMX").

    Raises:
        UserError: if it cannot compute in what `section` of params.yaml asks for.
    """
    import torch  # takes seconds, checking params.yaml must not

    cuda = torch.cuda.is_available()
    if cuda:
        fast = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        why = f"{torch.cuda.get_device_name()} has{'' if fast == 'bf16' else ' no'} bf16"
    elif torch.cpu._is_amx_tile_supported():
        fast, why = "bf16", "this CPU has AMX"
    elif torch.cpu._is_avx512_bf16_supported():
        fast, why = "bf16", "this CPU has AVX512_BF16"
    else:
        fast, why = "fp32", "this CPU has neither AVX512_BF16 nor AMX"
    if precision == "auto":
        return fast, f"auto: {why}"
    if (precision == "bf16" and fast != "bf16") or (precision == "fp16" and not cuda):
        raise UserError(
            f"{section}.precision is {precision!r}, but this machine has no hardware for it; "
            f"set it to 'fp32' or 'auto'"
        )
    return precision, "as asked"


def attention_in(precision: str) -> str | None:
    """The `attn_implementation` that is fastest there; None leaves the choice to transformers.

    In bf16 on a CPU the fused kernel of torch 2.13 (SDPA) is no faster than in fp32, and slower
    backwards; plain products of matrices make a training a third faster, for a matrix of all
    pairs of tokens in memory, for each head and layer that learns.
    """
    import torch

    return "eager" if precision == "bf16" and not torch.accelerator.is_available() else None
