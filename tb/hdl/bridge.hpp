// The fast path between the simulated pins and Python: whole packets, one total order, one log.
//
// SystemVerilog calls the dpi_* functions (once a beat, and once a clock cycle for dpi_tick); Python calls the
// bridge_* functions through ctypes in the same process and thread. No locks: the simulator is single-threaded
// where it calls either.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace bridge {

// Observation log, version 1: one record. docs: virtiofs_tb/host/log.py.
struct Record {
    uint64_t t_ps;
    uint64_t seq;
    uint64_t address;
    uint64_t payload;  // offset in the payload arena of the whole run
    uint32_t length;   // payload bytes
    uint8_t kind;
    uint8_t channel;
    uint8_t status;
    uint8_t be;  // first | last << 4
    uint16_t function;
    uint16_t tag;
    uint32_t hdr[4];
    uint32_t reserved;
};
static_assert(sizeof(Record) == 64, "a log record is 64 bytes");

enum Kind : uint8_t { TLP = 1, DPU_OPERATION = 3, ENGINE_REQUEST = 4, ENGINE_REPLY = 5, RESET = 7 };

// Ports of the device under test; the numbers stand once more in bridge_pkg.sv and virtiofs_tb/host/bridge.py.
enum Port : unsigned {
    CQ,
    CC,
    RQ,
    RC,
    ENGINE_REQUEST_OUT,
    ENGINE_DONE,
    ENGINE_CONTROL,
    ENGINE_JOB,
    ENGINE_REPLY_IN,
    ENGINE_NOTIFY,
    ENGINE_CONTROL_ACK,
    STORAGE,
    DPU,
    PORTS
};

// What a packet is in the log. Packets of one cycle are logged in the order of `rank`: what left the device before
// what entered it, posted writes before completions.
struct PortInfo {
    bool tlp;
    bool into_device;
    uint8_t kind;
    uint8_t channel;
    uint8_t rank;
};

struct Packet {
    uint64_t due_ps = 0;
    std::array<uint32_t, 4> hdr{};
    std::vector<uint8_t> payload;
};

// A repeatable coin: true in `percent` of a hundred calls.
class Throttle {
  public:
    void set(unsigned percent, uint64_t seed) {
        percent_ = percent > 100 ? 100 : percent;
        state_ = seed * 0x9E3779B97F4A7C15ULL + 0x632BE59BD9B4E019ULL;
        if (state_ == 0) state_ = 1;
    }
    bool go() {
        if (percent_ == 100) return true;
        if (percent_ == 0) return false;
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return ((state_ >> 11) % 100) < percent_;
    }

  private:
    unsigned percent_ = 100;
    uint64_t state_ = 1;
};

// A register command of Python for the DPU port.
struct DpuCommand {
    bool write = false;
    uint32_t address = 0;
    uint32_t data = 0;
    uint16_t tag = 0;
};

}  // namespace bridge
