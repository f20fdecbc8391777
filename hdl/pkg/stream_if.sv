// A byte stream with a message header beside it: payload starts at lane 0 and is contiguous.
//
// user:  the message's header, counts on the first beat only.
// bytes: how many bytes of `data` count: DATA_W/8 except on the last beat; 0 only on the single beat of a message
//        without payload.
// Once `valid` is high it stays, with everything stable, until `ready`.
interface stream_if #(
    parameter int unsigned DATA_W = 256,
    parameter int unsigned USER_W = 128
);
    localparam int unsigned BYTES_W = $clog2(DATA_W / 8) + 1;

    logic               valid;
    logic               ready;
    logic               last;
    logic [DATA_W-1:0]  data;
    logic [BYTES_W-1:0] bytes;
    logic [USER_W-1:0]  user;

    modport src(output valid, last, data, bytes, user, input ready);
    modport snk(input valid, last, data, bytes, user, output ready);
    modport mon(input valid, last, data, bytes, user, ready);
endinterface
