#include "bridge.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "svdpi.h"

namespace bridge {
namespace {

constexpr uint64_t NEVER = ~0ULL;
constexpr uint64_t STORAGE_BYTES = 64ULL << 20;
constexpr unsigned BEAT_WORDS = 16;         // a beat crosses DPI as 512 bits, whatever the data width
constexpr unsigned FATAL_AFTER_TICKS = 64;  // a failure that Python does not pick up ends the simulation

constexpr unsigned port_bit(Port port) { return 1U << port; }
constexpr unsigned SINKS = port_bit(CC) | port_bit(RQ) | port_bit(ENGINE_REQUEST_OUT) | port_bit(ENGINE_DONE) |
                           port_bit(ENGINE_CONTROL) | port_bit(STORAGE);

constexpr PortInfo PORT_INFO[PORTS] = {
    {true, true, TLP, 0, 5},              // CQ
    {true, false, TLP, 1, 1},             // CC
    {true, false, TLP, 2, 0},             // RQ
    {true, true, TLP, 3, 6},              // RC
    {false, false, ENGINE_REQUEST, 0, 2}, // REQUEST
    {false, false, ENGINE_REQUEST, 1, 3}, // DONE
    {false, false, ENGINE_REQUEST, 2, 4}, // CONTROL
    {false, true, ENGINE_REPLY, 0, 7},    // JOB
    {false, true, ENGINE_REPLY, 1, 8},    // REPLY
    {false, true, ENGINE_REPLY, 2, 9},    // NOTIFY
    {false, true, ENGINE_REPLY, 3, 10},   // CONTROL_ACK
    {false, false, 0, 0, 11},             // STORAGE: not logged
    {false, true, DPU_OPERATION, 0, 12},  // DPU
};

// ---- PCIe header fields (PCI Express Base Specification, Transaction Layer) ----

unsigned fmt_type(const uint32_t* hdr) { return hdr[0] >> 24; }
bool has_data(unsigned ft) { return (ft & 0x40) != 0; }
bool four_dw(unsigned ft) { return (ft & 0x20) != 0; }
unsigned length_bytes(uint32_t dw0) { return ((dw0 & 0x3FF) == 0 ? 1024 : (dw0 & 0x3FF)) * 4; }
bool is_memory(unsigned ft) { return (ft & 0x1F) == 0; }
bool is_message(unsigned ft) { return (ft & 0x18) == 0x10; }
bool is_completion(unsigned ft) { return (ft & 0x1E) == 0x0A; }
bool is_config(unsigned ft) { return (ft & 0x1E) == 0x04; }
// Memory writes and messages are posted, completions are a class of their own: all others need np credit.
bool is_non_posted(unsigned ft) {
    return !((is_memory(ft) && has_data(ft)) || is_message(ft) || is_completion(ft));
}

// The fields of a record that repeat what the header says, by the table in virtiofs_tb/host/log.py.
void decode_tlp(Record& r) {
    constexpr unsigned POISONED = 0x4000;
    const unsigned ft = fmt_type(r.hdr);
    r.tag = static_cast<uint16_t>((r.hdr[1] >> 8) & 0xFF);
    if ((r.hdr[0] & POISONED) != 0) r.status = 0x80;
    if (is_completion(ft)) {
        r.status |= static_cast<uint8_t>((r.hdr[1] >> 13) & 7);
        r.tag = static_cast<uint16_t>((r.hdr[2] >> 8) & 0xFF);
        r.function = static_cast<uint16_t>(((r.channel == CC ? r.hdr[1] : r.hdr[2]) >> 16) & 7);
        r.address = r.hdr[2] & 0x7F;
        return;
    }
    if (r.channel == RQ) r.function = static_cast<uint16_t>((r.hdr[1] >> 16) & 7);
    if (is_config(ft)) {
        r.function = static_cast<uint16_t>((r.hdr[2] >> 16) & 7);
        r.address = r.hdr[2] & 0xFFC;
        r.be = static_cast<uint8_t>(r.hdr[1] & 0xFF);
    } else if (is_memory(ft)) {
        r.address = four_dw(ft) ? (static_cast<uint64_t>(r.hdr[2]) << 32) | (r.hdr[3] & ~3U) : r.hdr[2] & ~3U;
        r.be = static_cast<uint8_t>(r.hdr[1] & 0xFF);
    }
}

// ---- state ----

struct Log {
    std::vector<Record> records;
    std::vector<uint8_t> payload;
};

// Packets that wait to enter the device on one port. `front` is the packet on the pins.
struct Input {
    std::deque<Packet> waiting;
    Packet front;
    size_t sent = 0;      // bytes of front that were handed to the pins
    bool active = false;  // front is partly or wholly on the pins
    bool whole = false;   // all beats of front were handed to the pins
};

struct Output {
    Packet packet;
    bool active = false;
};

// A packet whose last beat was taken in this cycle.
struct Finished {
    bool valid = false;
    uint64_t t_ps = 0;
    Packet packet;
};

// What bridge_drain answers; virtiofs_tb/host/bridge.py knows its layout.
struct Drained {
    uint64_t records;
    const Record* record;
    uint64_t payload_bytes;
    const uint8_t* payload;
    uint64_t now_ps;
};

struct Bridge {
    Log log[2];
    unsigned filling = 0;
    Drained drained{};
    uint64_t seq = 0;
    uint64_t now = 0;

