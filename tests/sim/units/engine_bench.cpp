// Stands where the endpoint would be around the ramfs engine: sends requests, moves data between messages and storage,
// announces resets. Commands come one a line (see harness.hpp), numbers decimal, bytes hexadecimal:
//
//   request CTX LANE EPOCH WRITABLE UNREADABLE BYTES    goes into the line; UNREADABLE 1: a job gets a bus error,
//                                                       2: after half of its bytes. LANE 3: of the DPU, in a line of
//                                                       its own; the message store says when it may begin
//   notify LISTENS POLICY                               whether the driver takes messages, and NOTIFY_POLICY
//   mail BYTES                                          a message of the DPU's own, for the message store
//   firmware ON                                         messages come from firmware, not from the engine
//   notice CLASS BYTES                                  one of it
//   init                                                and it has begun a session
//   drain COUNT                                         so many messages may leave the store
//   flags                                            -> flags OVERFLOW DROPPED COALESCED
//   room                                             -> room WORDS PLACES: of the store; those that are kept in it
//   retrieved TAKE                                   -> retrieved NOTIFY_FLAGS LENGTH BYTES: what is kept for the DPU, read
//                                                       to its end and beyond; TAKE 1: then taken
//   clock SECONDS NANOSECONDS
//   options VALID_SECONDS CACHE_OPTIONS
//   stall REQUEST REPLY MOVER                           percent of the cycles
//   step CYCLES                                      -> stepped
//   run                                                 until nothing is owed
//   settle CYCLES                                       until nothing has come in or out for so long: some may wait
//                                                    -> idle CYCLES
//   reset EPOCH                                         what is under way is forgotten, but for the DPU's (CTX 63)
// -> ready CYCLES
// -> reply CTX KIND LATENCY BYTES                       LATENCY: cycles from the last beat in to the last beat out
// -> ack EPOCH CYCLES
// -> mail RESULT
// -> noticed
// -> message TICKET OUTDATED BYTES                      TICKET: replies that were given before it
#include <cstring>
#include <deque>
#include <iostream>
#include <map>
#include <sstream>

#include "Vengine_bench.h"
#include "harness.hpp"

namespace {

constexpr uint64_t LIMIT = 400000;
constexpr unsigned HEAD_BYTES = 1024;
constexpr unsigned DPU = 63;  // the context of its requests
constexpr unsigned READS = 8;  // of storage at a time
constexpr unsigned DPU_LANE = 3;
enum Register { FLAGS = 0x30C, RETRIEVED_LENGTH = 0x324, RETRIEVED_DATA = 0x328, RETRIEVED_TAKEN = 0x32C };

using Bytes = std::vector<uint8_t>;

struct Request {
    unsigned ctx, lane, epoch, writable;
    unsigned unreadable;
    Bytes message;
    uint64_t sent = 0;
};

// A job, or a reply on its way to the host.
struct Move {
    bool job;
    unsigned ctx, epoch, kind;
    uint32_t offset, length, address;
    Bytes immediate;
    uint64_t latency;
};

class Bench : public Harness<Vengine_bench> {
    static constexpr unsigned BEAT = sizeof(Vengine_bench::request_data);

  public:
    using Harness::Harness;

