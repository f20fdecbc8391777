"""The layouts are the kernel's: a small C program prints what the installed headers say, and all of it is compared.

What the installed headers cannot know (they are older than the protocol, or never had the name) is listed in
NOT_IN_HEADERS with its source, and skipped by FUSE_KERNEL_MINOR_VERSION or #ifdef.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from ctypes import LittleEndianStructure, sizeof
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

import pytest

from virtiofs_model.layouts import fuse, fuse_constants, pci, virtio

HEADERS = ("virtio_pci.h", "virtio_ring.h", "virtio_fs.h", "virtio_config.h", "virtio_ids.h", "pci_regs.h", "fuse.h")
FLOOR = 850
"""Debian 12 (fuse.h 7.38) compares more than this; fewer means that a header or a branch went missing."""

LIBFUSE = "libfuse include/fuse_kernel.h 7.45"
VIRTIO_1_4 = "virtio 1.4"
NOT_IN_HEADERS = {
    "FUSE_NAME_MAX": "Linux fs/fuse/fuse_i.h",
    "NOTIFY_CODE_LOCK": VIRTIO_1_4 + ", File System Device, notification queue",
    "NOTIFY_CODE_FSNOTIFY": "linux-fsdevel, 'fuse: Add the fuse remote fsnotify' (2021), never merged",
    "VirtioFsConfig.notify_buf_size": VIRTIO_1_4 + ", File System Device, device configuration layout",
    "VirtioFsConfig size": VIRTIO_1_4 + ", File System Device, device configuration layout",
    "VirtioPciCommonCfg size": VIRTIO_1_4 + ", Common configuration structure layout",
    "VirtioPciCommonCfg.admin_queue_index": VIRTIO_1_4 + ", Common configuration structure layout",
    "VirtioPciCommonCfg.admin_queue_num": VIRTIO_1_4 + ", Common configuration structure layout",
    "VirtioPciVndrData": VIRTIO_1_4 + ", Vendor data capability",
    "CfgType.VENDOR_CFG": VIRTIO_1_4 + ", Virtio Structure PCI Capabilities",
    "DeviceStatus.SUSPEND": VIRTIO_1_4 + ", Device Status Field",
    "Feature.FS_NOTIFICATION": VIRTIO_1_4 + ", File System Device, feature bits",
    "Feature.SUSPEND": VIRTIO_1_4 + ", Reserved Feature Bits",
    "IsrStatus.QUEUE": VIRTIO_1_4 + ", ISR status capability",
    "NOTIFY_OFF_MULTIPLIER": "a choice, not a fact of a header",
    "VIRTIO_PCI_VENDOR_ID": VIRTIO_1_4 + ", PCI Device Discovery",
    "VIRTIO_PCI_DEVICE_ID_BASE": VIRTIO_1_4 + ", PCI Device Discovery",
    "VIRTQ_MAX_SIZE": VIRTIO_1_4 + ", Split Virtqueues",
}

FUSE_SINCE = {
    7_33: "Fattr.KILL_SUIDGID InitFlag.HANDLE_KILLPRIV_V2 InitFlag.SETXATTR_EXT FUSE_WRITE_KILL_SUIDGID "
    "FUSE_OPEN_KILL_SUIDGID FUSE_SETXATTR_ACL_KILL_SGID FuseSetxattrIn FuseOpenIn.open_flags "
    "FuseCreateIn.open_flags FUSE_COMPAT_SETXATTR_IN_SIZE",
    7_34: "Opcode.SYNCFS FuseSyncfsIn",
    7_35: "Fopen.NOFLUSH",
    7_36: "InitFlag.INIT_EXT InitFlag.INIT_RESERVED InitFlag.SECURITY_CTX InitFlag.HAS_INODE_DAX FuseSecctx "
    "FuseSecctxHeader FuseInitIn FuseInitOut.flags2 FUSE_ATTR_DAX",
    7_37: "Opcode.TMPFILE",
    7_38: "FUSE_EXPIRE_ONLY Fopen.PARALLEL_DIRECT_WRITES FuseInHeader.total_extlen FuseExtHeader "
    "FUSE_MAX_NR_SECCTX InitFlag.HAS_EXPIRE_ONLY FuseNotifyInvalEntryOut.flags",
    # The supplementary groups came to 7.38 after its first release: some 7.38 headers lack them.
    7_39: "FuseSuppGroups FUSE_EXT_GROUPS InitFlag.CREATE_SUPP_GROUP "
    "InitFlag.DIRECT_IO_ALLOW_MMAP Opcode.STATX FuseSxTime FuseStatx FuseStatxIn FuseStatxOut",
    7_40: "FuseOpenOut.backing_id Fopen.PASSTHROUGH InitFlag.PASSTHROUGH InitFlag.NO_EXPORT_SUPPORT "
    "InitFlag.HAS_RESEND NotifyCode.RESEND FUSE_UNIQUE_RESEND FuseInitOut.max_stack_depth FuseInitOut.unused",
    7_41: "InitFlag.ALLOW_IDMAP FUSE_INVALID_UIDGID",
    7_42: "InitFlag.OVER_IO_URING",
    7_43: "InitFlag.REQUEST_TIMEOUT FuseInitOut.request_timeout FuseInitOut.unused",
    7_44: "NotifyCode.INC_EPOCH",
    7_45: "Opcode.COPY_FILE_RANGE_64 FuseCopyFileRangeOut NotifyCode.PRUNE FuseNotifyPruneOut",
}
"""Protocol version (7_38: 7.38) that brought a name; a structure's name covers its fields. Source: LIBFUSE."""

