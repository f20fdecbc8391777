// What the harnesses of the units share. A harness reads a script from its standard input, one command a line, and
// writes one line for each answer; Python wrote the script and judges the answers. A line "error ..." is a rule that
// the unit broke.
#pragma once

#include <verilated.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

inline std::vector<uint8_t> bytes_of(const std::string& hex) {
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes.push_back(std::stoi(hex.substr(i, 2), nullptr, 16));
    return bytes;
}

// A number in hexadecimal, into a port wider than 64 bits.
template <std::size_t Words>
void set_wide(VlWide<Words>& port, const std::string& hex) {
    for (std::size_t i = 0; i < Words; i++) port[i] = 0;
    std::size_t digit = 0;
    for (auto c = hex.rbegin(); c != hex.rend(); ++c, ++digit) {
        const uint32_t value = std::stoi(std::string(1, *c), nullptr, 16);
        if (digit / 8 < Words) port[digit / 8] |= value << (4 * (digit % 8));
    }
}

template <std::size_t Words>
void print_wide(const VlWide<Words>& port) {
    for (std::size_t i = Words; i-- > 0;) std::printf("%08x", port[i]);
}

// Clock, time and random choices of one unit.
template <class Top>
class Harness {
  public:
    explicit Harness(uint64_t seed) : random_state_(seed * 0x9E3779B97F4A7C15 + 1) {}

    Top top;
    uint64_t cycles = 0;

    // To the next falling edge; `before_edge` looks at what is true just before the rising one.
    template <class Look>
    void tick(Look before_edge) {
        top.eval();
        before_edge();
        top.clk = 1;
        top.eval();
        top.clk = 0;
        top.eval();
        cycles++;
    }

    void reset() {
        top.clk = 0;
        top.rst = 1;
        for (int i = 0; i < 4; i++) tick([] {});
        top.rst = 0;
    }

    bool chance(unsigned percent) {
        random_state_ ^= random_state_ << 13;
        random_state_ ^= random_state_ >> 7;
        random_state_ ^= random_state_ << 17;
        return (random_state_ >> 20) % 100 < percent;
    }

    void error(const char* text) const { std::printf("error at cycle %llu: %s\n", (unsigned long long)cycles, text); }

  private:
    uint64_t random_state_;
};