    Input input[PORTS];
    Output output[PORTS];
    Finished finished[PORTS];
    unsigned any_finished = 0;
    Throttle throttle[PORTS];
    unsigned throttled = 0;  // bit a port: its throttle is below 100 percent
    unsigned busy = 0;       // bit an input port: a packet waits or is on the pins

    std::deque<DpuCommand> commands;
    DpuCommand command;
    bool dpu_finished = false;
    Record dpu_record{};

    bool rq_np_ok = true;
    bool wake = false;
    int (*on_wake)() = nullptr;  // Python's answer to a wake-up; nullptr: cocotb's, by the pin
    uint64_t wake_at = 0;
    unsigned coalesce = 8;
    unsigned since_wake = 0;
    bool pending = false;  // something was logged that Python must answer
    unsigned pending_ticks = 0;
    unsigned reset_ticks = 8;
    bool in_reset = true;

    std::string failure;
    bool failure_taken = false;
    unsigned failure_ticks = 0;
    uint64_t ticks = 0;

    std::vector<uint8_t> storage = std::vector<uint8_t>(STORAGE_BYTES);
    uint64_t storage_errors = 0;
};

Bridge& state() {
    static Bridge* instance = new Bridge;  // lives as long as the process: Python may call late
    return *instance;
}

void append(Bridge& b, Record r, const uint8_t* payload, size_t length) {
    Log& log = b.log[b.filling];
    r.seq = b.seq++;
    r.payload = log.payload.size();
    r.length = static_cast<uint32_t>(length);
    log.payload.insert(log.payload.end(), payload, payload + length);
    log.records.push_back(r);
}

void append_packet(Bridge& b, unsigned port, const Finished& f) {
    const PortInfo& info = PORT_INFO[port];
    Record r{};
    r.t_ps = f.t_ps;
    r.kind = info.kind;
    r.channel = info.channel;
    std::copy(f.packet.hdr.begin(), f.packet.hdr.end(), r.hdr);
    if (info.tlp) decode_tlp(r);
    append(b, r, f.packet.payload.data(), f.packet.payload.size());
}

// Log the packets that ended in the last cycle, in the order of their ports' ranks: so the order of simultaneous
// events does not depend on how the simulator schedules its processes.
void commit(Bridge& b) {
    if (b.any_finished != 0) {
        static const std::array<unsigned, PORTS> by_rank = [] {
            std::array<unsigned, PORTS> order{};
            for (unsigned p = 0; p < PORTS; ++p) order[PORT_INFO[p].rank] = p;
            return order;
        }();
        for (unsigned port : by_rank) {
            Finished& f = b.finished[port];
            if (!f.valid) continue;
            append_packet(b, port, f);
            // What entered the device came from Python: it is told with the next thing that needs an answer.
            if (!PORT_INFO[port].into_device) b.pending = true;
            f.valid = false;
            f.packet.payload.clear();
        }
        b.any_finished = 0;
    }
    if (b.dpu_finished) {
        append(b, b.dpu_record, nullptr, 0);
        b.pending = true;
        b.dpu_finished = false;
    }
}

void finish(Bridge& b, unsigned port, uint64_t t_ps, Packet&& packet) {
    Finished& f = b.finished[port];
    f.valid = true;
    f.t_ps = t_ps;
    std::swap(f.packet, packet);
    b.any_finished |= 1U << port;
}

void fail(Bridge& b, const std::string& message) {
    if (!b.failure.empty()) return;
    b.failure = "at " + std::to_string(b.now) + " ps: " + message;
    std::fprintf(stderr, "assertion failed %s\n", b.failure.c_str());
}

// The position in `waiting` of the packet that may enter next, or npos. Posted requests pass non-posted ones that
// the device does not take (PCIe ordering rules: "a posted request must be able to pass"), nothing else overtakes.
size_t next_packet(const Bridge& b, unsigned port, bool np_ok) {
    const std::deque<Packet>& waiting = b.input[port].waiting;
    for (size_t i = 0; i < waiting.size(); ++i) {
        if (waiting[i].due_ps > b.now) return std::string::npos;
        if (port != CQ || np_ok || !is_non_posted(fmt_type(waiting[i].hdr.data()))) return i;
    }
    return std::string::npos;
}

bool cq_np_ok_now = false;

bool has_beat(const Bridge& b, unsigned port) {
    const Input& in = b.input[port];
    if (in.active && !in.whole) return true;
    return !in.waiting.empty() && next_packet(b, port, cq_np_ok_now) != std::string::npos;
}

void reset_ports(Bridge& b) {
    for (Input& in : b.input) in = Input{};
    for (Output& out : b.output) out = Output{};
    for (Finished& f : b.finished) f = Finished{};
    b.any_finished = 0;
    b.busy = 0;
    b.dpu_finished = false;
    b.commands.clear();
}

// The ports that may move a beat in this cycle, a bit each. Idle ports cost nothing here.
unsigned ports_that_go(Bridge& b) {
    unsigned go = SINKS & ~b.throttled;
    for (unsigned port = 0; (SINKS & b.throttled) >> port != 0; ++port) {
        if ((SINKS & b.throttled) >> port & 1 && b.throttle[port].go()) go |= 1U << port;
    }
    for (unsigned port = 0; b.busy >> port != 0; ++port) {
        if ((b.busy >> port & 1) == 0) continue;
        const Input& in = b.input[port];
        if (in.waiting.empty() && !(in.active && !in.whole)) {
            b.busy &= ~(1U << port);
        } else if (has_beat(b, port) && b.throttle[port].go()) {
            go |= 1U << port;
        }
    }
    if (!b.commands.empty() && b.throttle[DPU].go()) go |= port_bit(DPU);
    return go;
}

}  // namespace
}  // namespace bridge