VIRTIO_STRUCTS: dict[type[LittleEndianStructure], tuple[str, dict[str, str]]] = {
    virtio.VirtioPciCap: ("virtio_pci_cap", {}),
    virtio.VirtioPciCap64: ("virtio_pci_cap64", {}),
    virtio.VirtioPciNotifyCap: ("virtio_pci_notify_cap", {}),
    virtio.VirtioPciCfgCap: ("virtio_pci_cfg_cap", {}),
    virtio.VirtioPciCommonCfg: (
        "virtio_pci_common_cfg",
        {
            "driver_feature_select": "guest_feature_select",
            "driver_feature": "guest_feature",
            "config_msix_vector": "msix_config",
            "queue_desc": "queue_desc_lo",
            "queue_driver": "queue_avail_lo",
            "queue_device": "queue_used_lo",
            "queue_notif_config_data": "",
            "queue_reset": "",
        },
    ),
    virtio.VirtqDesc: ("vring_desc", {}),
    virtio.VirtqUsedElem: ("vring_used_elem", {}),
    virtio.VirtqAvail: ("vring_avail", {}),
    virtio.VirtqUsed: ("vring_used", {}),
    virtio.PvirtqDesc: ("vring_packed_desc", {}),
    virtio.PvirtqEventSuppress: ("vring_packed_desc_event", {"desc": "off_wrap"}),
    virtio.VirtioFsConfig: ("virtio_fs_config", {}),
}
"""Kernel's name of each structure, and of fields that are called otherwise ("": compared as a macro below)."""

