// Random commands to the page unit, and random reads and writes through its windows, against sparse files in C++.
//
//   bench SEED COMMANDS [FAULT]   random test; FAULT: what the bench is to see wrongly, once or always
//   bench measure                 cycles of single commands, as JSON
//
// Exit status 0: nothing wrong; 1: one line says what was wrong.

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <string>

#include "Vpage_bench.h"
#include "page_files.hpp"
#include "verilated.h"

constexpr unsigned BEAT = DATA_W / 8;
constexpr unsigned WINDOWS = 4;
constexpr unsigned PATIENCE = 400000;  // cycles
constexpr unsigned HOLD_CYCLES = 100;
const char* const NAMES[] = {"MAP", "RESERVE", "ALLOCATE", "CUT", "PUNCH", "ERASE", "DROP"};

// What the mover does: words in ascending order, then perhaps a release.
struct Job {
    bool write;
    Command command;
    uint64_t begin, end;  // bytes of the file that are moved
    bool release;         // before the window would close by itself
    std::vector<uint8_t> bytes;
};

class Bench {
    VerilatedContext context_;
    Vpage_bench top_{&context_};
    std::mt19937_64 random_;
    std::string fault_;
    Files files_{PAGES};
    Job job_{};
    bool moving_ = false;
    uint64_t at_ = 0;       // of job_: next byte to ask for
    uint64_t upto_ = 0;     // behind what is being written
    std::deque<Job> waiting_;
    struct Expected {
        uint64_t address;
        std::vector<int> bytes;  // -1: any
    };
    std::deque<Expected> expected_;
    unsigned read_open_ = 0, write_open_ = 0;  // windows, a bit each
    unsigned held_ = 0;
    bool still_ = false;    // hold and holding stood in the cycle before
    bool no_space_ = false;
    unsigned opening_ = 0, closing_ = 0;    // windows that may be busy or not
    uint64_t words_ = 0;

   public:
    uint64_t cycles = 0;
    bool stalls = true;

    Bench(uint64_t seed, std::string fault) : random_(seed), fault_(std::move(fault)) {
        context_.randReset(2);
        context_.randSeed(static_cast<int>(seed % 0x7FFFFFFF) + 1);
        top_.rst = 1;
        for (int i = 0; i < 4; i++) clock();
        top_.rst = 0;
        for (unsigned i = 0; !top_.ready; i++) {
            if (i > 3 * PAGES + INODES) fail("not ready %u cycles after reset", i);
            clock();
        }
    }

    uint64_t below(uint64_t n) { return random_() % n; }
    bool chance(unsigned percent) { return below(100) < percent; }
    uint64_t words() const { return words_; }
    unsigned free() const { return top_.free_pages; }
    bool no_space() const { return no_space_; }

    template <typename... Args>
    [[noreturn]] void fail(const char* format, Args... args) {
        std::printf("cycle %llu: ", static_cast<unsigned long long>(cycles));
        std::printf(format, args...);
        std::printf("\n");
        std::exit(1);
    }

    // ---- one command ----

    // Cycles from the one in which it is taken to the one of the answer.
    uint64_t run(const Command& c) {
        top_.cmd_valid = 1;
        top_.cmd_op = c.op;
        top_.cmd_node = c.node;
        top_.cmd_from = c.from;
        top_.cmd_to = c.to;
        top_.cmd_window = c.window;
        for (unsigned i = 0; !ready_at_edge(); i++)
            if (i > PATIENCE) fail("%s is not taken", NAMES[c.op]);
        uint64_t taken = cycles;
        top_.cmd_valid = 0;
        if (c.op == MAP || c.op == RESERVE) opening_ = 1u << c.window;
        while (!top_.rsp_valid) {
            if (cycles > taken + PATIENCE) fail("%s is not answered", NAMES[c.op]);
            step();
        }
        opening_ = 0;
        answered(c);
        uint64_t needed = cycles - taken + 1;
        step();
        if (top_.rsp_valid) fail("%s is answered twice", NAMES[c.op]);
        return needed;
    }

    void settle() {
        for (unsigned i = 0; moving_ || !waiting_.empty() || !expected_.empty(); i++) {
            if (i > PATIENCE) fail("the mover does not end: %zu words are missing", expected_.size());
            step();
        }
        step();     // a release takes effect
    }

