// Plays a script on the DPU's FUSE mailbox (see harness.hpp).
//
//   request BYTES            pushes it, hands it over, takes the reply
//                         -> reply CYCLES BYTES, or: refused LENGTH DWORD (of the reply that there is not)
//   hand DWORDS LENGTH    -> the same, of so many dwords
//   firmware 0|1             answers FUSE: the mailbox refuses
//   hold CYCLES              the next request may not begin for so long
//   driver PERCENT           of the cycles in which the driver reads storage
#include <iostream>
#include <sstream>

#include "Vmailbox_bench.h"
#include "harness.hpp"

namespace {

constexpr uint64_t LIMIT = 200000;
enum Register { DATA = 0x310, LENGTH = 0x314, STATUS = 0x318, REPLY_LENGTH = 0x31C, REPLY_DATA = 0x320 };
constexpr uint32_t BUSY = 1u << 31;

class Bench : public Harness<Vmailbox_bench> {
  public:
    using Harness::Harness;

    void play(std::istream& script) {
        top.access_valid = top.access_write = top.host_valid = top.firmware = 0;
        top.may_begin = 1;
        reset();
        for (int i = 0; i < 4000; i++) cycle();
        if (read(STATUS) != 0) error("REQUEST_STATUS does not begin with 0");
        std::string line;
        while (std::getline(script, line)) {
            std::istringstream words(line);
            std::string verb;
            words >> verb;
            if (verb == "request") request(words);
            else if (verb == "hand") {
                unsigned dwords = 0, length = 0;
                words >> dwords >> length;
                for (unsigned i = 0; i < dwords; i++) write(DATA, i);
                submit(length);
            } else if (verb == "firmware") {
                unsigned on = 0;
                words >> on;
                top.firmware = on;
            }
            else if (verb == "hold") words >> hold_;
            else if (verb == "driver") words >> driver_;
            else error("unknown command");
        }
        top.host_valid = 0;
        driver_ = 0;
        for (int i = 0; i < 20; i++) cycle();
        if (asked_ != answered_) error("the driver's words are not as many as it asked for");
    }

  private:
    unsigned driver_ = 0, hold_ = 0;
    uint64_t asked_ = 0, answered_ = 0;

    void cycle() {
        if (!top.host_valid && chance(driver_)) {
            top.host_valid = 1;
            top.host_addr = 0x600000 | (cycles & 0xFF) << 6;  // a window that nobody else uses
        }
        bool taken = false;
        tick([&] {
            taken = top.host_valid && top.host_ready;
            asked_ += taken;
            answered_ += top.host_rvalid;
        });
        if (taken) top.host_valid = 0;
    }

    uint32_t access(bool write, unsigned address, uint32_t data) {
        top.access_valid = 1;
        top.access_write = write;
        top.access_addr = address / 4;
        top.access_data = data;
        cycle();
        top.access_valid = 0;
        const uint32_t value = top.rdata;
        failed_ = top.fail;
        cycle();
        cycle();
        return value;
    }
    bool failed_ = false;

    uint32_t read(unsigned address) { return access(false, address, 0); }

    void write(unsigned address, uint32_t data) {
        access(true, address, data);
        if (failed_) error("a write that nothing speaks against fails");
    }

    void request(std::istringstream& words) {
        std::string hex;
        words >> hex;
        const std::vector<uint8_t> bytes = bytes_of(hex);
        for (size_t i = 0; i < bytes.size(); i += 4) {
            uint32_t value = 0xA5A5A5A5;
            for (size_t b = 0; b < 4 && i + b < bytes.size(); b++) {
                value = (value & ~(0xFFu << 8 * b)) | uint32_t(bytes[i + b]) << 8 * b;
            }
            write(DATA, value);
        }
        submit(bytes.size());
    }

    void submit(uint32_t length) {
        top.may_begin = hold_ == 0;
        write(LENGTH, length);
        const uint64_t begin = cycles;
        for (; hold_ > 0; hold_--) {
            cycle();
            if (hold_ == 1 && !(read(STATUS) & BUSY)) error("a request that may not begin is answered");
        }
        top.may_begin = 1;
        if (read(STATUS) & BUSY) {
            for (unsigned address : {DATA, LENGTH}) {
                access(true, address, 0x55);
                if (!failed_) error("a write while a request is under way does not fail");
            }
        }
        uint32_t status = 0;
        while ((status = read(STATUS)) & BUSY) {
            if (cycles - begin > LIMIT) return error("no answer");
        }
        if (status == 3) {
            const uint32_t rest = read(REPLY_LENGTH);
            std::printf("refused %u %u\n", rest, read(REPLY_DATA));
            return;
        }
        if (status != 1) error("REQUEST_STATUS is neither answered nor refused");
        const uint32_t count = read(REPLY_LENGTH);
        std::printf("reply %llu ", (unsigned long long)(cycles - begin));
        uint32_t value = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (i % 4 == 0) value = read(REPLY_DATA);
            std::printf("%02x", value >> 8 * (i % 4) & 0xFF);
        }
        std::printf("\n");
        if (count % 4 != 0 && value >> 8 * (count % 4) != 0) error("bytes behind the reply");
        if (read(REPLY_DATA) != 0) error("a dword behind the reply");
    }
};

}  // namespace

int main(int argc, char** argv) {
    Verilated::commandArgs(argc, argv);
    Bench bench(std::strtoull(argv[1], nullptr, 10));
    bench.play(std::cin);
    return 0;
}