MACROS = {
    "VirtioPciCommonCfg.queue_notif_config_data": (
        "VIRTIO_PCI_COMMON_Q_NDATA",
        virtio.VirtioPciCommonCfg.queue_notif_config_data.offset,
    ),
    "VirtioPciCommonCfg.queue_reset": ("VIRTIO_PCI_COMMON_Q_RESET", virtio.VirtioPciCommonCfg.queue_reset.offset),
    "VIRTIO_ID_FS": ("VIRTIO_ID_FS", virtio.VIRTIO_ID_FS),
    "VIRTIO_MSI_NO_VECTOR": ("VIRTIO_MSI_NO_VECTOR", virtio.VIRTIO_MSI_NO_VECTOR),
    "VIRTQ_AVAIL_F_NO_INTERRUPT": ("VRING_AVAIL_F_NO_INTERRUPT", virtio.VIRTQ_AVAIL_F_NO_INTERRUPT),
    "VIRTQ_USED_F_NO_NOTIFY": ("VRING_USED_F_NO_NOTIFY", virtio.VIRTQ_USED_F_NO_NOTIFY),
    "VIRTIO_FS_TAG_SIZE": ("sizeof(((struct virtio_fs_config *)0)->tag)", virtio.VIRTIO_FS_TAG_SIZE),
    "VIRTQ_DESC_SIZE": ("sizeof(struct vring_desc)", virtio.VIRTQ_DESC_SIZE),
    "VIRTQ_USED_ELEM_SIZE": ("sizeof(struct vring_used_elem)", virtio.VIRTQ_USED_ELEM_SIZE),
    "VIRTQ_AVAIL_RING_OFFSET": ("offsetof(struct vring_avail, ring)", virtio.VIRTQ_AVAIL_RING_OFFSET),
    "VIRTQ_USED_RING_OFFSET": ("offsetof(struct vring_used, ring)", virtio.VIRTQ_USED_RING_OFFSET),
    "IsrStatus.CONFIG": ("VIRTIO_PCI_ISR_CONFIG", int(virtio.IsrStatus.CONFIG)),
    "DescFlags.NEXT": ("VRING_DESC_F_NEXT", int(virtio.DescFlags.NEXT)),
    "DescFlags.WRITE": ("VRING_DESC_F_WRITE", int(virtio.DescFlags.WRITE)),
    "DescFlags.INDIRECT": ("VRING_DESC_F_INDIRECT", int(virtio.DescFlags.INDIRECT)),
    "DescFlags.AVAIL": ("(1 << VRING_PACKED_DESC_F_AVAIL)", int(virtio.DescFlags.AVAIL)),
    "DescFlags.USED": ("(1 << VRING_PACKED_DESC_F_USED)", int(virtio.DescFlags.USED)),
    "RingEventFlags.ENABLE": ("VRING_PACKED_EVENT_FLAG_ENABLE", int(virtio.RingEventFlags.ENABLE)),
    "RingEventFlags.DISABLE": ("VRING_PACKED_EVENT_FLAG_DISABLE", int(virtio.RingEventFlags.DISABLE)),
    "RingEventFlags.DESC": ("VRING_PACKED_EVENT_FLAG_DESC", int(virtio.RingEventFlags.DESC)),
    "DeviceStatus.DEVICE_NEEDS_RESET": ("VIRTIO_CONFIG_S_NEEDS_RESET", int(virtio.DeviceStatus.DEVICE_NEEDS_RESET)),
    "Feature.INDIRECT_DESC": ("VIRTIO_RING_F_INDIRECT_DESC", int(virtio.Feature.INDIRECT_DESC)),
    "Feature.EVENT_IDX": ("VIRTIO_RING_F_EVENT_IDX", int(virtio.Feature.EVENT_IDX)),
    "PCI_VENDOR_ID": ("PCI_VENDOR_ID", pci.PciHeader.vendor_id.offset),
    "PCI_DEVICE_ID": ("PCI_DEVICE_ID", pci.PciHeader.device_id.offset),
    "PCI_COMMAND": ("PCI_COMMAND", pci.PciHeader.command.offset),
    "PCI_STATUS": ("PCI_STATUS", pci.PciHeader.status.offset),
    "PCI_REVISION_ID": ("PCI_REVISION_ID", pci.PciHeader.revision_id.offset),
    "PCI_CLASS_PROG": ("PCI_CLASS_PROG", pci.PciHeader.prog_if.offset),
    "PCI_CLASS_DEVICE": ("PCI_CLASS_DEVICE", pci.PciHeader.sub_class.offset),
    "PCI_CACHE_LINE_SIZE": ("PCI_CACHE_LINE_SIZE", pci.PciHeader.cache_line_size.offset),
    "PCI_HEADER_TYPE": ("PCI_HEADER_TYPE", pci.PciHeader.header_type.offset),
    "PCI_BASE_ADDRESS_0": ("PCI_BASE_ADDRESS_0", pci.PciHeader.bar.offset),
    "PCI_SUBSYSTEM_VENDOR_ID": ("PCI_SUBSYSTEM_VENDOR_ID", pci.PciHeader.subsystem_vendor_id.offset),
    "PCI_SUBSYSTEM_ID": ("PCI_SUBSYSTEM_ID", pci.PciHeader.subsystem_id.offset),
    "PCI_ROM_ADDRESS": ("PCI_ROM_ADDRESS", pci.PciHeader.rom_address.offset),
    "PCI_CAPABILITY_LIST": ("PCI_CAPABILITY_LIST", pci.PciHeader.capability_list.offset),
    "PCI_INTERRUPT_LINE": ("PCI_INTERRUPT_LINE", pci.PciHeader.interrupt_line.offset),
    "PCI_INTERRUPT_PIN": ("PCI_INTERRUPT_PIN", pci.PciHeader.interrupt_pin.offset),
    "PCI_CAP_ID_VNDR": ("PCI_CAP_ID_VNDR", int(pci.PciCapId.VENDOR)),
    "PCI_CAP_ID_EXP": ("PCI_CAP_ID_EXP", int(pci.PciCapId.EXPRESS)),
    "PCI_CAP_ID_MSIX": ("PCI_CAP_ID_MSIX", int(pci.PciCapId.MSIX)),
    "PCI_COMMAND_IO": ("PCI_COMMAND_IO", int(pci.PciCommand.IO)),
    "PCI_COMMAND_MEMORY": ("PCI_COMMAND_MEMORY", int(pci.PciCommand.MEMORY)),
    "PCI_COMMAND_MASTER": ("PCI_COMMAND_MASTER", int(pci.PciCommand.BUS_MASTER)),
    "PCI_COMMAND_PARITY": ("PCI_COMMAND_PARITY", int(pci.PciCommand.PARITY)),
    "PCI_COMMAND_SERR": ("PCI_COMMAND_SERR", int(pci.PciCommand.SERR)),
    "PCI_COMMAND_INTX_DISABLE": ("PCI_COMMAND_INTX_DISABLE", int(pci.PciCommand.INTX_DISABLE)),
    "PCI_STATUS_INTERRUPT": ("PCI_STATUS_INTERRUPT", int(pci.PciStatus.INTERRUPT)),
    "PCI_STATUS_CAP_LIST": ("PCI_STATUS_CAP_LIST", int(pci.PciStatus.CAP_LIST)),
    "PCI_STATUS_PARITY": ("PCI_STATUS_PARITY", int(pci.PciStatus.MASTER_DATA_PARITY)),
    "PCI_STATUS_SIG_TARGET_ABORT": ("PCI_STATUS_SIG_TARGET_ABORT", int(pci.PciStatus.SIGNALED_TARGET_ABORT)),
    "PCI_STATUS_REC_TARGET_ABORT": ("PCI_STATUS_REC_TARGET_ABORT", int(pci.PciStatus.RECEIVED_TARGET_ABORT)),
    "PCI_STATUS_REC_MASTER_ABORT": ("PCI_STATUS_REC_MASTER_ABORT", int(pci.PciStatus.RECEIVED_MASTER_ABORT)),
    "PCI_STATUS_DETECTED_PARITY": ("PCI_STATUS_DETECTED_PARITY", int(pci.PciStatus.DETECTED_PARITY_ERROR)),
    "PCI_MSIX_FLAGS": ("PCI_MSIX_FLAGS", pci.MsixCap.message_control.offset),
    "PCI_MSIX_TABLE": ("PCI_MSIX_TABLE", pci.MsixCap.table.offset),
    "PCI_MSIX_PBA": ("PCI_MSIX_PBA", pci.MsixCap.pba.offset),
    "PCI_MSIX_FLAGS_MASKALL": ("PCI_MSIX_FLAGS_MASKALL", pci.MSIX_CONTROL_MASK),
    "PCI_MSIX_FLAGS_ENABLE": ("PCI_MSIX_FLAGS_ENABLE", pci.MSIX_CONTROL_ENABLE),
    "PCI_MSIX_ENTRY_SIZE": ("PCI_MSIX_ENTRY_SIZE", sizeof(pci.MsixTableEntry)),
    "PCI_MSIX_ENTRY_LOWER_ADDR": ("PCI_MSIX_ENTRY_LOWER_ADDR", pci.MsixTableEntry.message_address.offset),
    "PCI_MSIX_ENTRY_DATA": ("PCI_MSIX_ENTRY_DATA", pci.MsixTableEntry.message_data.offset),
    "PCI_MSIX_ENTRY_VECTOR_CTRL": ("PCI_MSIX_ENTRY_VECTOR_CTRL", pci.MsixTableEntry.vector_control.offset),
    "PCI_MSIX_ENTRY_CTRL_MASKBIT": ("PCI_MSIX_ENTRY_CTRL_MASKBIT", pci.MSIX_VECTOR_MASK),
    "PCI_EXP_FLAGS": ("PCI_EXP_FLAGS", pci.PciExpressCap.flags.offset),
    "PCI_EXP_DEVCAP": ("PCI_EXP_DEVCAP", pci.PciExpressCap.devcap.offset),
    "PCI_EXP_DEVCTL": ("PCI_EXP_DEVCTL", pci.PciExpressCap.devctl.offset),
    "PCI_EXP_DEVSTA": ("PCI_EXP_DEVSTA", pci.PciExpressCap.devsta.offset),
    "PCI_EXP_LNKCAP": ("PCI_EXP_LNKCAP", pci.PciExpressCap.lnkcap.offset),
    "PCI_EXP_LNKCTL": ("PCI_EXP_LNKCTL", pci.PciExpressCap.lnkctl.offset),
    "PCI_EXP_LNKSTA": ("PCI_EXP_LNKSTA", pci.PciExpressCap.lnksta.offset),
    "PCI_EXP_DEVCAP2": ("PCI_EXP_DEVCAP2", pci.PciExpressCap.devcap2.offset),
    "PCI_EXP_DEVCTL2": ("PCI_EXP_DEVCTL2", pci.PciExpressCap.devctl2.offset),
    "PCI_EXP_LNKCTL2": ("PCI_EXP_LNKCTL2", pci.PciExpressCap.lnkctl2.offset),
    "PCI_EXP_LNKCTL_RCB": ("PCI_EXP_LNKCTL_RCB", pci.LNKCTL_RCB),
    "PCI_EXP_DEVCTL_EXT_TAG": ("PCI_EXP_DEVCTL_EXT_TAG", int(pci.DevCtl.EXTENDED_TAG)),
    "PCI_EXP_DEVCTL_RELAX_EN": ("PCI_EXP_DEVCTL_RELAX_EN", int(pci.DevCtl.RELAXED_ORDERING)),
    "PCI_EXP_DEVCTL_NOSNOOP_EN": ("PCI_EXP_DEVCTL_NOSNOOP_EN", int(pci.DevCtl.NO_SNOOP)),
    "PCI_EXP_DEVCTL_PAYLOAD": ("PCI_EXP_DEVCTL_PAYLOAD", 7 << pci.DEVCTL_MPS_SHIFT),
    "PCI_EXP_DEVCTL_READRQ": ("PCI_EXP_DEVCTL_READRQ", 7 << pci.DEVCTL_MRRS_SHIFT),
    "PCI_EXP_DEVSTA_CED": ("PCI_EXP_DEVSTA_CED", int(pci.DevSta.CORRECTABLE)),
    "PCI_EXP_DEVSTA_NFED": ("PCI_EXP_DEVSTA_NFED", int(pci.DevSta.NON_FATAL)),
    "PCI_EXP_DEVSTA_FED": ("PCI_EXP_DEVSTA_FED", int(pci.DevSta.FATAL)),
    "PCI_EXP_DEVSTA_URD": ("PCI_EXP_DEVSTA_URD", int(pci.DevSta.UNSUPPORTED_REQUEST)),
    "PCI_EXP_DEVSTA_TRPND": ("PCI_EXP_DEVSTA_TRPND", int(pci.DevSta.TRANSACTIONS_PENDING)),
}