    unsigned unused_window() {
        for (unsigned i = 0;; i++) {
            unsigned window = below(WINDOWS);
            if (!((read_open_ | write_open_) >> window & 1)) return window;
            if (i > PATIENCE) fail("no window closes");
            step();
        }
    }

    // A write of the whole range or, of a request that fails, of its beginning; then the window is released.
    void write(const Command& c) {
        uint64_t end = !stalls || chance(80) ? c.to : c.from + below(c.to - c.from);
        Job job{true, c, c.from, end, true, {}};
        for (uint64_t i = c.from; i < end; i++) {
            job.bytes.push_back(random_());
            files_.write(c.node, i, job.bytes.back());
        }
        waiting_.push_back(job);
        settle();
    }

    // Words through a window that is closed: as after a device reset. Nothing may change, nothing may show.
    void stray() {
        for (unsigned window = 0; window < WINDOWS; window++) {
            if ((read_open_ | write_open_) >> window & 1) continue;
            touch(chance(50), uint64_t(window) << 21 | below(64) * BEAT);
        }
    }

    // What an open window does not allow: words beyond its end, writes where it is for reading.
    void misuse(const Command& c) {
        while (top_.storage_valid) step();
        uint64_t offset = c.op == MAP ? c.from % PAGE : c.to - 1 - c.from / PAGE * PAGE + BEAT;
        touch(c.op == MAP || chance(50), uint64_t(c.window) << 21 | offset);
    }

   private:
    // A whole word that reads as zeros and cannot be written.
    void touch(bool write, uint64_t address) {
        ask(write, address);
        if (write) set(std::vector<uint8_t>(BEAT, 0xA5), ~0ULL);
        else expected_.push_back({address, std::vector<int>(BEAT, 0)});
        while (!accepted_at_edge()) {}
        top_.storage_valid = 0;
    }

    // ---- a clock cycle ----

    void clock() {
        top_.clk = 1;
        top_.eval();
        top_.clk = 0;
        top_.eval();
        cycles++;
    }

    void step() {
        mover_asks();
        holder();
        top_.eval();
        bool taken = top_.storage_valid && top_.storage_ready;
        watch();
        clock();
        top_.window_release = 0;
        if (taken) mover_took();
    }

    bool ready_at_edge() {
        top_.eval();
        bool ready = top_.cmd_ready;
        step();
        return ready;
    }

    bool accepted_at_edge() {
        top_.eval();
        bool ready = top_.storage_ready;
        watch();
        clock();
        return ready;
    }

    bool seen_wrongly(const char* what) { return fault_ == what && cycles > 4000; }

    // What must hold in every cycle.
    void watch() {
        bool holding = top_.holding && !seen_wrongly("holding");
        held_ = top_.hold && !holding ? held_ + 1 : 0;
        if (held_ > HOLD_CYCLES) fail("not holding %u cycles after hold", held_);
        bool rsp_valid = top_.rsp_valid || (seen_wrongly("still") && still_);
        if (still_ && top_.hold && rsp_valid) fail("an answer while holding");
        still_ = top_.hold && holding;
        unsigned busy = top_.window_busy & ~(seen_wrongly("busy") ? 15u : 0u);
        if ((busy ^ (read_open_ | write_open_)) & ~(opening_ | closing_))
            fail("windows busy: %x, expected %x", busy, read_open_ | write_open_);
        closing_ = 0;
        if (top_.storage_rvalid) compare();
    }

    void compare() {
        if (expected_.empty()) fail("a word that nobody asked for");
        auto& [address, bytes] = expected_.front();
        for (unsigned i = 0; i < BEAT; i++) {
            unsigned byte = top_.storage_rdata[i / 4] >> 8 * (i % 4) & 0xFF;
            if (seen_wrongly("data")) byte ^= 1;
            if (bytes[i] >= 0 && byte != unsigned(bytes[i]))
                fail("address %llx reads %02x, expected %02x", static_cast<unsigned long long>(address + i), byte,
                     bytes[i]);
        }
        expected_.pop_front();
        words_++;
    }

    void holder() {
        if (!stalls) top_.hold = 0;
        else if (top_.hold ? chance(2) : chance(1)) top_.hold = !top_.hold;
    }

    // ---- answers ----

