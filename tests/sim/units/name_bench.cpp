// Plays a script on the name unit (see harness.hpp). Numbers are decimal, bytes and records hexadecimal.
//
//   head BYTES                              the message
//   parse FROM TWO END                   -> parsed NAMES NEXT CYCLES
//   cmd OP KIND WHICH PARENT CHILD ENTRY -> rsp FOUND ENTRY CHILD FITS CYCLES
//   list COMMAND                         -> listing RECORD_BYTES BYTES CYCLES
//   node SLOT RECORD, look SLOT          -> node RECORD
//   stall PERCENT_NODES PERCENT_STREAM PERCENT_HOLD
//   reset                                -> ready CYCLES
#include <cstring>
#include <iostream>
#include <sstream>

#include "Vname_bench.h"
#include "harness.hpp"

namespace {

constexpr uint64_t HOLD_CYCLES = 100;  // from hold to holding, at most
constexpr uint64_t LIMIT = 200000;

class Bench : public Harness<Vname_bench> {
  public:
    using Harness::Harness;

    void play(std::istream& script) {
        std::string line;
        while (std::getline(script, line)) {
            std::istringstream words(line);
            std::string verb;
            words >> verb;
            if (verb == "head") head(words);
            else if (verb == "parse") parse(words);
            else if (verb == "cmd") command(words);
            else if (verb == "list") list(words);
            else if (verb == "node" || verb == "look") node(words, verb == "node");
            else if (verb == "stall") words >> node_stall_ >> stream_stall_ >> hold_;
            else if (verb == "reset") restart();
            else error("unknown command");
        }
    }

  private:
    unsigned node_stall_ = 0;
    unsigned stream_stall_ = 0;
    unsigned hold_ = 0;
    uint64_t held_since_ = 0;

    // A cycle with the environment's choices, and the rules of hold.
    template <class Look>
    void cycle(Look look) {
        top.node_free = !chance(node_stall_);
        const bool held = top.hold;
        if (held ? chance(20) && top.holding : chance(hold_)) top.hold = !held;
        if (!held) held_since_ = cycles;
        bool was_holding = false;
        tick([&] {
            was_holding = top.holding;
            if (top.holding && !top.hold) error("holding without hold");
            if (top.holding && top.node_used) error("the node port is used while holding");
            if (top.hold && !top.holding && cycles - held_since_ > HOLD_CYCLES) error("no holding after 100 cycles of hold");
            if (top.node_used && top.cmd_ready) error("a command could begin while the lister works");
            look();
        });
        top.eval();
        if (was_holding && top.hold && !top.holding) error("holding fell before hold");
    }

    template <class Until>
    uint64_t wait(Until until) {
        const uint64_t start = cycles;
        bool done = false;
        while (!done) {
            cycle([&] { done = until(); });
            if (cycles - start > LIMIT) {
                error("no answer");
                std::exit(1);
            }
        }
        return cycles - start;
    }

    void restart() {
        reset();
        std::printf("ready %llu\n", (unsigned long long)wait([&] { return top.ready; }));
    }

    void head(std::istringstream& words) {
        std::string hex;
        words >> hex;
        std::vector<uint8_t> bytes = bytes_of(hex);
        bytes.resize((bytes.size() + 15) / 16 * 16, 0xEE);
        for (size_t i = 0; i < bytes.size(); i += 16) {
            top.load_head = 1;
            top.load_index = i / 16;
            for (int w = 0; w < 4; w++) {
                const uint8_t* b = &bytes[i + 4 * w];
                top.load_bytes[w] = b[0] | b[1] << 8 | b[2] << 16 | uint32_t(b[3]) << 24;
            }
            cycle([] {});
        }
        top.load_head = 0;
    }

    void parse(std::istringstream& words) {
        unsigned from, two, end;
        words >> from >> two >> end;
        top.parse_from = from;
        top.parse_two = two;
        top.parse_end = end;
        top.parse_valid = 1;
        wait([&] { return top.parse_ready; });
        top.parse_valid = 0;
        const uint64_t taken = wait([&] { return top.parsed_valid; });
        std::printf("parsed %u %u %llu\n", top.names, top.parse_next, (unsigned long long)taken);
    }

    void command(std::istringstream& words) {
        unsigned op, kind, which, parent, child, entry;
        words >> op >> kind >> which >> parent >> child >> entry;
        top.cmd_op = op;
        top.cmd_kind = kind;
        top.cmd_which = which;
        top.cmd_parent = parent;
        top.cmd_child = child;
        top.cmd_entry = entry;
        top.cmd_valid = 1;
        unsigned fits = 0;
        wait([&] { return fits = top.fits, top.cmd_ready; });
        top.cmd_valid = 0;
        unsigned found = 0, where = 0, leads = 0;
        const uint64_t taken = wait([&] {
            found = top.rsp_found, where = top.rsp_entry, leads = top.rsp_child;
            return top.rsp_valid;
        });
        std::printf("rsp %u %u %u %u %llu\n", found, where, leads, fits, (unsigned long long)taken);
    }

    void list(std::istringstream& words) {
        std::string hex;
        words >> hex;
        set_wide(top.list, hex);
        top.list_valid = 1;
        wait([&] { return top.list_ready; });
        top.list_valid = 0;
        unsigned records = 0;
        const uint64_t taken = wait([&] {
            if (top.listing_valid) error("a listing is sent before it is done");
            records = top.list_bytes;
            return top.list_done;
        });
        std::printf("listing %u ", records);
        top.listing_ready = 0;
        std::remove_reference_t<decltype(top.listing_data)> before{};
        bool waiting = false, last = false;
        while (!last) {
            top.listing_ready = !chance(stream_stall_);
            wait([&] {
                if (waiting && !(top.listing_valid && same(top.listing_data, before))) error("the listing changes while it waits");
                before = top.listing_data;
                waiting = top.listing_valid && !top.listing_ready;
                if (top.listing_valid && top.listing_ready) {
                    for (unsigned i = 0; i < top.listing_bytes; i++) std::printf("%02x", lane(i));
                    last = top.listing_last;
                }
                return true;
            });
        }
        top.listing_ready = 0;
        std::printf(" %llu\n", (unsigned long long)taken);
    }

    template <class Wide>
    static bool same(const Wide& one, const Wide& other) {
        return std::memcmp(&one, &other, sizeof one) == 0;
    }

    unsigned lane(unsigned i) const { return top.listing_data[i / 4] >> (8 * (i % 4)) & 0xFF; }

    void node(std::istringstream& words, bool load) {
        unsigned slot;
        std::string hex;
        words >> slot >> hex;
        top.load_slot = slot;
        if (load) set_wide(top.load_data, hex);
        top.load_node = load;
        cycle([] {});
        top.load_node = 0;
        if (load) return;
        std::printf("node ");
        print_wide(top.look_data);
        std::printf("\n");
    }
};

}  // namespace

int main(int argc, char** argv) {
    Bench bench(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
    bench.play(std::cin);
    bench.top.final();
    return 0;
}
