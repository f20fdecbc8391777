// Random traffic around queue_reset (see harness.hpp): every context goes its way through the endpoint, and whatever
// the unit does is held to what must be true then.
//
//   run CYCLES PERCENT_RESETS PERCENT_FLUSHES -> run RESETS DROPS FLUSHES SKIPS BOTH
//   fault NAME      from here on the endpoint around the unit breaks a promise: rest (a context that moves says that it
//                   rests), quiet (reads are out where it says that none are)
//
// RESETS: queues whose reset came to its end; BOTH: those that were asked for while another one was on.
#include <iostream>
#include <sstream>

#include "Vreset_bench.h"
#include "harness.hpp"

namespace {

constexpr unsigned QUEUES = 6, LONGEST = 6000;  // CONTEXTS comes from the build

enum class Where { FREE, FETCH, SENDER, SENDING, ENGINE, OFFERED, SKIPPED, MOVER, HELD, LANE };

struct Context {
    Where where = Where::FREE;
    unsigned queue = 0;
    unsigned jobs = 0;
};

class Bench : public Harness<Vreset_bench> {
  public:
    using Harness::Harness;

    void play(std::istream& script) {
        inputs();
        reset();
        std::string line;
        while (std::getline(script, line)) {
            std::istringstream words(line);
            std::string verb;
            words >> verb;
            if (verb == "run") {
                unsigned count, resets, flushes;
                words >> count >> resets >> flushes;
                run(count, resets, flushes);
            } else if (verb == "fault") words >> fault_;
            else error("unknown command");
        }
    }

  private:
    Context contexts_[CONTEXTS];
    unsigned reads_[QUEUES] = {};       // of the ring and of the driver's wish that are out
    uint64_t asked_[QUEUES] = {};       // cycle of the request, 0: none is on
    bool forgotten_[QUEUES] = {};       // by the engine
    bool disabled_[QUEUES] = {};
    bool idle_since_[QUEUES] = {};      // no message was on its way at some moment since the queue was disabled
    int telling_ = -1, answer_in_ = -1;
    unsigned resets_ = 0, drops_ = 0, flushes_ = 0, skips_ = 0, both_ = 0;
    std::string fault_;

    unsigned below(unsigned count) {
        unsigned value = 0;
        for (unsigned bit = 0; bit < 8; bit++) value = value << 1 | unsigned(chance(50));
        return value % count;
    }

    // Contexts as the endpoint divides 32 of them: 4 of queue 0, 8 of queue 1, the others of request queues.
    unsigned queue_of(unsigned ctx) { return ctx < 4 ? 0 : ctx < 12 ? 1 : 2 + below(QUEUES - 2); }

    void inputs() {
        top.request = top.start_valid = top.used_valid = top.fetch_valid = top.sending_valid = top.skipped_valid = 0;
        top.job_valid = top.job_end_valid = top.tell_ready = top.told = 0;
        top.resting = top.queue_quiet = 0;
        top.message_idle = top.settled = 1;
    }

    void run(unsigned count, unsigned resets, unsigned flushes) {
        for (unsigned i = 0; i < count; i++) step(resets, flushes);
        for (unsigned i = 0; i < 4 * LONGEST && top.queue_stop; i++) step(0, 0);
        if (top.queue_stop) error("a queue that is never reset");
        std::printf("run %u %u %u %u %u\n", resets_, drops_, flushes_, skips_, both_);
    }

    bool stopped(unsigned queue) const { return top.queue_stop >> queue & 1; }

    void step(unsigned resets, unsigned flushes) {
        inputs();
        top.eval();
        bool offered = false;
        for (unsigned ctx = 0; ctx < CONTEXTS; ctx++) advance(ctx);
        for (unsigned queue = 0; queue < QUEUES; queue++) {
            bool out = false;
            for (const Context& context : contexts_) out |= context.where != Where::FREE && context.queue == queue;
            if (reads_[queue] && chance(1)) reads_[queue]--;
            if (!stopped(queue) && chance(5) && reads_[queue] < 3) reads_[queue]++;
            if ((!out && !reads_[queue]) || fault_ == "quiet") top.queue_quiet |= 1u << queue;
            if (!asked_[queue] && chance(resets) && chance(5)) {
                top.request |= 1u << queue;
                asked_[queue] = cycles + 1;
                both_ += top.queue_stop != 0;
            }
            if (asked_[queue] && cycles > asked_[queue] + LONGEST) {
                error("a reset that does not end");
                std::exit(1);
            }
        }
        for (unsigned ctx = 0; ctx < CONTEXTS; ctx++) {
            const Context& context = contexts_[ctx];
            const bool rests = context.where == Where::ENGINE || context.where == Where::OFFERED ||
                               context.where == Where::SENDING || context.where == Where::HELD;
            if (rests || (fault_ == "rest" && context.where != Where::FREE)) top.resting |= 1u << ctx;
            offered |= context.where == Where::OFFERED;
        }
        top.settled = !offered && chance(70);
        top.message_idle = chance(40);
        top.tell_ready = chance(30);
        if (answer_in_ > 0) answer_in_--;
        else if (answer_in_ == 0) {
            top.told = 1;
            forgotten_[telling_] = true;
            answer_in_ = -1;
        }
        const bool flush = chance(flushes) && chance(2);
        tick([&] { look(); });
        if (flush) {
            inputs();
            reset();
            top.eval();
            if (top.queue_stop) error("a queue that is stopped behind a device reset");
            for (Context& context : contexts_) context = Context{};
            for (unsigned queue = 0; queue < QUEUES; queue++) {
                reads_[queue] = 0;
                asked_[queue] = 0;
                forgotten_[queue] = disabled_[queue] = false;
            }
            telling_ = answer_in_ = -1;
            flushes_++;
        }
    }