    void answered(const Command& c) {
        bool modifies = c.op != MAP;
        if (modifies && read_open_ && c.from < c.to) fail("%s before what is read is read", NAMES[c.op]);
        bool space = files_.apply(c);
        no_space_ = !space;
        bool no_space = top_.rsp_no_space != seen_wrongly("space");
        const char* fits = space ? "it fits" : "it does not fit";
        if (no_space == space) fail("%s: no_space is %d, %s", NAMES[c.op], no_space, fits);
        unsigned pages = top_.rsp_pages + seen_wrongly("pages");
        if (pages != files_.pages(c.node))
            fail("%s: inode %u has %u pages, expected %u", NAMES[c.op], c.node, pages, unsigned(files_.pages(c.node)));
        unsigned free = top_.free_pages + seen_wrongly("free");
        if (free != files_.free()) fail("%s: %u free pages, expected %u", NAMES[c.op], free, unsigned(files_.free()));
        if (c.from >= c.to || !space) return;
        if (c.op == RESERVE) write_open_ |= 1u << c.window;
        if (c.op != MAP) return;
        read_open_ |= 1u << c.window;
        Job job{false, c, c.from, c.to, false, {}};
        job.release = chance(10);
        if (job.release) job.end = c.from + below(c.to - c.from);
        job.bytes = files_.read(c.node, c.from, c.to);
        waiting_.push_back(job);
    }

    // ---- the data mover ----

    uint64_t address(const Job& job, uint64_t position) const {
        return uint64_t(job.command.window) << 21 | (position - job.begin / PAGE * PAGE);
    }

    void ask(bool write, uint64_t address) {
        top_.storage_valid = 1;
        top_.storage_write = write;
        top_.storage_addr = address / BEAT * BEAT;
    }

    void set(const std::vector<uint8_t>& bytes, uint64_t strobe) {
        for (unsigned i = 0; i < BEAT / 4; i++) top_.storage_wdata[i] = 0;
        for (unsigned i = 0; i < BEAT; i++) top_.storage_wdata[i / 4] |= unsigned(bytes[i]) << 8 * (i % 4);
        top_.storage_wstrb = strobe & (BEAT == 64 ? ~0ULL : (1ULL << BEAT % 64) - 1);
    }

    void mover_asks() {
        if (top_.storage_valid) return;
        if (!moving_ && !waiting_.empty() && !(stalls && chance(30))) {
            job_ = waiting_.front();
            waiting_.pop_front();
            moving_ = true;
            at_ = job_.begin;
        }
        if (!moving_ || (stalls && chance(20))) return;
        if (at_ >= job_.end) {
            finish();
            return;
        }
        uint64_t word = at_ / BEAT * BEAT;
        ask(job_.write, address(job_, at_));
        if (!job_.write) return;
        std::vector<uint8_t> bytes(BEAT, 0xEE);
        uint64_t strobe = 0;
        upto_ = std::min(job_.end, word + BEAT);
        if (stalls && chance(10)) upto_ = at_ + 1 + below(upto_ - at_);   // the word in several parts
        for (uint64_t i = at_; i < upto_; i++) {
            bytes[i - word] = job_.bytes[i - job_.begin];
            strobe |= 1ULL << (i - word);
        }
        set(bytes, strobe);
    }

    void finish() {
        unsigned bit = 1u << job_.command.window;
        if (job_.release) {
            top_.window_release = bit;
            read_open_ &= ~bit;
            write_open_ &= ~bit;
            closing_ = bit;
        }
        moving_ = false;
    }

    void mover_took() {
        top_.storage_valid = 0;
        if (!moving_) return;
        uint64_t word = at_ / BEAT * BEAT;
        if (!job_.write) {
            Expected expected{address(job_, at_) / BEAT * BEAT, std::vector<int>(BEAT, -1)};
            for (uint64_t i = at_; i < std::min(job_.end, word + BEAT); i++)
                expected.bytes[i - word] = job_.bytes[i - job_.begin];
            expected_.push_back(expected);
            uint64_t last = job_.command.to - 1;
            if (last >= word && last < word + BEAT) {
                read_open_ &= ~(1u << job_.command.window);
                job_.release = false;
            }
        }
        at_ = job_.write ? upto_ : word + BEAT;
        if (at_ >= job_.end) finish();
    }
};

// ---- the random part ----

