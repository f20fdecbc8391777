"""The DPU port's map is the same in Python and SystemVerilog."""

from __future__ import annotations

import re

from virtiofs_model.layouts import dpu
from virtiofs_tb.paths import ROOT


def localparams(file: str, prefix: str) -> dict[str, int]:
    """Constants of a package by their names behind `prefix`; 13'h is hexadecimal, anything else decimal."""
    found: dict[str, int] = {}
    text = (ROOT / file).read_text()
    for name, base, digits in re.findall(rf"localparam .*?\b{prefix}(\w+) = (\d+'[hd])?([0-9a-fA-F_]+);", text):
        found[name] = int(digits.replace("_", ""), 16 if base.endswith("h") else 10)
    return found


def test_registers() -> None:
    assert localparams("hdl/fs/dpu_pkg.sv", "REG_") == {register.name: register for register in dpu.DpuRegister}


def test_constants() -> None:
    assert localparams("hdl/fs/dpu_pkg.sv", "DPU_") == {"ID": dpu.DPU_ID, "VERSION": dpu.DPU_VERSION}
    sizes = localparams("hdl/fs/dpu_pkg.sv", "NOTIFY_BUF_SIZE_")
    assert (sizes["MIN"], sizes["MAX"], sizes["DEFAULT"]) == (
        dpu.NOTIFY_BUF_SIZE_MIN,
        dpu.NOTIFY_BUF_SIZE_MAX,
        dpu.NOTIFY_BUF_SIZE_DEFAULT,
    )


def test_counters() -> None:
    assert localparams("hdl/pkg/endpoint_pkg.sv", "COUNT_") == {counter.name: counter for counter in dpu.DpuCounter}
