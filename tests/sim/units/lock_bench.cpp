// Plays a script on the lock table (see harness.hpp).
//
//   lock OP CTX ID NODE FLOCK OWNER START END KIND PID -> rsp RESULT START END KIND PID CYCLES
//   interrupt ID                                       -> interrupt FOUND CYCLES
//   later CYCLES ID                                       the same, so many cycles behind the next command's begin
//   settle                                             -> wakes CTX:ID:RESULT... 0
//   stall PERCENT_WAKES
//   order                                                from here on nobody may wait
//
// Wakes may come at any time; `settle` tells those since the last one.
#include <iostream>
#include <sstream>

#include "Vlock_bench.h"
#include "harness.hpp"

namespace {

constexpr uint64_t LIMIT = 100000;

class Bench : public Harness<Vlock_bench> {
  public:
    using Harness::Harness;

    void play(std::istream& script) {
        // Inputs start with random values too.
        top.cmd_valid = top.interrupt_valid = top.wake_ready = top.messages = top.place_ready = top.place_free = 0;
        top.may_park = 1;
        reset();
        std::string line;
        while (std::getline(script, line)) {
            std::istringstream words(line);
            std::string verb;
            words >> verb;
            if (verb == "lock") lock(words);
            else if (verb == "interrupt") {
                words >> top.interrupt_id;
                interrupt_in_ = 0;
                wait([&] { return interrupt_in_ < 0; });
            } else if (verb == "later") words >> later_ >> top.interrupt_id;
            else if (verb == "settle") settle();
            else if (verb == "stall") words >> wake_stall_;
            else if (verb == "order") top.may_park = 0;
            else error("unknown command");
        }
    }

  private:
    unsigned wake_stall_ = 0;
    int64_t later_ = -1;
    int64_t interrupt_in_ = -1;  // cycles; below 0: none is to come
    uint64_t interrupted_ = 0;
    std::string wakes_;

    template <class Until>
    void wait(Until until) {
        const uint64_t begin = cycles;
        bool done = false;
        while (!done) {
            top.wake_ready = !chance(wake_stall_);
            if (interrupt_in_ > 0) interrupt_in_--;
            else if (interrupt_in_ == 0 && !top.interrupt_valid) {
                top.interrupt_valid = 1;
                interrupted_ = cycles;
            }
            bool interrupted = false;
            tick([&] {
                interrupted = top.interrupt_valid && top.interrupt_done;
                if (interrupted) note_interrupt();
                done = until();
                if (top.rsp_valid && top.cmd_valid) error("an answer before the command was taken");
                if (top.wake_valid && top.wake_ready) note_wake();
            });
            if (interrupted) top.interrupt_valid = 0;
            if (cycles - begin > LIMIT) {
                error("no answer");
                std::exit(1);
            }
        }
    }

    void note_wake() {
        wakes_ += " " + std::to_string(top.wake_ctx) + ":" + std::to_string(top.wake_request_id) + ":" +
                  std::to_string(top.wake_result);
    }

    void note_interrupt() {
        interrupt_in_ = -1;
        std::printf("interrupt %u %llu\n", top.interrupt_found, (unsigned long long)(cycles - interrupted_));
    }

    void lock(std::istringstream& words) {
        unsigned op, ctx, node, flock;
        words >> op >> ctx >> top.request_id >> node >> flock >> top.owner >> top.start >> top.finish >> top.kind >> top.pid;
        top.op = op;
        top.ctx = ctx;
        top.node = node;
        top.flock = flock;
        top.cmd_valid = 1;
        wait([&] { return top.cmd_ready; });
        top.cmd_valid = 0;
        const uint64_t begin = cycles;
        interrupt_in_ = later_;
        later_ = -1;
        wait([&] {
            if (!top.rsp_valid) return false;
            std::printf("rsp %u %llu %llu %u %u %llu\n", top.result, (unsigned long long)top.found_start,
                        (unsigned long long)top.found_finish, top.found_kind, top.found_pid,
                        (unsigned long long)(cycles - begin));
            return true;
        });
        wait([&] { return interrupt_in_ < 0; });
    }

    // A wake comes out of its queue some cycles after it was put in.
    void settle() {
        unsigned quiet = 0;
        wait([&] {
            if (top.wake_valid && !top.wakes_left) error("a wake that is not counted");
            quiet = top.cmd_ready && !top.wakes_left ? quiet + 1 : 0;
            return quiet == 4;
        });
        std::printf("wakes%s 0\n", wakes_.c_str());
        wakes_.clear();
    }
};

}  // namespace

int main(int argc, char** argv) {
    Bench bench(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
    bench.play(std::cin);
    bench.top.final();
    return 0;
}