// Few inodes and few places, so that they meet.
static uint64_t position(Bench& b) {
    static const uint64_t regions[] = {
        0, 0, 0, 100 * PAGE, 1ULL << 31, (1ULL << 32) - 4 * PAGE, FILE_BYTES - 24 * PAGE};
    static const uint64_t edges[] = {0, 1, BEAT - 1, BEAT, BEAT + 1, PAGE - BEAT, PAGE - 1};
    uint64_t page = regions[b.below(7)] + b.below(24) * PAGE;
    return page + (b.chance(60) ? edges[b.below(7)] : b.below(PAGE));
}

static Command command(Bench& b) {
    static const Op ops[] = {MAP, MAP, MAP, RESERVE, RESERVE, RESERVE, ALLOCATE, CUT, PUNCH, PUNCH, ERASE, DROP};
    Command c{ops[b.below(12)], 1 + unsigned(b.below(6)), position(b), 0, 0};
    if (b.chance(10)) c.node = INODES - 1;
    bool short_one = b.chance(70);
    c.to = c.from + (b.chance(5) ? 0 : 1 + b.below(short_one ? 2 * PAGE : 20 * PAGE));
    if (c.op != MAP && c.op != RESERVE && b.chance(5)) c.to = FILE_BYTES;   // of no space, or of all pages
    if ((c.op == MAP || c.op == RESERVE) && b.chance(2)) c.to = c.from + (1 << 20);
    c.to = std::min(c.to, FILE_BYTES);
    if (c.op == CUT && b.chance(50)) c.from = c.from % (30 * PAGE);
    if (c.op == CUT || c.op == DROP) c.to = FILE_BYTES;
    return c;
}

static int random_part(uint64_t seed, unsigned commands, const std::string& fault) {
    Bench b(seed, fault);
    unsigned full = 0;
    for (unsigned i = 0; i < commands; i++) {
        Command c = command(b);
        b.stalls = i / 64 % 4 != 3;   // for some time neither stalls nor hold
        if (c.op == MAP || c.op == RESERVE) c.window = b.unused_window();
        b.run(c);
        if ((c.op == MAP || c.op == RESERVE) && !b.no_space() && c.from < c.to && b.chance(10)) b.misuse(c);
        if (b.no_space()) full++;
        else if (c.op == RESERVE && c.from < c.to) b.write(c);
        if (b.chance(5)) b.settle(), b.stray();
    }
    b.settle();
    for (unsigned node = 0; node < INODES; node++) b.run({DROP, node, 0, FILE_BYTES, 0});
    if (b.free() != PAGES) b.fail("%u free pages in the end, expected %u", b.free(), PAGES);
    std::printf("{\"cycles\": %llu, \"words\": %llu, \"full\": %u}\n", static_cast<unsigned long long>(b.cycles),
                static_cast<unsigned long long>(b.words()), full);
    return 0;
}

// Cycles of each command by itself, and of a window's words from the first request to the last answer.
static int measure() {
    Bench b(1, "");
    b.stalls = false;
    const uint64_t sizes[] = {PAGE, PAGE + 1, 16 * PAGE};
    std::printf("{");
    for (uint64_t size : sizes) {
        for (Op op : {RESERVE, MAP, ERASE, PUNCH}) {
            Command c{op, 1, 0, size, 0};
            std::printf("\"%s %llu\": %llu, ", NAMES[op], static_cast<unsigned long long>(size),
                        static_cast<unsigned long long>(b.run(c)));
            uint64_t before = b.cycles;
            if (op == RESERVE) b.write(c);
            else b.settle();
            if (op == RESERVE || op == MAP)
                std::printf("\"%s %llu words\": %llu, ", NAMES[op], static_cast<unsigned long long>(size),
                            static_cast<unsigned long long>(b.cycles - before));
        }
    }
    std::printf("\"DROP\": %llu}\n", static_cast<unsigned long long>(b.run({DROP, 1, 0, FILE_BYTES, 0})));
    return 0;
}

int main(int argc, char** argv) {
    if (argc == 2 && std::string(argv[1]) == "measure") return measure();
    if (argc < 3) {
        std::fprintf(stderr, "usage: bench SEED COMMANDS [FAULT], or bench measure\n");
        return 2;
    }
    uint64_t seed = std::strtoull(argv[1], nullptr, 10);
    return random_part(seed, std::strtoul(argv[2], nullptr, 10), argc > 3 ? argv[3] : "");
}