@dataclass(frozen=True)
class Check:
    """One number: its name here, the C expression, our value, and the condition of the preprocessor that it needs."""

    name: str
    expression: str
    value: int
    condition: str


def _kernel_name(python_name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", python_name).lower()


def _since(*names: str) -> int:
    return max((v for v, listed in FUSE_SINCE.items() if set(names) & set(listed.split())), default=0)


def _structure(struct: type[LittleEndianStructure], c_name: str, renamed: dict[str, str], is_fuse: bool) -> list[Check]:
    name = struct.__name__

    def condition(*names: str) -> str:
        version = _since(*names)
        return f"FUSE_KERNEL_MINOR_VERSION >= {version % 100}" if is_fuse and version else "1"

    checks = [Check(f"{name} size", f"sizeof(struct {c_name})", sizeof(struct), condition(name))]
    for field_name, *_ in struct._fields_:
        c_field = renamed.get(field_name, field_name)
        if not c_field:
            continue
        full = f"{name}.{field_name}"
        at = getattr(struct, field_name)
        gate = condition(name, full)
        checks.append(Check(full, f"offsetof(struct {c_name}, {c_field})", at.offset, gate))
        if c_field == field_name:
            member = f"sizeof(((struct {c_name} *)0)->{c_field})"
            checks.append(Check(f"{full} size", member, at.size, gate))
    return checks


def _enum(kind: type[IntEnum] | type[IntFlag], prefix: str, is_fuse: bool) -> list[Check]:
    checks = []
    for member in kind:
        name = f"{kind.__name__}.{member.name}"
        version = _since(name)
        if is_fuse:
            gate = f"FUSE_KERNEL_MINOR_VERSION >= {version % 100}" if version else "1"
        else:
            gate = f"defined({prefix}{member.name})"
        checks.append(Check(name, f"{prefix}{member.name}", int(member), gate))
    return checks


def _all_checks() -> list[Check]:
    checks: list[Check] = []
    for name in dir(fuse):
        value: Any = getattr(fuse, name)
        if name.startswith("Fuse") and isinstance(value, type):
            checks += _structure(value, _kernel_name(name), {}, True)
    for kind, prefix in (
        (fuse_constants.Opcode, "FUSE_"),
        (fuse_constants.NotifyCode, "FUSE_NOTIFY_"),
        (fuse_constants.InitFlag, "FUSE_"),
        (fuse_constants.Fattr, "FATTR_"),
        (fuse_constants.Fopen, "FOPEN_"),
    ):
        checks += _enum(kind, prefix, True)
    for name in dir(fuse_constants):
        if name.isupper() and isinstance(getattr(fuse_constants, name), int):
            if name == "FUSE_KERNEL_MINOR_VERSION":
                continue
            version = _since(name)
            gate = f"FUSE_KERNEL_MINOR_VERSION >= {version % 100}" if version else "1"
            checks.append(Check(name, name, getattr(fuse_constants, name), gate))
    for struct, (c_name, renamed) in VIRTIO_STRUCTS.items():
        checks += _structure(struct, c_name, renamed, False)
    checks += _enum(virtio.DeviceStatus, "VIRTIO_CONFIG_S_", False)
    checks += _enum(virtio.Feature, "VIRTIO_F_", False)
    checks += _enum(virtio.CfgType, "VIRTIO_PCI_CAP_", False)
    done = {check.name for check in checks}
    for name, (expression, number) in MACROS.items():
        gate = f"defined({expression})" if re.fullmatch(r"[A-Z0-9_]+", expression) else "1"
        check = Check(name, expression, number, gate)
        checks = [check if old.name == name else old for old in checks] if name in done else [*checks, check]
    return [check for check in checks if not _listed(check.name)]


def _listed(name: str) -> bool:
    return name in NOT_IN_HEADERS or name.removesuffix(" size") in NOT_IN_HEADERS


def _program(checks: list[Check]) -> str:
    lines = ["#include <stddef.h>", "#include <stdio.h>", "#include <stdint.h>"]
    lines += [f"#include <linux/{header}>" for header in HEADERS]
    lines.append("int main(void) {")
    for index, check in enumerate(checks):
        lines += [
            f"#if {check.condition}",
            f'printf("{index} %llu\\n", (unsigned long long)({check.expression}));',
            "#endif",
        ]
    lines.append("return 0; }")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """Ours and the headers' number of everything that the installed headers have."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.fail("g++ is missing (package g++)")
    folder: Path = tmp_path_factory.mktemp("layouts")
    checks = _all_checks()
    source, binary = folder / "layouts.c", folder / "layouts"
    source.write_text(_program(checks))
    built = subprocess.run([compiler, "-x", "c", str(source), "-o", str(binary)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    output = subprocess.run([str(binary)], capture_output=True, text=True, check=True).stdout
    result = {}
    for line in output.splitlines():
        index, number = line.split()
        check = checks[int(index)]
        # Enumerators and (1 << 31) come out sign-extended: compare as many bits as our number can have.
        mask = 0xFFFF_FFFF if check.value < 1 << 32 else (1 << 64) - 1
        result[check.name] = (check.value, int(number) & mask)
    return result


def test_every_layout_is_the_kernels(printed: dict[str, tuple[int, int]]) -> None:
    wrong = {name: pair for name, pair in printed.items() if pair[0] != pair[1]}
    assert not wrong, f"(ours, header): {wrong}"


def test_enough_is_compared(printed: dict[str, tuple[int, int]]) -> None:
    missing = sorted({check.name for check in _all_checks()} - set(printed))
    print(f"compared: {len(printed)}")
    for name in missing:
        version = _since(name, name.split(".")[0], name.removesuffix(" size"))
        print(f"newer than the installed headers: {name} ({LIBFUSE if version else VIRTIO_1_4})")
    for name, source in NOT_IN_HEADERS.items():
        print(f"in no header: {name} ({source})")
    assert len(printed) >= FLOOR


def test_what_is_listed_as_missing_exists_here() -> None:
    for name in NOT_IN_HEADERS:
        head, _, tail = name.removesuffix(" size").partition(".")
        owner = next(module for module in (virtio, fuse, fuse_constants) if hasattr(module, head))
        assert not tail or hasattr(getattr(owner, head), tail), name


@pytest.mark.parametrize(
    ("struct", "size"),
    [
        ("FuseInHeader", 40),
        ("FuseOutHeader", 16),
        ("FuseStatx", 256),
        ("FuseStatxOut", 288),
        ("FuseCopyFileRangeOut", 8),
        ("FuseNotifyPruneOut", 16),
    ],
)
def test_sizes_that_older_headers_cannot_confirm(struct: str, size: int) -> None:
    assert sizeof(getattr(fuse, struct)) == size
