// Plays a script on used_order and write_lanes (see harness.hpp), and tells what it sees, with the cycle:
//
//   ring PACKED EVENT_IDX IN_ORDER | queue Q SIZE DESC DRIVER DEVICE   before anything else
//   start Q CTX                      a chain gets a context
//   data LANE ADDR VALUE             4 bytes
//   used LANE Q CTX ID SLOTS LEN
//   event Q INDEX                    write avail_event
//   wish ADDR VALUE                  16 bits that the driver has there from now on
//   stop MASK | clear Q | drop CTX | restart
//   pause CYCLES | settle
//
//   -> write CYCLE ADDR BYTES DATA | done CYCLE Q CTX SLOTS | read CYCLE ADDR BYTES | answer CYCLE DATA
//      irq CYCLE Q | event CYCLE | held MASK QUIET (after settle)
//
// Commands of a lane are taken in order; the script goes on meanwhile.
#include <deque>
#include <iostream>
#include <map>
#include <sstream>

#include "Vused_bench.h"
#include "harness.hpp"

namespace {

constexpr unsigned LANES = 3;
constexpr unsigned QUIET_CYCLES = 80;  // more than a look at all queues takes

struct Command {
    bool used;
    unsigned queue, ctx, id, slots;
    uint64_t addr;
    uint32_t len;
};

struct Read {
    uint64_t addr;
    unsigned bytes;
    uint64_t due;
};

class Bench : public Harness<Vused_bench> {
  public:
    using Harness::Harness;

    void play(std::istream& script) {
        idle();
        reset();
        std::string line;
        while (std::getline(script, line)) {
            std::istringstream words(line);
            std::string verb;
            words >> verb;
            if (verb == "ring") {
                unsigned packed, event, order;
                words >> packed >> event >> order;
                top.packed_ring = packed;
                top.event_idx = event;
                top.in_order = order;
            } else if (verb == "queue") {
                unsigned queue, size;
                words >> queue >> size >> top.set_desc >> top.set_driver >> top.set_device;
                top.set_queue = queue;
                top.set_size = size;
                top.set_valid = 1;
                step();
                top.set_valid = 0;
            } else if (verb == "start") {
                unsigned queue, ctx;
                words >> queue >> ctx;
                top.start_queue = queue;
                top.start_ctx = ctx;
                top.start_valid = 1;
                step();
                top.start_valid = 0;
            } else if (verb == "data" || verb == "used") {
                unsigned lane;
                Command command{};
                command.used = verb == "used";
                words >> lane;
                if (command.used) words >> command.queue >> command.ctx >> command.id >> command.slots >> command.len;
                else words >> command.addr >> command.len;
                lanes_[lane].push_back(command);
            } else if (verb == "event") {
                unsigned queue, index;
                words >> queue >> index;
                while (top.event_valid) step();
                top.event_queue = queue;
                top.event_index = index;
                top.event_valid = 1;
            } else if (verb == "wish") {
                uint64_t addr;
                unsigned value;
                words >> addr >> value;
                memory_[addr] = value;
            } else if (verb == "stop") {
                unsigned mask;
                words >> mask;
                top.queue_stop = mask;
                step();
            } else if (verb == "clear") {
                unsigned queue;
                words >> queue;
                top.queue_clear = 1u << queue;
                step();
                top.queue_clear = 0;
            } else if (verb == "drop") {
                unsigned ctx;
                words >> ctx;
                top.drop = ctx;
                top.drop_valid = 1;
                step();
                top.drop_valid = 0;
            } else if (verb == "restart") {
                settle();
                reset();
            } else if (verb == "pause") {
                unsigned count;
                words >> count;
                while (count--) step();
            } else if (verb == "settle") {
                settle();
                std::printf("held %u %u\n", top.held, top.queue_quiet);
            } else error("unknown command");
        }
    }

  private:
    std::deque<Command> lanes_[LANES];
    std::deque<Read> reads_;
    std::map<uint64_t, unsigned> memory_;
    uint64_t moved_ = 0;

    void idle() {
        top.set_valid = top.start_valid = top.drop_valid = top.cmd_valid = top.event_valid = top.rsp_valid = 0;
        top.queue_stop = top.queue_clear = top.packed_ring = top.event_idx = top.in_order = 0;
    }

    unsigned delay() {
        unsigned count = 1;
        while (count < 40 && chance(85)) count++;
        return count;
    }

