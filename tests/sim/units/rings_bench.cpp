// Random chains in rings of both formats, against what their drivers meant.
//
//   bench SEED FORMAT SIZE CHAINS [WHAT]
//
// FORMAT: split, event (split with VIRTIO_F_EVENT_IDX) or packed. SIZE: of the request queues; the others have 8.
// WHAT: stops (of queue 2, now and then); a fault of the driver or of the bench, which is then to be found: kick, head,
// id, slots, length; or a rule that the driver breaks (BROKEN): prints the error that the device tells.
//
// Exit status 0: nothing wrong; 1: one line says what was wrong.

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "Vrings_bench.h"
#include "rings_broken.hpp"
#include "rings_driver.hpp"
#include "verilated.h"

constexpr unsigned BEAT = DATA_W / 8;
constexpr unsigned QUEUES = 4;  // hiprio, notification, two of requests
constexpr unsigned PATIENCE = 30000;

struct Read {
    uint64_t due;
    std::vector<uint64_t> sampled_at;
    uint64_t address;
    std::vector<uint8_t> bytes;
    unsigned sent = 0;
};

struct Context {
    unsigned queue = 0;
    Chain chain;
    bool busy = false, walked = false;
    uint64_t done_at = 0;
    std::deque<bool> parts;  // still to go over: readable or writable
};

class Bench {
    VerilatedContext context_;
    Vrings_bench top_{&context_};
    std::mt19937_64 random_;
    Memory memory_;
    std::string format_, what_;
    unsigned size_;
    std::unique_ptr<Driver> driver_[QUEUES];
    std::deque<Chain> expected_[QUEUES];
    std::multimap<uint64_t, std::function<void()>> later_;
    std::deque<Read> reads_;
    std::map<unsigned, Context> contexts_;
    uint64_t cycle_ = 0, progress_ = 0;
    unsigned left_, done_ = 0, walks_ = 0, stops_ = 0, refetched_ = 0;
    int range_ctx_ = -1;
    std::vector<Segment> range_;  // what the cursor is to bring
    bool stopping_ = false, stopped_ = false, restart_ = false;
    bool bad_reads_ = false;

    [[noreturn]] void wrong(const std::string& text) {
        std::printf("cycle %llu: %s\n", (unsigned long long)cycle_, text.c_str());
        std::exit(1);
    }
    unsigned below(unsigned bound) { return random_() % bound; }
    bool chance(unsigned percent) { return below(100) < percent; }
    void after(unsigned most, std::function<void()> what) { later_.emplace(cycle_ + 1 + below(most), std::move(what)); }
    bool packed() const { return format_ == "packed"; }

    void set_up(unsigned queue, unsigned size) {
        const uint64_t base = Memory::BASE + queue * 0x100000 + 0x20000 * (stops_ % 4);
        if (packed()) driver_[queue] = std::make_unique<PackedDriver>(memory_, random_, size, base);
        else driver_[queue] = std::make_unique<SplitDriver>(memory_, random_, size, base, format_ == "event");
        driver_[queue]->forget_kicks = what_ == "kick" && queue == 2;
        driver_[queue]->head_first = what_ == "head";
        top_.cfg_write = 1;
        top_.cfg_queue = queue;
        top_.cfg_enable = 1;
        top_.cfg_size = size;
        top_.cfg_desc = base;
        top_.cfg_driver = driver_[queue]->driver_area();
        top_.cfg_device = driver_[queue]->device_area();
        tick();
        top_.cfg_write = 0;
    }

    Shape shape(unsigned size) {
        const unsigned most = chance(15) ? 48 : chance(50) ? 3 : 8;
        const bool indirect = chance(40);
        // A packed ring's table may be longer than the ring.
        const unsigned all = 1 + below(packed() && indirect ? most : std::min(most, size));
        const unsigned readable = below(all + 1);
        return {readable, all - readable, indirect, packed() || chance(70) ? 0 : below(all)};
    }

