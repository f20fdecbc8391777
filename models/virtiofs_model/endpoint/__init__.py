"""The golden device: a virtio-fs endpoint that exchanges whole TLPs, written from the specification."""

from virtiofs_model.endpoint.core import Channel, Output
from virtiofs_model.endpoint.device import ModelEndpoint
from virtiofs_model.endpoint.dpu import DpuRegisters

__all__ = ["Channel", "DpuRegisters", "ModelEndpoint", "Output"]