    // One step of a context's way; the inputs of this cycle tell of it. At most one of each kind a cycle.
    void advance(unsigned ctx) {
        Context& context = contexts_[ctx];
        if (context.where == Where::SENDING) {
            top.sending_valid = 1;
            top.sending = ctx;
        }
        if (context.jobs && !top.job_end_valid && chance(15)) {
            top.job_end_valid = 1;
            top.job_end = ctx;
            context.jobs--;
        }
        if (!chance(8)) return;
        const bool stop = stopped(context.queue);
        switch (context.where) {
            case Where::FREE: {
                const unsigned queue = queue_of(ctx);
                if (top.start_valid || stopped(queue) || disabled_[queue]) return;
                context.queue = queue;
                context.where = Where::FETCH;
                top.start_valid = 1;
                top.start_queue = queue;
                top.start_ctx = ctx;
                return;
            }
            case Where::FETCH:
                if (stop && !top.fetch_valid && chance(30)) {
                    context.where = Where::FREE;
                    top.fetch_valid = 1;
                    top.fetch_ctx = ctx;
                } else context.where = Where::SENDER;
                return;
            case Where::SENDER:
                if (top.sending_valid || top.skipped_valid) return;
                for (const Context& other : contexts_) if (other.where == Where::SENDING) return;
                if (stop) {
                    context.where = Where::SKIPPED;
                    top.skipped_valid = 1;
                    top.skipped = ctx;
                    skips_++;
                } else context.where = Where::SENDING;
                return;
            case Where::SENDING: context.where = Where::ENGINE; return;
            case Where::ENGINE:
                if (context.queue == 1 || forgotten_[context.queue]) return;
                if (chance(30) && !top.job_valid) {
                    context.jobs++;
                    top.job_valid = 1;
                    top.job_queue = context.queue;
                } else if (!context.jobs) {
                    // One reply stands before the endpoint, others behind it are still the engine's.
                    for (const Context& other : contexts_) if (other.where == Where::OFFERED) return;
                    context.where = Where::OFFERED;
                }
                return;
            case Where::OFFERED: context.where = Where::MOVER; return;
            case Where::MOVER: context.where = chance(50) ? Where::HELD : Where::LANE; return;
            case Where::HELD: if (!stop) context.where = Where::LANE; return;
            case Where::LANE:
                if (top.used_valid) return;
                top.used_valid = 1;
                top.used_ctx = ctx;
                context.where = Where::FREE;
                return;
            default: return;
        }
    }

    // What the unit does in this cycle.
    void look() {
        if (top.tell_valid) {
            for (unsigned ctx = 0; ctx < CONTEXTS; ctx++) {
                const Context& context = contexts_[ctx];
                if (context.queue != top.tell_queue) continue;
                if (context.where == Where::FETCH || context.where == Where::SENDER || context.where == Where::SENDING)
                    error("the engine is told while requests are on their way to it");
            }
            if (!asked_[top.tell_queue]) error("the engine is told of a queue that is not reset");
            if (top.tell_ready) {
                telling_ = top.tell_queue;
                answer_in_ = 5 + int(below(100));
            }
        }
        if (top.drop_valid) drop();
        for (unsigned queue = 0; queue < QUEUES; queue++) {
            const bool requested = asked_[queue] && asked_[queue] != cycles + 1;
            if (requested != stopped(queue)) error("queue_reset does not read what it should");
            if (top.queue_disable >> queue & 1) {
                if (!forgotten_[queue]) error("disabled while the engine knows of it");
                if (reads_[queue]) error("disabled while reads are out");
                for (const Context& context : contexts_)
                    if (context.where != Where::FREE && context.queue == queue) error("disabled while chains are left");
                disabled_[queue] = true;
                idle_since_[queue] = false;
            } else if (disabled_[queue] && top.message_idle) idle_since_[queue] = true;
            if (top.queue_clear >> queue & 1) {
                if (!disabled_[queue]) error("cleared before it was disabled");
                if (!idle_since_[queue]) error("cleared while an interrupt may be on its way");
                asked_[queue] = 0;
                forgotten_[queue] = disabled_[queue] = false;
                resets_++;
            }
        }
    }

    void drop() {
        Context& context = contexts_[top.drop_ctx];
        const bool rests = context.where == Where::ENGINE || context.where == Where::HELD ||
                           context.where == Where::SKIPPED;
        if (!rests) error("a context is dropped that is under way");
        if (context.queue != top.drop_queue || !asked_[context.queue]) error("a context of another queue is dropped");
        if (!forgotten_[context.queue]) error("a context is dropped that the engine may answer");
        if (context.jobs) error("a context is dropped that has a job");
        const unsigned lane = top.drop_ctx < 4 ? 0 : top.drop_ctx < 12 ? 1 : 2;
        if (top.drop_lane != lane) error("a context is given back to another lane");
        context.where = Where::FREE;
        drops_++;
    }
};

}  // namespace

int main(int argc, char** argv) {
    Bench bench(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
    bench.play(std::cin);
    bench.top.final();
    return 0;
}
