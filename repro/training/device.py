"""Where a run computes and in which precision."""

from pathlib import Path

import torch

from repro.errors import UserError


def device_named(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the processor.

    Raises:
        UserError: not a device's name, or CUDA (or that many CUDA devices) asked for and absent.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device: {name!r} is no device; use cpu, cuda or auto") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device: {name} was asked for and there is none here; use cpu or auto")
    return device


def bf16_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 matrix products are native here (on a processor: AVX-512 BF16 or AMX)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "avx512_bf16" in cpuinfo.read_text()


def precision_used(asked: str, device: torch.device) -> str:
    """``auto`` resolved to ``bf16`` or ``float32``; it is recorded with the result."""
    if asked != "auto":
        return asked
    return "bf16" if bf16_is_fast(device) else "float32"