    void drive() {
        for (unsigned q = 0; q < QUEUES; q++) {
            if (stopped_ && q == 2) continue;
            if (chance(70)) driver_[q]->step();
            if (left_ == 0 || !chance(q < 2 ? 1 : 4)) continue;
            unsigned added = 0;
            for (unsigned batch = 1 + below(4); batch && left_; batch--) {
                const Shape next = shape(driver_[q]->size);
                if (!driver_[q]->room(next)) break;
                driver_[q]->add(next);
                left_--, added++;
            }
            for (; !driver_[q]->published.empty(); driver_[q]->published.pop_front()) {
                expected_[q].push_back(driver_[q]->published.front());
            }
            if (added) driver_[q]->kick([this, q] { after(20, [this, q] { top_.doorbell |= 1u << q; }); });
        }
    }

    // ---- the device's ports ----

    void serve_reads() {
        for (auto& read : reads_) {
            for (unsigned block = 0; block < read.sampled_at.size(); block++) {
                if (read.sampled_at[block] != cycle_) continue;
                const uint64_t at = (read.address & ~uint64_t{15}) + 16 * block, end = read.address + read.bytes.size();
                const uint64_t from = std::max(read.address, at), upto = std::min(end, at + 16);
                for (uint64_t a = from; a < upto; a++) read.bytes[a - read.address] = *memory_.at(a);
            }
        }
        top_.rsp_valid = !reads_.empty() && reads_.front().due <= cycle_ && (top_.rsp_valid || chance(80));
        if (!top_.rsp_valid) return;
        const Read& read = reads_.front();
        uint32_t words[16] = {};
        std::memcpy(words, read.bytes.data() + read.sent, std::min<size_t>(BEAT, read.bytes.size() - read.sent));
        for (unsigned i = 0; i < BEAT / 4; i++) top_.rsp_data[i] = words[i];
        top_.rsp_last = read.sent + BEAT >= read.bytes.size();
        top_.rsp_bad = top_.rsp_last && bad_reads_;
    }

    void begin_read() {
        const uint64_t address = top_.req_addr;
        const unsigned bytes = top_.req_bytes;
        if (bytes == 0 || bytes > 512) wrong("a read of " + std::to_string(bytes) + " bytes");
        Read read{cycle_ + 3 + below(60), {}, address, std::vector<uint8_t>(bytes)};
        const unsigned blocks = ((address & 15) + bytes + 15) / 16;
        for (unsigned i = 0; i < blocks; i++) read.sampled_at.push_back(cycle_ + 1 + below(read.due - cycle_ - 1));
        if (stopped_ && !stopping_) {
            const uint64_t area = driver_[2]->base;
            if (address >= area && address < area + 0x20000) wrong("a read of a queue that is quiet");
        }
        reads_.push_back(std::move(read));
    }

    void on_start() {
        const unsigned queue = top_.start_queue;
        if (expected_[queue].empty()) wrong("a chain that is not there is begun");
        if (queue == 2 && stopping_) wrong("a chain of a stopped queue is begun");
        Context& context = contexts_[top_.start_ctx];
        if (context.busy) wrong("a context that is in use is used again");
        context = Context{queue, expected_[queue].front(), true, false, 0, {}};
        expected_[queue].pop_front();
        progress_ = cycle_;
    }

    void compare(const char* name, uint64_t got, uint64_t wanted) {
        if (got == wanted) return;
        wrong(std::string(name) + " " + std::to_string(got) + ", expected " + std::to_string(wanted));
    }

    void on_walk() {
        Context& context = contexts_[top_.walked_ctx];
        if (!context.busy || context.walked) wrong("a context that is not in use was walked");
        Chain& chain = context.chain;
        walks_++;
        if (breaks(what_)) return;
        compare("queue", top_.walked_queue, context.queue);
        compare("id", top_.walked_id, chain.id ^ (what_ == "id" && walks_ == 20));
        compare("slots", top_.walked_slots, chain.slots + (what_ == "slots" && walks_ == 20));
        compare("readable", top_.walked_readable, chain.bytes(false) + (what_ == "length" && walks_ == 20));
        compare("writable", top_.walked_writable, chain.bytes(true));
        context.walked = true;
        if (chain.bytes(false)) context.parts.push_back(false);
        if (chain.bytes(true)) context.parts.push_back(true);
        context.done_at = cycle_ + below(chance(10) ? 3000 : 60);
        progress_ = cycle_;
    }

