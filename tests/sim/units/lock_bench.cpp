// Plays a script on the lock table (see harness.hpp).
//
//   lock OP CTX ID NODE FLOCK OWNER START END KIND PID -> rsp RESULT START END KIND PID CYCLES
//   settle                                             -> wakes CTX:ID:RESULT... BUSY_CYCLES
//   stall PERCENT_WAKES
//
// Wakes may come at any time; `settle` tells those since the last one. Its cycles: since the last answer.
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
        reset();
        std::string line;
        while (std::getline(script, line)) {
            std::istringstream words(line);
            std::string verb;
            words >> verb;
            if (verb == "lock") lock(words);
            else if (verb == "settle") settle();
            else if (verb == "stall") words >> wake_stall_;
            else error("unknown command");
        }
    }

  private:
    unsigned wake_stall_ = 0;
    uint64_t answered_ = 0;
    std::string wakes_;

    template <class Until>
    void wait(Until until) {
        const uint64_t begin = cycles;
        bool done = false;
        while (!done) {
            top.wake_ready = !chance(wake_stall_);
            tick([&] {
                done = until();
                if (top.rsp_valid && top.cmd_valid) error("an answer before the command was taken");
                if (top.wake_valid && top.wake_ready) note_wake();
            });
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
        wait([&] {
            if (!top.rsp_valid) return false;
            std::printf("rsp %u %llu %llu %u %u %llu\n", top.result, (unsigned long long)top.found_start,
                        (unsigned long long)top.found_finish, top.found_kind, top.found_pid,
                        (unsigned long long)(cycles - begin));
            return true;
        });
        answered_ = cycles;
    }

    // A wake comes out of its queue some cycles after it was put in.
    void settle() {
        unsigned quiet = 0;
        uint64_t busy = 0;
        wait([&] {
            if (!top.cmd_ready) busy = cycles - answered_;
            quiet = top.cmd_ready && !top.wake_valid ? quiet + 1 : 0;
            return quiet == 4;
        });
        std::printf("wakes%s %llu\n", wakes_.c_str(), (unsigned long long)busy);
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
