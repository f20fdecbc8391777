// What can be done with words of storage.
package page_pkg;

    typedef enum logic [1:0] {
        STORAGE_READ,
        STORAGE_WRITE,    // one word, or some bytes of it
        STORAGE_CLEAR     // words of a page become invalid: they read as zeros
    } storage_op_e;

endpackage
