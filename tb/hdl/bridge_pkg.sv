// The functions of bridge.cpp and the numbers of the ports under test.
// A beat crosses as 512 bits whatever the data width: one prototype for every build.
package bridge_pkg;

    localparam int unsigned PORT_CQ = 0;
    localparam int unsigned PORT_CC = 1;
    localparam int unsigned PORT_RQ = 2;
    localparam int unsigned PORT_RC = 3;
    localparam int unsigned PORT_ENGINE_REQUEST = 4;
    localparam int unsigned PORT_ENGINE_DONE = 5;
    localparam int unsigned PORT_ENGINE_CONTROL = 6;
    localparam int unsigned PORT_ENGINE_JOB = 7;
    localparam int unsigned PORT_ENGINE_REPLY = 8;
    localparam int unsigned PORT_ENGINE_NOTIFY = 9;
    localparam int unsigned PORT_ENGINE_CONTROL_ACK = 10;
    localparam int unsigned PORT_STORAGE = 11;
    localparam int unsigned PORT_DPU = 12;
    localparam int unsigned PORTS = 13;

    typedef bit [511:0] beat_t;
    typedef bit [127:0] user_t;

    // [12:0] the port may move a beat, 16 rst, 17 rq_np_ok, 18 wake, 19 stop.
    import "DPI-C" function longint dpi_tick(input longint now_ps, input bit cq_np_ok);

    import "DPI-C" function void dpi_sink_beat(
        input int port, input longint now_ps, input user_t user, input beat_t data, input int bytes, input bit last
    );

    // Bytes of the beat in [7:0], last in [8].
    import "DPI-C" function int dpi_source_beat(
        input int port, input int beat_bytes, output user_t user, output beat_t data
    );
    import "DPI-C" function void dpi_source_done(input int port, input longint now_ps);

    // Write in [63], address in [62:32], data in [31:0].
    import "DPI-C" function longint dpi_dpu_command();
    import "DPI-C" function void dpi_dpu_done(input longint now_ps, input int data, input int response);

    import "DPI-C" function void dpi_storage_write(
        input int address, input beat_t data, input longint strobe, input int bytes
    );
    import "DPI-C" function void dpi_storage_read(input int address, output beat_t data, input int bytes);

    import "DPI-C" function void dpi_fail(input string message);

    // Waves of a window of time, see trace_window.cpp.
    import "DPI-C" function void dpi_trace_window();

endpackage
