// Drivers of split and packed rings for rings_bench, written from virtio 1.4, 2.7 and 2.8: every store to memory is a
// step of its own, so a device that reads between two of them sees what a device may see.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <random>
#include <utility>
#include <vector>

enum : uint16_t { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, F_AVAIL = 1 << 7, F_USED = 1 << 15 };

struct Segment {
    uint64_t addr;
    uint32_t len;
    bool write;
};

struct Chain {
    uint16_t id = 0;
    uint16_t slots = 1;               // of the ring
    bool indirect = false;
    std::vector<Segment> segments;    // zero-length ones too
    std::vector<uint16_t> indices;    // split: of the ring's table
    unsigned table = 0;               // the indirect one's place

    uint64_t bytes(bool write) const {
        uint64_t sum = 0;
        for (const auto& s : segments) sum += s.write == write ? s.len : 0;
        return sum;
    }
};

class Memory {
    std::vector<uint8_t> bytes_ = std::vector<uint8_t>(1 << 22);

   public:
    static constexpr uint64_t BASE = 0x1200000000;
    uint8_t* at(uint64_t address) { return &bytes_.at(address - BASE); }
    template <class T>
    void put(uint64_t address, T value) { std::memcpy(at(address), &value, sizeof value); }
    template <class T>
    T get(uint64_t address) {
        T value;
        std::memcpy(&value, at(address), sizeof value);
        return value;
    }
};

struct Shape {
    unsigned readable, writable;  // descriptors
    bool indirect;
    unsigned direct;              // split: descriptors before the indirect one
};

class Driver {
   protected:
    Memory& memory_;
    std::mt19937_64& random_;
    std::deque<std::function<void()>> stores_;
    std::vector<unsigned> tables_;

    static constexpr unsigned TABLES = 48, TABLE_BYTES = 1024;
    unsigned below(unsigned bound) { return random_() % bound; }
    uint64_t table_at(unsigned table) const { return base + 0x10000 + table * TABLE_BYTES; }

    Chain describe(const Shape& shape) {
        Chain chain;
        chain.indirect = shape.indirect;
        for (unsigned i = 0; i < shape.readable + shape.writable; i++) {
            const uint32_t length = below(8) ? 1 + below(600) : 0;
            chain.segments.push_back({random_() >> 8, length, i >= shape.readable});
        }
        return chain;
    }

    // A store of 2, 4 or 8 bytes.
    template <class T>
    void store(uint64_t address, T value) { stores_.push_back([=, this] { memory_.put<T>(address, value); }); }

   public:
    const unsigned size;
    const uint64_t base;  // descriptors here, driver area 0x8000 and device area 0xc000 behind
    std::deque<Chain> published;  // in the order made available; some not stored yet
    bool forget_kicks = false, head_first = false;
    unsigned kicks = 0;

    Driver(Memory& memory, std::mt19937_64& random, unsigned ring_size, uint64_t at)
        : memory_(memory), random_(random), size(ring_size), base(at) {
        for (unsigned i = 0; i < TABLES; i++) tables_.push_back(i);
        std::memset(memory.at(at), 0, 0x10000);
    }
    virtual ~Driver() = default;
    uint64_t driver_area() const { return base + 0x8000; }
    uint64_t device_area() const { return base + 0xc000; }

    virtual bool room(const Shape& shape) const = 0;
    virtual void add(const Shape& shape) = 0;
    virtual void kick(const std::function<void()>& ring) = 0;  // after all that was added
    virtual void use(const Chain& chain) = 0;                  // the device's write
    virtual void reclaim(const Chain& chain) = 0;              // the driver saw it

    bool step() {
        if (stores_.empty()) return false;
        auto next = std::move(stores_.front());
        stores_.pop_front();
        next();
        return true;
    }
};

class PackedDriver : public Driver {
    unsigned position_ = 0, free_, used_ = 0;
    bool wrap_ = true, used_wrap_ = true;
    uint16_t next_id_ = 0x4000;

    struct Slot {
        uint64_t at;
        uint16_t flags;
    };
    Slot next_slot(uint16_t flags) {
        Slot slot{base + 16 * position_, uint16_t(flags | (wrap_ ? F_AVAIL : F_USED))};
        if (++position_ == size) position_ = 0, wrap_ = !wrap_;
        return slot;
    }

   public:
    PackedDriver(Memory& memory, std::mt19937_64& random, unsigned ring_size, uint64_t at)
        : Driver(memory, random, ring_size, at), free_(ring_size) {}

    bool room(const Shape& shape) const override {
        return shape.indirect ? free_ >= 1 && !tables_.empty() : free_ >= shape.readable + shape.writable;
    }

