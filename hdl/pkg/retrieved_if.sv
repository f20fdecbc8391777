// A NOTIFY_REPLY on its way from the file system in hardware to the mailbox that keeps it for the DPU.
//
// verilator lint_off UNDRIVEN
// verilator lint_off UNUSEDSIGNAL
interface retrieved_if #(
    parameter int unsigned DATA_W = 256
);
    logic              full;         // one is kept
    logic              write;        // a word of another one; only while it is not
    logic [5:0]        addr;
    logic [DATA_W-1:0] word;
    logic              done;         // one cycle, with the last word: it is whole
    logic [10:0]       bytes;        // with `done`
    logic              lost;         // one cycle: one came while another is kept

    modport engine(input full, output write, addr, word, done, bytes, lost);
    modport mailbox(output full, input write, addr, word, done, bytes, lost);
endinterface
// verilator lint_on UNDRIVEN
// verilator lint_on UNUSEDSIGNAL