    void play(std::istream& script) {
        // Inputs start with random values too.
        top.request_valid = top.job_ready = top.done_valid = top.reply_ready = top.control_valid = top.ack_ready = 0;
        top.storage_valid = top.listens = top.policy = top.epoch = 0;
        top.dpu_busy = top.mail_valid = top.notice_valid = top.message_send = top.firmware = top.renewed = 0;
        top.access_valid = top.access_write = 0;
        top.seconds = top.nanoseconds = top.cache_options = 0;
        top.valid_seconds = 1;
        reset();
        step(20);
        std::string line;
        while (std::getline(script, line)) {
            std::istringstream words(line);
            std::string verb;
            words >> verb;
            if (verb == "request") request(words);
            else if (verb == "clock") clock(words);
            else if (verb == "options") options(words);
            else if (verb == "stall") words >> request_stall_ >> reply_stall_ >> mover_stall_;
            else if (verb == "step") {
                uint64_t count = 0;
                words >> count;
                step(count);
                std::printf("stepped\n");
            } else if (verb == "run") run();
            else if (verb == "settle") {
                uint64_t count = 0;
                words >> count;
                settle(count);
            }
            else if (verb == "reset") restart(words);
            else if (verb == "notify") notify(words);
            else if (verb == "mail") mail(words);
            else if (verb == "notice") notice(words);
            else if (verb == "firmware") top.firmware = line.back() == '1';
            else if (verb == "init") top.renewed = 1;
            else if (verb == "room") std::printf("room %u %u\n", top.room, top.places);
            else if (verb == "retrieved") retrieved(line.back() == '1');
            else if (verb == "drain") words >> drain_;
            else if (verb == "flags") std::printf("flags %u %u %u\n", top.overflow, dropped_messages_, coalesced_);
            else error("unknown command");
            std::fflush(stdout);
        }
    }

  private:
    unsigned request_stall_ = 0, reply_stall_ = 0, mover_stall_ = 0;
    unsigned epoch_ = 0;
    uint64_t told_ = 0;
    std::deque<Request> line_, dpu_line_;
    bool from_dpu_ = false;         // the request that is on its way
    std::map<unsigned, Request> open_;
    std::size_t sent_ = 0;          // bytes of line_'s first
    Bytes reply_;
    std::deque<Move> moves_;
    // The first of moves_.
    uint32_t moved_ = 0;            // bytes asked of storage
    uint32_t dropped_ = 0;          // answers that nobody waits for any more
    std::deque<std::pair<uint32_t, uint32_t>> asked_;  // offset in the word, bytes

    void request(std::istringstream& words) {
        Request r;
        std::string hex;
        words >> r.ctx >> r.lane >> r.epoch >> r.writable >> r.unreadable >> hex;
        r.message = bytes_of(hex);
        (r.lane == DPU_LANE ? dpu_line_ : line_).push_back(r);
    }

    void clock(std::istringstream& words) {
        uint64_t seconds = 0;
        uint32_t nanoseconds = 0;
        words >> seconds >> nanoseconds;
        top.seconds = seconds;
        top.nanoseconds = nanoseconds;
    }

    void options(std::istringstream& words) {
        unsigned seconds = 0, bits = 0;
        words >> seconds >> bits;
        top.valid_seconds = seconds;
        top.cache_options = bits;
    }

    void restart(std::istringstream& words) {
        words >> epoch_;
        told_ = cycles;
        top.epoch = epoch_;
        top.control_valid = 1;
        for (auto& word : top.control_user.m_storage) word = 0;
        top.control_user[0] = epoch_ << 24;
        for (auto at = open_.begin(); at != open_.end();) at = at->first == DPU ? std::next(at) : open_.erase(at);
        const bool begun = (sent_ != 0 || top.request_valid) && !from_dpu_;
        while (line_.size() > (begun ? 1 : 0)) line_.pop_back();
        if (moves_.empty() || moves_.front().ctx != DPU) {
            dropped_ += asked_.size();
            asked_.clear();
            moved_ = 0;
            top.storage_valid = 0;
        }
        for (auto at = moves_.begin(); at != moves_.end();) at = at->ctx == DPU ? std::next(at) : moves_.erase(at);
    }

    void step(uint64_t count) {
        for (uint64_t i = 0; i < count; i++) cycle();
    }

    void run() {
        const uint64_t begin = cycles;
        while (!line_.empty() || !dpu_line_.empty() || !open_.empty() || top.control_valid) {
            if (cycles - begin > LIMIT) {
                error("the engine owes something");
                break;
            }
            cycle();
        }
        std::printf("idle %llu\n", (unsigned long long)(cycles - begin));
    }

