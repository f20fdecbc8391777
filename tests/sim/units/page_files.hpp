// What the page unit should do: sparse files, pages of which are counted.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <vector>

constexpr uint64_t PAGE = 4096;
constexpr uint64_t FILE_BYTES = 1ULL << 40;

enum Op { MAP, RESERVE, ALLOCATE, CUT, PUNCH, ERASE, DROP };

struct Command {
    Op op;
    unsigned node;
    uint64_t from, to;
    unsigned window;
};

class Files {
    std::map<unsigned, std::map<uint64_t, std::array<uint8_t, PAGE>>> files_;
    uint64_t capacity_;

   public:
    explicit Files(uint64_t capacity) : capacity_(capacity) {}

    uint64_t pages(unsigned node) { return files_[node].size(); }

    uint64_t free() const {
        uint64_t used = 0;
        for (auto& [node, file] : files_) used += file.size();
        return capacity_ - used;
    }

    std::vector<uint8_t> read(unsigned node, uint64_t from, uint64_t to) {
        std::vector<uint8_t> bytes(to - from, 0);
        auto& file = files_[node];
        for (uint64_t at = from; at < to;) {
            uint64_t end = std::min(to, at / PAGE * PAGE + PAGE);
            auto page = file.find(at / PAGE);
            if (page != file.end())
                std::copy_n(page->second.begin() + at % PAGE, end - at, bytes.begin() + (at - from));
            at = end;
        }
        return bytes;
    }

    void write(unsigned node, uint64_t position, uint8_t value) {
        files_[node].at(position / PAGE)[position % PAGE] = value;
    }

    // Whether there was space.
    bool apply(const Command& c) {
        auto& file = files_[c.node];
        uint64_t from = c.op == DROP ? 0 : c.from;
        uint64_t to = c.op == DROP || c.op == CUT ? FILE_BYTES : c.to;
        if (from >= to || c.op == MAP) return true;
        if (c.op == RESERVE || c.op == ALLOCATE) return allocate(file, from / PAGE, (to - 1) / PAGE);
        for (auto it = file.lower_bound(from / PAGE); it != file.end() && it->first <= (to - 1) / PAGE;) {
            uint64_t start = it->first * PAGE;
            uint64_t low = std::max(from, start), high = std::min(to, start + PAGE);
            if (high - low == PAGE && c.op != ERASE) {
                it = file.erase(it);
            } else {
                std::fill(it->second.begin() + (low - start), it->second.begin() + (high - start), 0);
                ++it;
            }
        }
        return true;
    }

   private:
    bool allocate(std::map<uint64_t, std::array<uint8_t, PAGE>>& file, uint64_t first, uint64_t last) {
        uint64_t there = 0;
        for (auto it = file.lower_bound(first); it != file.end() && it->first <= last; ++it) there++;
        if (last - first + 1 - there > free()) return false;
        for (uint64_t index = first; index <= last; index++) file.try_emplace(index).first->second;
        return true;
    }
};
