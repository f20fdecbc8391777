// A request of the DPU to the file system in hardware, and its reply, between the mailbox that keeps both and whoever
// hands them on. Words are read one cycle after their address.
//
// verilator lint_off UNDRIVEN
// verilator lint_off UNUSEDSIGNAL
interface dpu_client_if #(
    parameter int unsigned DATA_W = 256
);
    localparam int unsigned BYTES = 8192;                   // of either, at most
    localparam int unsigned ADDR_W = $clog2(BYTES * 8 / DATA_W);
    localparam int unsigned COUNT_W = $clog2(BYTES) + 1;

    logic               valid;                              // from when one comes until it is answered
    logic [COUNT_W-1:0] bytes;
    logic [31:0]        opcode;
    logic [ADDR_W-1:0]  addr;
    logic [DATA_W-1:0]  word;
    logic               reply_write;
    logic [ADDR_W-1:0]  reply_addr;
    logic [DATA_W-1:0]  reply_word;
    logic [COUNT_W-1:0] reply_bytes;                        // with `done`
    logic               done;                               // one cycle

    modport mailbox(
        output valid, bytes, opcode, word, input addr, reply_write, reply_addr, reply_word, reply_bytes, done
    );
    modport client(
        input valid, bytes, opcode, word, output addr, reply_write, reply_addr, reply_word, reply_bytes, done
    );
endinterface
// verilator lint_on UNDRIVEN
// verilator lint_on UNUSEDSIGNAL