    void settle(uint64_t count) {
        const uint64_t begin = cycles;
        moved_at_ = cycles;
        while (cycles - moved_at_ < count && cycles - begin < LIMIT) cycle();
        std::printf("idle %llu\n", (unsigned long long)(cycles - begin));
    }
    uint64_t moved_at_ = 0;

    void cycle() {
        if (!line_.empty() || !moves_.empty() || top.control_valid) moved_at_ = cycles;
        offer_request();
        offer_move();
        offer_mail();
        top.message_send = top.message_valid && drain_ > 0 && message_left_ == 0;
        top.job_ready = !chance(mover_stall_);
        top.reply_ready = !chance(reply_stall_);
        top.ack_ready = !chance(reply_stall_);
        tick([this] {
            if (top.message_stored) tickets_.push_back(replies_);
            if (top.request_valid && top.request_ready) took_request();
            if (top.job_valid && top.job_ready) took_job();
            if (top.reply_valid && top.reply_ready) took_reply();
            if (top.storage_valid && top.storage_ready) took_access();
            if (top.storage_rvalid) took_word();
            if (top.ack_valid && top.ack_ready) took_ack();
            look_at_messages();
            control_taken_ = top.control_valid && top.control_ready;
            finished_ = top.done_valid;
        });
        if (control_taken_) top.control_valid = 0;
        if (finished_) top.done_valid = 0;
        if (request_taken_) top.request_valid = 0;
        if (mail_taken_) top.mail_valid = top.notice_valid = 0;
        top.renewed = 0;
        mail_taken_ = false;
        if (access_taken_) top.storage_valid = 0;
        request_taken_ = access_taken_ = false;
    }
    bool control_taken_ = false, finished_ = false, request_taken_ = false, access_taken_ = false;

    // ---- requests ----

    void offer_request() {
        if (!dpu_line_.empty() && !top.dpu_busy) {
            top.dpu_busy = 1;
            std::memcpy(&top.dpu_opcode, dpu_line_.front().message.data() + 4, 4);  // it has 40 bytes or more
        }
        if (top.request_valid || chance(request_stall_)) return;
        if (sent_ == 0) from_dpu_ = !dpu_line_.empty() && top.dpu_may_begin;
        std::deque<Request>& line = from_dpu_ ? dpu_line_ : line_;
        if (line.empty()) return;
        const Request& r = line.front();
        const std::size_t head = std::min<std::size_t>(r.message.size(), HEAD_BYTES);
        const std::size_t left = head - sent_;
        const std::size_t count = std::min<std::size_t>(left, BEAT);
        std::memset(&top.request_data, 0xEE, BEAT);
        std::memcpy(&top.request_data, r.message.data() + sent_, count);
        top.request_bytes = count;
        top.request_last = left <= BEAT;
        top.request_user[0] = r.ctx | r.lane << 16 | r.epoch << 24;
        top.request_user[1] = r.message.size();
        top.request_user[2] = r.writable;
        top.request_user[3] = head << 16;
        top.request_valid = 1;
    }

    void took_request() {
        request_taken_ = true;
        sent_ += top.request_bytes;
        if (!top.request_last) return;
        std::deque<Request>& line = from_dpu_ ? dpu_line_ : line_;
        Request r = line.front();
        line.pop_front();
        sent_ = 0;
        r.sent = cycles;
        if (r.epoch == epoch_ || r.ctx == DPU) open_[r.ctx] = r;
    }

    // ---- jobs and replies ----

    void took_job() {
        moved_at_ = cycles;
        const unsigned ctx = top.job_user[0] & 0xFF, epoch = top.job_user[0] >> 24;
        if (epoch != epoch_ && ctx != DPU) return;
        if (!open_.count(ctx)) return error("a job of an unknown context");
        if (top.job_user[0] >> 8 & 0xFF) return error("a job towards the host");
        const Move move = {true, ctx, epoch, 0, top.job_user[1], top.job_user[2], top.job_user[3], {}, 0};
        if (uint64_t(move.offset) + move.length > open_[ctx].message.size()) error("a job beyond the message");
        moves_.push_back(move);
    }