    // The cursor goes over a part of a chain that is held, or some of it.
    void ask_cursor() {
        if (range_ctx_ >= 0 || !chance(50)) return;
        for (auto& [number, context] : contexts_) {
            if (!context.busy || !context.walked || context.parts.empty() || chance(30)) continue;
            const bool write = context.parts.front();
            const uint64_t total = context.chain.bytes(write);
            const uint64_t from = chance(50) ? 0 : random_() % total, upto = from + 1 + random_() % (total - from);
            uint64_t at = 0;
            range_.clear();
            for (const auto& s : context.chain.segments) {
                if (s.write != write || s.len == 0) continue;
                const uint64_t a = std::max(at, from), b = std::min<uint64_t>(at + s.len, upto);
                if (a < b) range_.push_back({s.addr + a - at, uint32_t(b - a), write});
                at += s.len;
            }
            if (context.chain.segments.size() > 16) refetched_++;
            top_.range_ctx = number;
            top_.range_write = write;
            top_.range_offset = from + (write ? context.chain.bytes(false) : 0);
            top_.range_length = upto - from;
            top_.range_valid = 1;
            range_ctx_ = number;
            context.parts.pop_front();
            return;
        }
    }

    void on_piece() {
        if (range_.empty()) wrong("a piece too many");
        compare("piece address", top_.piece_addr, range_.front().addr);
        compare("piece length", top_.piece_len, range_.front().len);
        compare("last piece", top_.piece_last, range_.size() == 1);
        range_.erase(range_.begin());
        if (range_.empty()) range_ctx_ = -1;
        progress_ = cycle_;
    }

    void give_back() {
        if (!chance(40)) return;
        for (auto& [number, context] : contexts_) {
            if (!context.busy || !context.walked || !context.parts.empty() || int(number) == range_ctx_) continue;
            if (context.done_at > cycle_ || chance(30)) continue;
            top_.give_back = 1;
            top_.give_back_ctx = number;
            top_.give_back_queue = context.queue;
            top_.give_back_slots = context.chain.slots;
            context.busy = false;
            done_++;
            progress_ = cycle_;
            if (stopped_ && context.queue == 2) return;
            // What is used lies in the ring soon, in order; the driver sees it some time later.
            Driver* const driver = driver_[context.queue].get();
            const unsigned queue = context.queue, stops = stops_;
            const uint64_t used_at = cycle_ + 8;
            later_.emplace(used_at, [=, this, chain = context.chain] {
                if (queue == 2 && (stopped_ || stops != stops_)) return;
                driver->use(chain);
                after(40, [=, this] {
                    if (queue == 2 && (stopped_ || stops != stops_)) return;
                    driver->reclaim(chain);
                });
            });
            return;
        }
    }

    void stop_now_and_then() {
        if (what_ != "stops") return;
        if (!stopped_ && below(1500) == 0 && left_ > 20) {
            stopped_ = stopping_ = true;
            top_.queue_stop = 4;
        } else if (stopping_ && (top_.queue_quiet & 4)) {
            for (const auto& [number, context] : contexts_) {
                if (context.busy && context.queue == 2) wrong("quiet, but a context is out");
            }
            stopping_ = false;
            later_.emplace(cycle_ + 50, [this] { restart_ = true; });
        }
    }

