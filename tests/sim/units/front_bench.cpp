// Plays a script on register_front (see harness.hpp), and tells what leaves:
//
//   tlp HDR DATA        one packet of the host, 16 bytes of payload at most; waits until it is taken
//   irq Q | fatal | completion MASK      one cycle each: {poison, unexpected, CA, UR} of a completion
//   busy 0|1            DMA is under way
//   stall 0|1           rq takes nothing
//   wait CYCLES
//   mark TEXT
//
//   -> cc HDR DATA | rq HDR DATA | doorbell MASK | mark TEXT, in the order in which they are seen
#include <iostream>
#include <sstream>

#include "Vfront_bench.h"
#include "harness.hpp"

namespace {

constexpr unsigned LONGEST = 2000;

class Bench : public Harness<Vfront_bench> {
  public:
    using Harness::Harness;

    void play(std::istream& script) {
        top.dma_idle = 1;
        inputs();
        reset();
        std::string line;
        while (std::getline(script, line)) {
            std::istringstream words(line);
            std::string verb;
            words >> verb;
            if (verb == "tlp") send(words);
            else if (verb == "irq") {
                unsigned queue;
                words >> queue;
                top.irq_valid = 1;
                top.irq_queue = queue;
                step();
            } else if (verb == "fatal") {
                top.fatal = 1;
                step();
            } else if (verb == "completion") {
                unsigned mask;
                words >> mask;
                top.completion_error = mask;
                step();
            } else if (verb == "busy") {
                unsigned busy;
                words >> busy;
                top.dma_idle = !busy;
            } else if (verb == "stall") words >> stalled_;
            else if (verb == "wait") {
                unsigned count;
                words >> count;
                while (count--) step();
            } else if (verb == "mark") std::printf("%s\n", line.c_str());
            else error("unknown command");
        }
    }

  private:
    bool stalled_ = false, in_packet_ = false;
    std::string held_;      // what is on rq and was not taken

    void inputs() { top.cq_valid = top.irq_valid = top.fatal = top.completion_error = 0; }

    void send(std::istringstream& words) {
        std::string header, data;
        words >> header >> data;
        set_wide(top.cq_hdr, header);
        set_wide(top.cq_data, data);
        bool taken = false;
        for (unsigned i = 0; i < LONGEST && !taken; i++) {
            top.cq_valid = 1;
            taken = step();
        }
        if (!taken) error("cq takes nothing");
    }

    // One cycle; true where a packet on cq was taken.
    bool step() {
        bool taken = false;
        top.rq_ready = !stalled_ && chance(60);
        tick([&] {
            taken = top.cq_valid && top.cq_ready;
            if (top.doorbell) std::printf("doorbell %x\n", unsigned(top.doorbell));
            if (top.cc_valid) {
                if (!in_packet_) {
                    std::printf("cc ");
                    print_wide(top.cc_hdr);
                    std::printf(" ");
                    print_wide(top.cc_data);
                    std::printf("\n");
                }
                in_packet_ = !top.cc_last;
            }
            std::string shown;
            for (int i = 3; top.rq_valid && i >= 0; i--) shown += std::to_string(top.rq_hdr[i]) + " ";
            if (!held_.empty() && shown != held_) error("rq changes before it is taken");
            held_ = top.rq_ready ? "" : shown;
            if (top.rq_valid && top.rq_ready) {
                std::printf("rq ");
                print_wide(top.rq_hdr);
                std::printf(" ");
                print_wide(top.rq_data);
                std::printf("\n");
            }
        });
        inputs();
        return taken;
    }
};

}  // namespace

int main(int argc, char** argv) {
    Bench bench(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
    bench.play(std::cin);
    bench.top.final();
    return 0;
}
