// Rules that a driver of packed rings may break, by name; in a ring of 8. What is there is done twice, the second time
// when the device has what the first one gave it.
#pragma once

#include <map>
#include <string>

#include "rings_driver.hpp"

inline const std::map<std::string, std::function<void(PackedDriver&)>> BROKEN = {
    {"direction", [](PackedDriver& d) { d.raw(1, 8, 0, F_WRITE | F_NEXT), d.raw(1, 8, 1, 0); }},
    {"endless", [](PackedDriver& d) { for (int i = 0; i < 8; i++) d.raw(1, 8, 0, F_NEXT); }},
    {"table_and_next", [](PackedDriver& d) { d.raw(d.base + 0x10000, 16, 0, F_INDIRECT | F_NEXT), d.raw(1, 8, 1, 0); }},
    {"table_in_list", [](PackedDriver& d) { d.raw(1, 8, 0, F_NEXT), d.raw(d.base + 0x10000, 16, 1, F_INDIRECT); }},
    {"table_odd", [](PackedDriver& d) { d.raw(d.base + 0x10000, 24, 0, F_INDIRECT); }},
    {"table_empty", [](PackedDriver& d) { d.raw(d.base + 0x10000, 0, 0, F_INDIRECT); }},
    {"table_long", [](PackedDriver& d) { d.raw(d.base + 0x10000, 16 * 1025, 0, F_INDIRECT); }},
    {"table_off", [](PackedDriver& d) { d.raw(d.base + 0x10000, 16, 0, F_INDIRECT); }},
    {"bytes", [](PackedDriver& d) { d.raw(1, 0x80000000, 0, F_NEXT), d.raw(1, 0x80000000, 1, 0); }},
    {"bus_error", [](PackedDriver& d) { d.raw(1, 8, 0, 0); }},
    {"twice", [](PackedDriver& d) { for (int i = 0; i < 5; i++) d.raw(1, 8, i, 0); }},
    {"into_the_held", [](PackedDriver& d) {
        for (int i = 0; i < 3; i++) d.raw(1, 8, i, F_NEXT);
        for (int i = 0; i < 2; i++) d.raw(1, 8, i, i < 1 ? F_NEXT : 0);
    }},
};

inline bool breaks(const std::string& what) { return BROKEN.count(what) != 0; }