    void took_reply() {
        const uint8_t* data = reinterpret_cast<const uint8_t*>(&top.reply_data);
        reply_.insert(reply_.end(), data, data + top.reply_bytes);
        moved_at_ = cycles;
        if (!top.reply_last && top.reply_bytes != BEAT) error("a beat in the middle is not full");
        if (!top.reply_last) return;
        replies_++;
        const unsigned ctx = top.reply_user[0] & 0xFF, kind = top.reply_user[0] >> 8 & 0xFF;
        const unsigned epoch = top.reply_user[0] >> 24;
        Move move = {false, ctx, epoch, kind, 0, top.reply_user[2], top.reply_user[3], reply_, 0};
        if (reply_.size() != top.reply_user[1]) error("the reply's immediate bytes are not as many as it says");
        reply_.clear();
        if (epoch != epoch_ && ctx != DPU) return;
        auto found = open_.find(ctx);
        if (found == open_.end()) return error("a reply of an unknown context");
        move.latency = cycles - found->second.sent;
        if (move.immediate.size() + move.length > found->second.writable) error("a reply that does not fit");
        if (move.length == 0 && found->second.lane == 0) return deliver(move);
        moves_.push_back(move);
    }

    void deliver(const Move& move) {
        std::printf("reply %u %u %llu ", move.ctx, move.kind, (unsigned long long)move.latency);
        for (uint8_t byte : move.immediate) std::printf("%02x", byte);
        std::printf("\n");
        if (move.ctx == DPU) top.dpu_busy = 0;
        open_.erase(move.ctx);
    }

    void took_ack() {
        std::printf("ack %u %llu\n", unsigned(top.ack_user[0] >> 24), (unsigned long long)(cycles - told_));
    }

    // ---- messages ----

    void notify(std::istringstream& words) {
        unsigned listens = 0, policy = 0;
        words >> listens >> policy;
        top.listens = listens;
        top.policy = policy;
    }

    void mail(std::istringstream& words) {
        std::string hex;
        words >> hex;
        mail_ = bytes_of(hex);
        mailed_ = 0;
        noticing_ = false;
    }

    void notice(std::istringstream& words) {
        unsigned message_class = 0;
        words >> message_class;
        mail(words);
        noticing_ = true;
        top.notice_class = message_class;
    }

    void offer_mail() {
        if (mail_.empty() || top.mail_valid || top.notice_valid) return;
        const std::size_t count = std::min<std::size_t>(mail_.size() - mailed_, BEAT);
        std::memset(&top.mail_data, 0xEE, BEAT);
        std::memcpy(&top.mail_data, mail_.data() + mailed_, count);
        top.mail_bytes = count;
        top.mail_last = mailed_ + count == mail_.size();
        top.mail_length = mail_.size();
        (noticing_ ? top.notice_valid : top.mail_valid) = 1;
    }

    void look_at_messages() {
        dropped_messages_ += top.counts_dropped;
        coalesced_ += top.counts_coalesced;
        if ((top.mail_valid && top.mail_ready) || (top.notice_valid && top.notice_ready)) {
            mailed_ += top.mail_bytes;
            mail_taken_ = true;
            if (top.mail_last) mail_.clear();
            if (top.mail_last && noticing_) std::printf("noticed\n");
        }
        if (top.mail_answered) std::printf("mail %u\n", top.mail_result);
        if (top.message_send) {
            drain_--;
            message_left_ = top.message_length;
            ticket_ = tickets_.front();
            tickets_.pop_front();
            outdated_ = top.message_outdated;
            message_.clear();
        }
        if (top.word_valid) {
            const uint8_t* data = reinterpret_cast<const uint8_t*>(&top.word);
            const std::size_t count = std::min<std::size_t>(message_left_, BEAT);
            message_.insert(message_.end(), data, data + count);
            message_left_ -= count;
            if (message_left_ == 0) {
                std::printf("message %u %u ", ticket_, outdated_);
                for (uint8_t byte : message_) std::printf("%02x", byte);
                std::printf("\n");
            }
        }
    }
    Bytes mail_, message_;
    std::size_t mailed_ = 0, message_left_ = 0;
    uint32_t replies_ = 0;
    std::deque<uint32_t> tickets_;  // of the messages in the store
    uint32_t ticket_ = 0, outdated_ = 0, dropped_messages_ = 0, coalesced_ = 0;
    int64_t drain_ = 0;
    bool mail_taken_ = false, noticing_ = false;

