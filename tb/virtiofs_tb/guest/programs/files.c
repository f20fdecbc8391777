/* exercise files OURS TMPFS SEED COUNT: random operations on two files in lockstep, one in each directory.
 *
 * Results, errors, sizes and bytes must be the same. Much of what a program reads comes from the kernel's page cache;
 * a second descriptor with O_DIRECT, on our side only, asks the endpoint itself. */
#include "exercise.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPAN (192 * 1024) /* no file becomes larger */
#define LONGEST (24 * 1024)
#define PAGE 4096

enum kind {
    WRITE, APPEND, WRITE_DIRECT, READ, READ_DIRECT, TRUNCATE, ALLOCATE, PUNCH, ZERO, MAP_WRITE, MAP_READ, COPY, REOPEN,
    SYNC, FORGET, WHOLE, KINDS
};
static const unsigned weights[KINDS] = {
    [WRITE] = 20, [APPEND] = 5, [WRITE_DIRECT] = 5, [READ] = 10, [READ_DIRECT] = 10, [TRUNCATE] = 8, [ALLOCATE] = 5,
    [PUNCH] = 8, [ZERO] = 6, [MAP_WRITE] = 8, [MAP_READ] = 4, [COPY] = 4, [REOPEN] = 2, [SYNC] = 2, [FORGET] = 5,
    [WHOLE] = 3,
};
static const char *const names[KINDS] = {
    [WRITE] = "write", [APPEND] = "append", [WRITE_DIRECT] = "direct write", [READ] = "read",
    [READ_DIRECT] = "direct read", [TRUNCATE] = "truncate", [ALLOCATE] = "allocate", [PUNCH] = "punch",
    [ZERO] = "zero", [MAP_WRITE] = "mapped write", [MAP_READ] = "mapped read", [COPY] = "copy", [REOPEN] = "reopen",
    [SYNC] = "fsync", [FORGET] = "forget the cache", [WHOLE] = "compare all",
};

static char path[SIDES][4096];
static int file[SIDES], direct;
static unsigned char buffer[SIDES][SPAN] __attribute__((aligned(PAGE)));
static const unsigned char zeros[SPAN];

static void open_both(int flags) {
    for (int side = 0; side < SIDES; side++) {
        file[side] = open(path[side], O_RDWR | flags, 0600);
        expect(file[side] >= 0, "%s cannot be opened", path[side]);
    }
    direct = open(path[OURS], O_RDWR | O_DIRECT);
    expect(direct >= 0, "%s cannot be opened with O_DIRECT", path[OURS]);
}

static void close_both(void) {
    struct outcome ends[SIDES] = {outcome(close(file[OURS])), outcome(close(file[TMPFS]))};
    same_outcome(ends);
    expect(close(direct) == 0, "close");
}

static off_t size_of_both(void) {
    struct stat status[SIDES];
    for (int side = 0; side < SIDES; side++) expect(fstat(file[side], &status[side]) == 0, "fstat");
    if (status[OURS].st_size != status[TMPFS].st_size)
        fail("the size is %lld, on tmpfs %lld", (long long)status[OURS].st_size, (long long)status[TMPFS].st_size);
    return status[OURS].st_size;
}

static void write_both(int ours, size_t length, off_t offset) {
    random_bytes(buffer[OURS], length);
    struct outcome ends[SIDES] = {
        outcome(pwrite(ours, buffer[OURS], length, offset)),
        outcome(pwrite(file[TMPFS], buffer[OURS], length, offset)),
    };
    same_outcome(ends);
}

static void read_both(int ours, size_t length, off_t offset) {
    struct outcome ends[SIDES] = {
        outcome(pread(ours, buffer[OURS], length, offset)),
        outcome(pread(file[TMPFS], buffer[TMPFS], length, offset)),
    };
    same_outcome(ends);
    if (ends[OURS].result > 0) same_bytes(buffer[OURS], buffer[TMPFS], (size_t)ends[OURS].result, offset);
}

static void allocate_both(int mode, size_t length, off_t offset) {
    struct outcome ends[SIDES];
    for (int side = 0; side < SIDES; side++) ends[side] = outcome(fallocate(file[side], mode, offset, (off_t)length));
    same_outcome(ends);
}

/* tmpfs does not know FALLOC_FL_ZERO_RANGE: there zeros are written instead. */
static void zero_both(bool keep, size_t length, off_t offset, off_t size) {
    struct outcome end = outcome(fallocate(file[OURS], FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), offset,
                                           (off_t)length));
    if (end.result) fail("it came to %s, expected 0", told(end));
    if (keep && offset + (off_t)length > size) length = offset < size ? (size_t)(size - offset) : 0;
    expect(pwrite(file[TMPFS], zeros, length, offset) == (ssize_t)length, "zeros on tmpfs");
}

