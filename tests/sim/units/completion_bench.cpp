// Reads that are answered while posted packets leave on rq, some of them in one cycle (see harness.hpp).
//
//   run CYCLES PERCENT_POSTED -> run COMPLETIONS
#include <deque>
#include <iostream>

#include "Vcompletion_bench.h"
#include "harness.hpp"

namespace {

constexpr unsigned PATIENCE = 8;

class Bench : public Harness<Vcompletion_bench> {
  public:
    using Harness::Harness;

    void run(unsigned count, unsigned posted) {
        top.push = top.posted_granted = top.posted_sent = 0;
        reset();
        uint64_t granted = 0, sent = 0, free_since = 0;
        bool shown = false;
        unsigned left = 0;
        std::deque<uint64_t> waiting;  // what each completion has to let pass
        for (unsigned i = 0; i < count; i++) {
            top.posted_granted = granted;
            top.posted_sent = sent;
            top.push = chance(3) && waiting.size() < 3;
            if (top.push) waiting.push_back(granted);
            bool leaves = false;
            tick([&] { leaves = top.leaves; });
            const bool may = !waiting.empty() && waiting.front() <= sent;
            if (leaves && waiting.empty()) error("a completion of nothing");
            else if (leaves) {
                if (!may) error("a completion passes a posted packet");
                waiting.pop_front();
                left++;
            }
            if (!may || leaves) free_since = cycles;
            if (cycles - free_since > PATIENCE) {
                error("a completion that waits for nothing");
                free_since = cycles;
            }
            // A packet is shown, and may be taken at once.
            if (!shown && chance(posted)) {
                shown = true;
                granted++;
            }
            if (shown && chance(60)) {
                shown = false;
                sent++;
            }
        }
        std::printf("run %u\n", left);
    }
};

}  // namespace

int main(int argc, char** argv) {
    Bench bench(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
    std::string verb;
    unsigned count, posted;
    while (std::cin >> verb >> count >> posted) bench.run(count, posted);
    bench.top.final();
    return 0;
}