    // ---- what is kept for the DPU ----

    uint32_t access(unsigned address, bool write = false) {
        top.access_valid = 1;
        top.access_write = write;
        top.access_addr = address / 4;
        cycle();
        top.access_valid = 0;
        const uint32_t value = top.rdata;
        cycle();
        cycle();
        return value;
    }

    void retrieved(bool take) {
        const unsigned flags = access(FLAGS), length = access(RETRIEVED_LENGTH);
        std::printf("retrieved %u %u ", flags, length);
        uint32_t value = 0;
        for (unsigned i = 0; i < length; i++) {
            if (i % 4 == 0) value = access(RETRIEVED_DATA);
            std::printf("%02x", value >> 8 * (i % 4) & 0xFF);
        }
        std::printf("\n");
        if (length % 4 != 0 && value >> 8 * (length % 4) != 0) error("bytes behind what is kept");
        if (access(RETRIEVED_DATA) != 0) error("a dword behind what is kept");
        if (take) access(RETRIEVED_TAKEN, true);
    }

    // ---- the data mover ----

    void offer_move() {
        if (top.storage_valid || moves_.empty() || chance(mover_stall_)) return;
        Move& move = moves_.front();
        const unsigned unreadable = move.job ? open_[move.ctx].unreadable : 0;
        const uint32_t end = unreadable == 0 ? move.length : unreadable == 1 ? 0 : move.length / 2;
        if (move.job && moved_ >= end) {
            for (auto& word : top.done_user.m_storage) word = 0;
            top.done_user[0] = move.ctx | (unreadable ? 1u : 0u) << 8 | move.epoch << 24;
            top.done_valid = 1;
            next();
            return;
        }
        if (!move.job && moved_ == move.length) {
            if (!asked_.empty()) return;
            deliver(move);
            next();
            return;
        }
        if (asked_.size() + dropped_ >= READS) return;
        const uint32_t address = move.address + moved_, start = address % BEAT;
        const uint32_t count = std::min<uint32_t>(BEAT - start, move.length - moved_);
        top.storage_valid = 1;
        top.storage_write = move.job;
        top.storage_addr = address - start;
        if (move.job) {
            const uint8_t* bytes = open_[move.ctx].message.data() + move.offset + moved_;
            std::memset(&top.storage_wdata, 0xDD, BEAT);
            std::memcpy(reinterpret_cast<uint8_t*>(&top.storage_wdata) + start, bytes, count);
            top.storage_wstrb = ((uint64_t(1) << (count - 1) << 1) - 1) << start;
        }
        offered_ = {start, count};
    }
    std::pair<uint32_t, uint32_t> offered_;

    void next() {
        moves_.pop_front();
        moved_ = 0;
    }

    void took_access() {
        access_taken_ = true;
        moved_ += offered_.second;
        if (!top.storage_write) asked_.push_back(offered_);
    }

    void took_word() {
        if (dropped_ > 0) {
            dropped_--;
            return;
        }
        if (asked_.empty()) return error("storage answers what was not asked");
        const auto [start, count] = asked_.front();
        asked_.pop_front();
        const uint8_t* data = reinterpret_cast<const uint8_t*>(&top.storage_rdata) + start;
        Bytes& bytes = moves_.front().immediate;
        bytes.insert(bytes.end(), data, data + count);
    }
};

}  // namespace

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    Bench bench(std::strtoull(argv[1], nullptr, 10));
    bench.play(std::cin);
    return 0;
}