static void map_both(bool writes, size_t length, off_t offset, off_t size) {
    if (offset >= size) return;
    if (offset + (off_t)length > size) length = (size_t)(size - offset);
    off_t first = offset / PAGE * PAGE;
    size_t before = (size_t)(offset - first);
    unsigned char *map[SIDES];
    for (int side = 0; side < SIDES; side++) {
        map[side] = mmap(NULL, before + length, PROT_READ | PROT_WRITE, MAP_SHARED, file[side], first);
        expect(map[side] != MAP_FAILED, "mmap");
    }
    if (writes) {
        random_bytes(buffer[OURS], length);
        for (int side = 0; side < SIDES; side++) memcpy(map[side] + before, buffer[OURS], length);
    } else {
        same_bytes(map[OURS] + before, map[TMPFS] + before, length, offset);
    }
    bool sync = one_in(2);
    for (int side = 0; side < SIDES; side++) {
        if (sync) expect(msync(map[side], before + length, MS_SYNC) == 0, "msync");
        expect(munmap(map[side], before + length) == 0, "munmap");
    }
}

static void copy_both(size_t length, off_t from, off_t to) {
    struct outcome ends[SIDES];
    for (int side = 0; side < SIDES; side++) {
        off_t source = from, target = to;
        ends[side] = outcome(copy_file_range(file[side], &source, file[side], &target, length, 0));
    }
    same_outcome(ends);
}

static void forget_ours(void) {
    expect(fsync(file[OURS]) == 0 && posix_fadvise(file[OURS], 0, 0, POSIX_FADV_DONTNEED) == 0, "forget");
}

static void compare_all(void) {
    size_of_both();
    read_both(direct, SPAN, 0);
}

static void step(void) {
    enum kind kind = (enum kind)random_by_weight(weights, KINDS);
    off_t size = one_in(4) || kind == APPEND || kind >= MAP_WRITE ? size_of_both() : lseek(file[TMPFS], 0, SEEK_END);
    size_t length = one_in(3) ? PAGE * (1 + random_below(5)) : 1 + random_below(one_in(4) ? LONGEST : 3000);
    size_t last = one_in(3) || size >= SPAN - LONGEST ? SPAN - LONGEST : (size_t)size + 1;
    off_t offset = (off_t)random_below(last);
    bool keep = one_in(2);
    if (one_in(3)) offset = offset / PAGE * PAGE;
    if (kind == APPEND) offset = size;
    if (offset + (off_t)length > SPAN) length = (size_t)(SPAN - offset);
    if (!length) return;
    operation("%s %zu bytes at %lld of %lld%s", names[kind], length, (long long)offset, (long long)size,
              keep && (kind == ALLOCATE || kind == ZERO) ? ", keep the size" : "");
    switch (kind) {
    case WRITE:
    case APPEND: write_both(file[OURS], length, offset); break;
    case WRITE_DIRECT: write_both(direct, length, offset); break;
    case READ: read_both(file[OURS], length, offset); break;
    case READ_DIRECT: read_both(direct, length, offset); break;
    case TRUNCATE: {
        struct outcome ends[SIDES];
        for (int side = 0; side < SIDES; side++) ends[side] = outcome(ftruncate(file[side], offset));
        same_outcome(ends);
        break;
    }
    case ALLOCATE: allocate_both(keep ? FALLOC_FL_KEEP_SIZE : 0, length, offset); break;
    case PUNCH: allocate_both(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, length, offset); break;
    case ZERO: zero_both(keep, length, offset, size); break;
    case MAP_WRITE:
    case MAP_READ: map_both(kind == MAP_WRITE, length, offset, size); break;
    case COPY:
        if (offset >= (off_t)length) copy_both(length, offset - (off_t)length, offset);
        break;
    case REOPEN:
        close_both();
        open_both(0);
        break;
    case SYNC: expect((one_in(2) ? fsync : fdatasync)(file[OURS]) == 0, "fsync"); break;
    case FORGET: forget_ours(); break;
    default: compare_all(); break;
    }
}

int files_main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "exercise files: expected OURS TMPFS SEED COUNT\n");
        return 2;
    }
    unsigned long seed = number_argument(argv[3], "SEED"), count = number_argument(argv[4], "COUNT");
    random_seed(seed, "files");
    for (int side = 0; side < SIDES; side++)
        snprintf(path[side], sizeof path[side], "%s/random-file", argv[1 + side]);
    open_both(O_CREAT | O_EXCL);
    while (operations() < count) step();
    operation("the end");
    compare_all();
    close_both();
    for (int side = 0; side < SIDES; side++) expect(unlink(path[side]) == 0, "unlink");
    printf("files: %lu operations of seed %lu\n", count, seed);
    return 0;
}