using namespace bridge;

// =====================================================================================================
// Called by SystemVerilog
// =====================================================================================================
extern "C" {

// Once a cycle, at the falling edge. Bits of the answer: [12:0] port may move a beat, 16 rst, 17 rq_np_ok, 18 wake,
// 19 stop: a failure was reported and nobody listens.
long long dpi_tick(long long now_ps, svBit cq_np_ok) {
    Bridge& b = state();
    b.now = static_cast<uint64_t>(now_ps);
    ++b.ticks;
    cq_np_ok_now = cq_np_ok != 0;
    commit(b);

    uint64_t answer = 0;
    if (b.reset_ticks != 0) {
        --b.reset_ticks;
        b.in_reset = true;
        answer |= 1ULL << 16;
    } else {
        if (b.in_reset) {
            b.in_reset = false;
            Record r{};
            r.t_ps = b.now;
            r.kind = RESET;
            append(b, r, nullptr, 0);
        }
        answer |= ports_that_go(b);
    }
    if (b.rq_np_ok) answer |= 1ULL << 17;

    const bool failing = !b.failure.empty() && !b.failure_taken;
    b.pending_ticks = b.pending ? b.pending_ticks + 1 : 0;
    ++b.since_wake;
    const bool wanted = b.pending_ticks > b.coalesce || b.now >= b.wake_at || failing;
    if (wanted && (b.since_wake > b.coalesce || failing)) {
        b.since_wake = 0;
        b.pending_ticks = 0;
        b.wake_at = NEVER;
        if (b.on_wake == nullptr || b.on_wake() != 0) b.wake = !b.wake;
    }
    if (b.wake) answer |= 1ULL << 18;
    if (failing && ++b.failure_ticks > FATAL_AFTER_TICKS) answer |= 1ULL << 19;
    return static_cast<long long>(answer);
}

// A beat that left the device. `bytes` counts on streams; on a packet channel the header tells.
void dpi_sink_beat(int port, long long now_ps, const svBitVecVal* user, const svBitVecVal* data, int bytes,
                   svBit last) {
    Bridge& b = state();
    if (b.in_reset) return;
    Output& out = b.output[port];
    const bool tlp = PORT_INFO[port].tlp;
    if (!out.active) {
        out.active = true;
        out.packet.payload.clear();
        // A packet's DW0 stands in the top bits, a stream's field 0 in the bottom ones.
        for (unsigned i = 0; i < 4; ++i) out.packet.hdr[i] = user[tlp ? 3 - i : i];
    }
    std::vector<uint8_t>& payload = out.packet.payload;
    const auto* from = reinterpret_cast<const uint8_t*>(data);
    size_t take = static_cast<size_t>(bytes);
    if (tlp) {
        const uint32_t* hdr = out.packet.hdr.data();
        const size_t whole = has_data(fmt_type(hdr)) ? length_bytes(hdr[0]) : 0;
        take = std::min(take, whole - std::min(whole, payload.size()));
        payload.insert(payload.end(), from, from + take);
        if (last) payload.resize(whole);
    } else {
        payload.insert(payload.end(), from, from + take);
    }
    if (last) {
        out.active = false;
        finish(b, static_cast<unsigned>(port), static_cast<uint64_t>(now_ps), std::move(out.packet));
    }
}

// The next beat for the device; dpi_tick said that there is one. Returns bytes in [7:0], last in bit 8.
int dpi_source_beat(int port, int beat_bytes, svBitVecVal* user, svBitVecVal* data) {
    Bridge& b = state();
    Input& in = b.input[port];
    if (b.in_reset) return 1 << 8;
    if (!in.active || in.whole) {
        const size_t i = next_packet(b, static_cast<unsigned>(port), cq_np_ok_now);
        in.front = std::move(in.waiting[i]);
        in.waiting.erase(in.waiting.begin() + static_cast<std::ptrdiff_t>(i));
        in.active = true;
        in.whole = false;
        in.sent = 0;
    }
    const bool tlp = PORT_INFO[port].tlp;
    for (unsigned i = 0; i < 4; ++i) user[i] = in.front.hdr[tlp ? 3 - i : i];
    std::memset(data, 0, BEAT_WORDS * sizeof(svBitVecVal));
    const size_t take = std::min(in.front.payload.size() - in.sent, static_cast<size_t>(beat_bytes));
    if (take != 0) std::memcpy(data, in.front.payload.data() + in.sent, take);
    in.sent += take;
    in.whole = in.sent == in.front.payload.size();
    return static_cast<int>(take) | (in.whole ? 1 << 8 : 0);
}

// The device took the last beat of the packet on the pins. Called before the next beat is asked for.
void dpi_source_done(int port, long long now_ps) {
    Bridge& b = state();
    if (b.in_reset) return;
    Input& in = b.input[port];
    in.active = false;
    in.whole = false;
    finish(b, static_cast<unsigned>(port), static_cast<uint64_t>(now_ps), std::move(in.front));
}

// The next register command: write in bit 63, address in [62:32], data in [31:0]. dpi_tick said that there is one.
long long dpi_dpu_command() {
    Bridge& b = state();
    if (b.commands.empty()) return 0;  // only in the cycle in which a reset begins
    b.command = b.commands.front();
    b.commands.pop_front();
    const uint64_t word = (static_cast<uint64_t>(b.command.address) << 32) | b.command.data;
    return static_cast<long long>(word | (b.command.write ? 1ULL << 63 : 0));
}

void dpi_dpu_done(long long now_ps, int data, int response) {
    Bridge& b = state();
    if (b.in_reset) return;
    Record r{};
    r.t_ps = static_cast<uint64_t>(now_ps);
    r.kind = DPU_OPERATION;
    r.channel = b.command.write ? 0 : 1;
    r.address = b.command.address;
    r.status = static_cast<uint8_t>(response);
    r.tag = b.command.tag;
    r.hdr[0] = b.command.write ? b.command.data : static_cast<uint32_t>(data);
    b.dpu_record = r;
    b.dpu_finished = true;
}

void dpi_storage_write(int address, const svBitVecVal* data, long long strobe, int bytes) {
    Bridge& b = state();
    const uint64_t base = static_cast<uint32_t>(address);
    if (base + static_cast<uint64_t>(bytes) > STORAGE_BYTES) {
        fail(b, "storage: write at " + std::to_string(base) + " is beyond the memory of " +
                    std::to_string(STORAGE_BYTES) + " bytes");
        return;
    }
    const auto* from = reinterpret_cast<const uint8_t*>(data);
    uint8_t* to = b.storage.data() + base;
    const uint64_t all = bytes == 64 ? ~0ULL : (1ULL << bytes) - 1;
    if (static_cast<uint64_t>(strobe) == all) {
        std::memcpy(to, from, static_cast<size_t>(bytes));
        return;
    }
    for (int i = 0; i < bytes; ++i) {
        if ((static_cast<uint64_t>(strobe) >> i & 1) != 0) to[i] = from[i];
    }
}

void dpi_storage_read(int address, svBitVecVal* data, int bytes) {
    Bridge& b = state();
    const uint64_t base = static_cast<uint32_t>(address);
    std::memset(data, 0, BEAT_WORDS * sizeof(svBitVecVal));
    if (base + static_cast<uint64_t>(bytes) > STORAGE_BYTES) {
        fail(b, "storage: read at " + std::to_string(base) + " is beyond the memory of " +
                    std::to_string(STORAGE_BYTES) + " bytes");
        return;
    }
    std::memcpy(data, b.storage.data() + base, static_cast<size_t>(bytes));
}

// An assertion failed: the first message is kept, and Python is woken to end the run with it.
// In the cycle before rst rises the reset has begun for the bridge already.
void dpi_fail(const char* message) {
    if (!state().in_reset) fail(state(), message);
}

// =====================================================================================================
// Called by Python (virtiofs_tb/host/bridge.py)
// =====================================================================================================

// Hand over what was logged since the last call; the pointers stay good until the next call. payload_base: what the
// records are to call the first byte of their payload.
const Drained* bridge_drain(uint64_t payload_base) {
    Bridge& b = state();
    Log& full = b.log[b.filling];
    b.pending = false;
    b.filling ^= 1;
    b.log[b.filling].records.clear();
    b.log[b.filling].payload.clear();
    for (Record& r : full.records) r.payload += payload_base;
    b.drained = {full.records.size(), full.records.data(), full.payload.size(), full.payload.data(), b.now};
    return &b.drained;
}

// The place in the total order of a record that Python makes. All that was logged before must be drained already.
uint64_t bridge_next_seq() { return state().seq++; }

// Queue a packet for the device; it enters in the order of the calls on its port, not before due_ps.
// 0: taken; 1: no such input port.
int bridge_send(unsigned port, uint64_t due_ps, uint32_t h0, uint32_t h1, uint32_t h2, uint32_t h3,
                const void* payload, uint64_t length) {
    if (port >= PORTS || !PORT_INFO[port].into_device || port == DPU) return 1;
    Packet p;
    p.due_ps = due_ps;
    p.hdr = {h0, h1, h2, h3};
    const auto* bytes = static_cast<const uint8_t*>(payload);
    p.payload.assign(bytes, bytes + length);
    Bridge& b = state();
    b.input[port].waiting.push_back(std::move(p));
    b.busy |= 1U << port;
    return 0;
}

// Packets queued on a port that did not enter the device yet.
uint64_t bridge_waiting(unsigned port) {
    if (port >= PORTS) return 0;
    const Input& in = state().input[port];
    return in.waiting.size() + (in.active ? 1 : 0);
}

void bridge_dpu(unsigned write, uint32_t address, uint32_t data, unsigned tag) {
    state().commands.push_back({write != 0, address, data, static_cast<uint16_t>(tag)});
}

// A port moves a beat in `percent` of all cycles (0: never).
void bridge_throttle(unsigned port, unsigned percent, uint64_t seed) {
    if (port >= PORTS) return;
    Bridge& b = state();
    b.throttle[port].set(percent, seed + port);
    b.throttled = percent < 100 ? b.throttled | 1U << port : b.throttled & ~(1U << port);
}

void bridge_rq_np_ok(unsigned level) { state().rq_np_ok = level != 0; }

// Wake Python at the first cycle that is not before t_ps; holds for one wake-up.
void bridge_wake_at(uint64_t t_ps) { state().wake_at = t_ps; }

// Wake Python at most once in `cycles` + 1 cycles.
void bridge_coalesce(unsigned cycles) { state().coalesce = cycles; }

// Call `function` at each wake-up, straight from the tick: much cheaper than by cocotb, which is woken only where the
// function returns other than 0. nullptr: cocotb is woken each time.
void bridge_on_wake(int (*function)()) { state().on_wake = function; }

// Hold the device's reset for `cycles` cycles; all that is queued or on the pins is forgotten, and so is a failure
// that Python took.
void bridge_reset(unsigned cycles) {
    Bridge& b = state();
    reset_ports(b);
    if (b.failure_taken) {
        b.failure.clear();
        b.failure_taken = false;
        b.failure_ticks = 0;
    }
    b.reset_ticks = cycles;
    b.in_reset = true;
}

uint64_t bridge_now() { return state().now; }
uint64_t bridge_cycles() { return state().ticks; }

// The first assertion that failed, or an empty text. Asking hands the failure over: Python ends the run.
const char* bridge_failure() {
    Bridge& b = state();
    if (!b.failure.empty()) b.failure_taken = true;
    return b.failure.c_str();
}

uint64_t bridge_storage_bytes() { return STORAGE_BYTES; }
void* bridge_storage() { return state().storage.data(); }

}  // extern "C"