    void add(const Shape& shape) override {
        Chain chain = describe(shape);
        chain.id = next_id_ = next_id_ * 5 + 3;
        if (shape.indirect) {
            chain.table = tables_.back();
            tables_.pop_back();
            const uint64_t table = table_at(chain.table);
            for (unsigned i = 0; i < chain.segments.size(); i++) {
                const auto& s = chain.segments[i];
                // Every flag but WRITE is ignored there, and so is the id.
                store<uint16_t>(table + 16 * i + 14, (below(0x10000) & ~F_WRITE) | (s.write ? F_WRITE : 0));
                store<uint16_t>(table + 16 * i + 12, below(0x10000));
                store<uint64_t>(table + 16 * i, s.addr);
                store<uint32_t>(table + 16 * i + 8, s.len);
            }
            const Slot slot = next_slot(F_INDIRECT | (below(2) ? F_WRITE : 0));
            store<uint64_t>(slot.at, table);
            store<uint32_t>(slot.at + 8, 16 * chain.segments.size());
            store<uint16_t>(slot.at + 12, chain.id);
            store<uint16_t>(slot.at + 14, slot.flags);
        } else {
            chain.slots = chain.segments.size();
            Slot head{};
            for (unsigned i = 0; i < chain.slots; i++) {
                const auto& s = chain.segments[i];
                const bool last = i + 1 == chain.slots;
                const Slot slot = next_slot((s.write ? F_WRITE : 0) | (last ? 0 : F_NEXT));
                if (i == 0) head = slot;
                // Flags of the others before their rest, as Linux does it: their own available bit proves nothing.
                if (i != 0 || head_first) store<uint16_t>(slot.at + 14, slot.flags);
                store<uint64_t>(slot.at, s.addr);
                store<uint32_t>(slot.at + 8, s.len);
                store<uint16_t>(slot.at + 12, last ? chain.id : below(0x10000));
            }
            store<uint16_t>(head.at + 14, head.flags);
        }
        free_ -= chain.slots;
        published.push_back(chain);
    }

    void kick(const std::function<void()>& ring) override {
        stores_.push_back([=, this] {
            kicks++;
            if (!forget_kicks) ring();
        });
    }

    void use(const Chain& chain) override {
        const uint64_t at = base + 16 * used_;
        memory_.put<uint32_t>(at + 8, below(4096));
        memory_.put<uint16_t>(at + 12, chain.id);
        memory_.put<uint16_t>(at + 14, used_wrap_ ? F_AVAIL | F_USED : 0);
        used_ += chain.slots;
        if (used_ >= size) used_ -= size, used_wrap_ = !used_wrap_;
    }

    void reclaim(const Chain& chain) override {
        free_ += chain.slots;
        if (chain.indirect) tables_.push_back(chain.table);
    }

    // A descriptor as given, in the next slot, at once.
    void raw(uint64_t addr, uint32_t len, uint16_t id, uint16_t flags) {
        const Slot slot = next_slot(flags);
        memory_.put(slot.at, addr);
        memory_.put(slot.at + 8, len);
        memory_.put(slot.at + 12, id);
        memory_.put(slot.at + 14, slot.flags);
    }
};

class SplitDriver : public Driver {
    std::vector<uint16_t> free_;
    uint16_t index_, told_;
    const bool event_idx_;

    void descriptor(uint64_t at, const Segment& s, uint16_t flags, uint16_t next) {
        store<uint64_t>(at, s.addr);
        store<uint32_t>(at + 8, s.len);
        store<uint16_t>(at + 12, flags | (s.write ? F_WRITE : 0));
        store<uint16_t>(at + 14, next);
    }

   public:
    SplitDriver(Memory& memory, std::mt19937_64& random, unsigned ring_size, uint64_t at, bool event_idx)
        : Driver(memory, random, ring_size, at), index_(0), told_(0), event_idx_(event_idx) {
        for (unsigned i = 0; i < ring_size; i++) free_.push_back(i);
    }
    uint64_t event_at() const { return device_area() + 4 + 8 * size; }

    bool room(const Shape& shape) const override {
        const unsigned all = shape.readable + shape.writable;
        return shape.indirect ? free_.size() > shape.direct && !tables_.empty() && all <= size && shape.direct < all
                              : free_.size() >= all;
    }

    void add(const Shape& shape) override {
        Chain chain = describe(shape);
        const unsigned direct = shape.indirect ? shape.direct : chain.segments.size();
        for (unsigned i = 0; i < direct + shape.indirect; i++) {
            std::swap(free_[below(free_.size())], free_.back());
            chain.indices.push_back(free_.back());
            free_.pop_back();
        }
        chain.id = chain.indices[0];
        for (unsigned i = 0; i < direct; i++) {
            const bool last = i + 1 == chain.indices.size();
            descriptor(base + 16 * chain.indices[i], chain.segments[i], last ? 0 : F_NEXT,
                       last ? below(0x10000) : chain.indices[i + 1]);
        }
        if (shape.indirect) {
            chain.table = tables_.back();
            tables_.pop_back();
            const uint64_t table = table_at(chain.table);
            const unsigned entries = chain.segments.size() - direct;
            for (unsigned i = 0; i < entries; i++) {
                descriptor(table + 16 * i, chain.segments[direct + i], i + 1 == entries ? 0 : F_NEXT, i + 1);
            }
            descriptor(base + 16 * chain.indices.back(), {table, 16 * entries, below(2) == 0}, F_INDIRECT, 0);
        }
        store<uint16_t>(driver_area() + 4 + 2 * (index_++ % size), chain.id);
        published.push_back(chain);
    }

    void kick(const std::function<void()>& ring) override {
        const uint16_t index = index_;
        store<uint16_t>(driver_area() + 2, index);
        stores_.push_back([=, this] {
            const uint16_t event = memory_.get<uint16_t>(event_at());
            const bool wanted = !event_idx_ || uint16_t(index - event - 1) < uint16_t(index - told_);
            told_ = index;
            if (wanted) kicks++;
            if (wanted && !forget_kicks) ring();
        });
    }

    void use(const Chain&) override {}

    void reclaim(const Chain& chain) override {
        free_.insert(free_.end(), chain.indices.begin(), chain.indices.end());
        if (chain.indirect) tables_.push_back(chain.table);
    }
};
