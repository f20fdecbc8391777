// Waves of a window of simulated time: a dump of its own that is opened at +trace_from and closed behind +trace_to.
//
// cocotb's main program writes waves of a whole run or none, and Verilator ignores $dumpoff. So the dump is written
// here, at the same moment as there (the read-only phase of each time step), by public functions of Verilator and VPI
// that change nothing in the simulation. A build without waves has nothing to write.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "verilated.h"
#include "vpi_user.h"

#if VM_TRACE
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Dump = VerilatedFstC;
#else
#include "verilated_vcd_c.h"
using Dump = VerilatedVcdC;
#endif

namespace {

struct Window {
    std::string file;
    uint64_t from;
    uint64_t to;
    std::unique_ptr<Dump> dump;
};

Window& window() {
    static Window it{};
    return it;
}

// The value of +NAME=VALUE, or an empty text.
std::string plusarg(const std::string& name) {
    const std::string text = Verilated::threadContextp()->commandArgsPlusMatch((name + "=").c_str());
    return text.empty() ? text : text.substr(name.size() + 2);
}

uint64_t now() {
    s_vpi_time time{};
    time.type = vpiSimTime;
    vpi_get_time(nullptr, &time);
    return static_cast<uint64_t>(time.high) << 32 | time.low;
}

PLI_INT32 at_end(s_cb_data*) {
    if (window().dump) window().dump->close();
    return 0;
}

PLI_INT32 at_step(s_cb_data*);

void call_at(PLI_INT32 reason, PLI_INT32 (*function)(s_cb_data*)) {
    s_vpi_time time{};
    time.type = vpiSimTime;
    s_cb_data callback{};
    callback.reason = reason;
    callback.cb_rtn = function;
    callback.time = &time;
    vpi_register_cb(&callback);
}

PLI_INT32 at_step(s_cb_data*) {
    Window& w = window();
    const uint64_t time = now();
    if (time > w.to) return at_end(nullptr);
    if (time >= w.from) {
        if (!w.dump) {
            w.dump = std::make_unique<Dump>();
            Verilated::threadContextp()->trace(w.dump.get(), 99);
            w.dump->open(w.file.c_str());
        }
        w.dump->dump(time);
    }
    call_at(cbReadOnlySynch, at_step);
    return 0;
}

}  // namespace
#endif

// Called once, at the start of simulation.
extern "C" void dpi_trace_window() {
#if VM_TRACE
    Window& w = window();
    w.file = plusarg("trace_window");
    if (w.file.empty()) return;
    w.from = std::strtoull(plusarg("trace_from").c_str(), nullptr, 10);
    w.to = std::strtoull(plusarg("trace_to").c_str(), nullptr, 10);
    call_at(cbReadOnlySynch, at_step);
    call_at(cbEndOfSimulation, at_end);
#endif
}