    void tick() {
        inputs();
        top_.clk = 0;
        top_.eval();
        if (top_.req_valid && top_.req_ready) begin_read();
        if (top_.event_valid && top_.event_ready) {
            const auto& driver = static_cast<SplitDriver&>(*driver_[top_.event_queue]);
            memory_.put<uint16_t>(driver.event_at(), top_.event_index);
        }
        if (top_.rsp_valid && top_.rsp_ready) {
            reads_.front().sent += BEAT;
            if (top_.rsp_last) reads_.pop_front();
        }
        if (top_.started) on_start();
        if (top_.walked) on_walk();
        if (top_.dropped && what_ == "stops") contexts_[top_.dropped_ctx].busy = false;
        if (top_.piece_valid && top_.piece_ready) on_piece();
        if (top_.range_valid && !top_.range_ready) wrong("a cursor that is idle takes no range");
        if (top_.error_valid) on_error(top_.error_code);
        top_.clk = 1;
        top_.eval();
        cycle_++;
        top_.doorbell = 0;
        top_.queue_clear = 0;
        top_.range_valid = 0;
        top_.give_back = 0;
    }

    void on_error(unsigned code) {
        if (!breaks(what_)) wrong("error " + std::to_string(code));
        std::printf("{\"error\": %u, \"walked\": %u}\n", code, walks_);
        std::exit(0);
    }

    void inputs() {
        for (auto next = later_.begin(); next != later_.end() && next->first <= cycle_; next = later_.begin()) {
            auto action = std::move(next->second);
            later_.erase(next);
            action();
        }
        top_.req_ready = chance(80);
        top_.event_ready = chance(10);
        top_.piece_ready = chance(70);
        serve_reads();
    }

   public:
    Bench(uint64_t seed, std::string format, unsigned size, unsigned chains, std::string what)
        : random_(seed), format_(std::move(format)), what_(std::move(what)), size_(size), left_(chains) {
        context_.randSeed(int(seed));
        context_.randReset(2);
    }

    void begin() {
        top_.ring_packed = packed();
        top_.event_idx = format_ == "event" || packed();
        top_.indirect_desc = what_ != "table_off";
        top_.rst = 1;
        for (int i = 0; i < 4; i++) tick();
        top_.rst = 0;
        for (unsigned q = 0; q < QUEUES; q++) set_up(q, q < 2 ? 8 : size_);
    }

    void run() {
        begin();
        while (left_ || !idle()) {
            if (restart_) {
                restart_ = false;
                top_.queue_clear = 4;
                tick();
                expected_[2].clear();
                stops_++;
                set_up(2, packed() ? 1 + below(40) : 1u << below(6));
                top_.queue_stop = 0;
                stopped_ = false;
                progress_ = cycle_;
            }
            drive();
            ask_cursor();
            give_back();
            stop_now_and_then();
            tick();
            if (cycle_ - progress_ > PATIENCE) wrong("nothing moves, but chains wait");
        }
        unsigned kicks = 0;
        for (auto& driver : driver_) kicks += driver->kicks;
        std::printf("{\"cycles\": %llu, \"used\": %u, \"refetched\": %u, \"stops\": %u, \"kicks\": %u}\n",
                    (unsigned long long)cycle_, done_, refetched_, stops_, kicks);
    }

    bool idle() {
        for (unsigned q = 0; q < QUEUES; q++) if (!expected_[q].empty()) return false;
        for (const auto& [number, context] : contexts_) if (context.busy) return false;
        return !stopped_ && reads_.empty() && later_.empty();
    }

    // Queue 2 of a packed ring of 8, and what its driver must not do.
    void run_broken() {
        begin();
        auto& driver = static_cast<PackedDriver&>(*driver_[2]);
        bad_reads_ = what_ == "bus_error";
        expected_[2].resize(8);
        // Those that the device has by then are not used yet.
        for (unsigned time : {1, 1000}) later_.emplace(cycle_ + time, [&, time] {
            BROKEN.at(what_)(driver);
            top_.doorbell = 4;
        });
        for (unsigned i = 0; i < 20000; i++) {
            tick();
        }
        wrong("no error");
    }

};

int main(int argc, char** argv) {
    if (argc < 5) return 2;
    const std::string what = argc > 5 ? argv[5] : "";
    Bench bench(std::strtoull(argv[1], nullptr, 10), argv[2], std::atoi(argv[3]), std::atoi(argv[4]), what);
    if (breaks(what)) bench.run_broken();
    else bench.run();
    return 0;
}
