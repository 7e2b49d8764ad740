"""Precision: the fastest that the hardware has, or the one that was requested, or an error."""

import os

import pytest
import torch

from yelp_stars.modeling import compute
from yelp_stars.pipeline.errors import UserError

CPU = {"amx": False, "avx512": False, "gpu": None}
AMX = {**CPU, "amx": True}
AVX512 = {**CPU, "avx512": True}
NEW_GPU = {**CPU, "gpu": "NVIDIA H100", "bf16": True}
OLD_GPU = {**CPU, "gpu": "Tesla T4", "bf16": False}


def pretend(monkeypatch: pytest.MonkeyPatch, machine: dict) -> None:
    """Let torch report this hardware."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: machine["amx"])
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: machine["avx512"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(machine["gpu"]))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: machine["gpu"])
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: machine["bf16"])
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: bool(machine["gpu"]))


@pytest.mark.parametrize(
    ("machine", "precision", "reason", "attention"),
    [
        (CPU, "fp32", "auto: this CPU has neither AVX512_BF16 nor AMX", None),
        (AVX512, "bf16", "auto: this CPU has AVX512_BF16", "eager"),
        (AMX, "bf16", "auto: this CPU has AMX", "eager"),
        (NEW_GPU, "bf16", "auto: NVIDIA H100 has bf16", None),
        (OLD_GPU, "fp16", "auto: Tesla T4 has no bf16", None),
    ],
)
def test_auto_is_the_fastest_precision_of_the_hardware(
    monkeypatch, machine, precision, reason, attention
):
    pretend(monkeypatch, machine)
    assert compute.resolve("auto", "train.precision") == (precision, reason, attention)


@pytest.mark.parametrize(
    ("machine", "precision"), [(CPU, "fp32"), (AMX, "bf16"), (NEW_GPU, "fp32"), (NEW_GPU, "fp16")]
)
def test_a_supported_precision_is_used_as_requested(monkeypatch, machine, precision):
    pretend(monkeypatch, machine)
    assert compute.resolve(precision, "train.precision")[:2] == (precision, "as requested")


@pytest.mark.parametrize(
    ("machine", "precision"), [(CPU, "bf16"), (CPU, "fp16"), (AMX, "fp16"), (OLD_GPU, "bf16")]
)
def test_an_unsupported_precision_is_reported_and_the_advice_works(monkeypatch, machine, precision):
    pretend(monkeypatch, machine)
    with pytest.raises(UserError) as raised:
        compute.resolve(precision, "train.precision")
    assert raised.value.problem.startswith(f"train.precision is '{precision}', but this machine")
    assert raised.value.advice == "set it to 'fp32' or 'auto'"


def test_an_accelerator_with_too_little_memory_is_one_line_with_the_advice():
    with pytest.raises(UserError, match="has too little memory; l"), compute.enough_memory("lower"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    with pytest.raises(RuntimeError, match="another"), compute.enough_memory("lower it"):
        raise RuntimeError("another")


@pytest.mark.parametrize("repeatable", [True, False])
def test_on_a_gpu_trainings_are_repeatable_and_cudnn_builds_no_plans(monkeypatch, repeatable):
    compute.set_up_cuda(repeatable=True)
    assert not torch.are_deterministic_algorithms_enabled()  # on a CPU they are all the same
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        compute.set_up_cuda(repeatable=repeatable)
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.are_deterministic_algorithms_enabled() == repeatable
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == repeatable
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cuda.enable_cudnn_sdp(True)
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