    unsigned half(uint64_t addr) {
        const auto found = memory_.find(addr);
        return found == memory_.end() ? 0 : found->second;
    }

    void settle() {
        moved_ = cycles;
        while (cycles - moved_ < QUIET_CYCLES) step();
    }

    void step() {
        unsigned valid = 0, used = 0;
        for (unsigned lane = 0; lane < LANES; lane++) {
            if (lanes_[lane].empty()) continue;
            const Command& now = lanes_[lane].front();
            valid |= 1u << lane;
            used |= unsigned(now.used) << lane;
            put(top.cmd_queue, lane, 4, now.queue);
            put(top.cmd_ctx, lane, 6, now.ctx);
            wide(top.cmd_addr, lane, now.addr);
            put(top.cmd_id, lane, 16, now.id);
            put(top.cmd_slots, lane, 16, now.slots);
            top.cmd_len[lane] = now.len;
        }
        top.cmd_valid = valid;
        top.cmd_used = used;
        top.write_ready = !chance(30);
        top.rsp_valid = !reads_.empty() && reads_.front().due <= cycles;
        if (top.rsp_valid) {
            const Read& read = reads_.front();
            top.rsp_data = half(read.addr) | (read.bytes == 4 ? half(read.addr + 2) << 16 : 0);
        }
        unsigned taken = 0;
        bool answered = false, event = false;
        tick([&] {
            taken = top.cmd_valid & top.cmd_ready;
            answered = top.rsp_valid && top.rsp_ready;
            event = top.event_valid && top.event_ready;
            look(answered, event);
        });
        for (unsigned lane = 0; lane < LANES; lane++) {
            if (taken >> lane & 1) lanes_[lane].pop_front();
        }
        if (answered) reads_.pop_front();
        if (event) top.event_valid = 0;
        if (taken || answered || event || valid || top.event_valid || !reads_.empty()) moved_ = cycles;
    }

    void look(bool answered, bool event) {
        const unsigned long long now = cycles;
        if (top.irq_valid) std::printf("irq %llu %u\n", now, top.irq_queue);
        if (top.write_valid && top.write_ready) write(now);
        if (top.done_valid) std::printf("done %llu %u %u %u\n", now, top.done_queue, top.done_ctx, top.done_slots);
        if (event) std::printf("event %llu\n", now);
        if (answered) std::printf("answer %llu %u\n", now, top.rsp_data);
        if (top.sup_valid) {
            std::printf("read %llu %llu %u\n", now, (unsigned long long)top.sup_addr, top.sup_bytes);
            reads_.push_back({top.sup_addr, top.sup_bytes, cycles + delay()});
        }
        if (top.write_valid || top.irq_valid || top.sup_valid) moved_ = cycles;
    }

    // A memory write of one beat: header DW0 in the highest word.
    void write(unsigned long long now) {
        const uint32_t dw0 = top.write_hdr[3], dw1 = top.write_hdr[2];
        const bool wide_address = dw0 >> 29 & 1;
        const uint64_t addr = wide_address ? uint64_t(top.write_hdr[1]) << 32 | top.write_hdr[0] : top.write_hdr[1];
        const unsigned dwords = dw0 & 0x3FF;
        const unsigned enables = dwords == 1 ? dw1 & 0xF : (dw1 & 0xF) | (dw1 & 0xF0);
        uint64_t first = 0, count = 0, data = 0;
        while (!(enables >> first & 1)) first++;
        for (unsigned byte = 0; byte < 8; byte++) {
            if (!(enables >> byte & 1)) continue;
            if (byte != first + count) error("byte enables with a hole");
            data |= (top.write_data >> 8 * byte & 0xFF) << 8 * count;
            count++;
        }
        std::printf("write %llu %llu %llu %llu\n", now, (unsigned long long)(addr + first), (unsigned long long)count,
                    (unsigned long long)data);
    }

    template <class Port>
    static void put(Port& port, unsigned lane, unsigned width, uint64_t value) {
        const uint64_t mask = (uint64_t(1) << width) - 1;
        port = (port & ~(mask << lane * width)) | (value & mask) << lane * width;
    }

    template <std::size_t Words>
    static void wide(VlWide<Words>& port, unsigned lane, uint64_t value) {
        port[2 * lane] = uint32_t(value);
        port[2 * lane + 1] = uint32_t(value >> 32);
    }
};

}  // namespace

int main(int argc, char** argv) {
    Bench bench(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
    bench.play(std::cin);
    bench.top.final();
    return 0;
}
