// What the rules of the packet channels read from a header.
package tlp_rules_pkg;

    function automatic logic [10:0] payload_dwords(input logic [127:0] hdr);
        if (!hdr[126]) return '0;
        return hdr[105:96] == '0 ? 11'd1024 : 11'(hdr[105:96]);
    endfunction

    function automatic logic is_completion(input logic [127:0] hdr);
        return hdr[124:121] == 4'b0101;
    endfunction

    // Memory writes and messages.
    function automatic logic is_posted(input logic [127:0] hdr);
        return (hdr[126] && hdr[124:120] == 5'b00000) || hdr[124:123] == 2'b10;
    endfunction

    function automatic logic is_non_posted(input logic [127:0] hdr);
        return !is_posted(hdr) && !is_completion(hdr);
    endfunction

    // Neither prefix nor digest, tags of 8 bits, and nothing behind the third dword of a 3-dword header.
    function automatic logic well_formed(input logic [127:0] hdr);
        return !hdr[127] && !hdr[111] && !hdr[119] && !hdr[115] && (hdr[125] || hdr[31:0] == '0);
    endfunction

endpackage
