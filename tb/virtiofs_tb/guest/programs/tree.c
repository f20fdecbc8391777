/* exercise tree OURS TMPFS SEED COUNT: random operations on names in two directories in lockstep.
 *
 * Each operation must come to the same on both sides; now and then, and at the end, the whole trees must be the same:
 * names, types, modes, owners, link counts, sizes, device numbers, link targets, contents. */
#include "exercise.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEEPEST 4
#define HELD 4 /* files that are kept open */
#define CONTENT 700
#define COMPARE_EVERY 80
#define MOST_NAMES 64

enum kind {
    CREATE, MKDIR, MKNOD, SYMLINK, LINK, UNLINK, RMDIR, RENAME, NOREPLACE, EXCHANGE, CHMOD, CHOWN, TRUNCATE, TIMES,
    TMPFILE, HOLD, LET_GO, LOOK, KINDS
};
static const unsigned weights[KINDS] = {
    [CREATE] = 20, [MKDIR] = 12, [MKNOD] = 5, [SYMLINK] = 6, [LINK] = 10, [UNLINK] = 12, [RMDIR] = 6, [RENAME] = 16,
    [NOREPLACE] = 4, [EXCHANGE] = 6, [CHMOD] = 4, [CHOWN] = 4, [TRUNCATE] = 4, [TIMES] = 3, [TMPFILE] = 3, [HOLD] = 4,
    [LET_GO] = 5, [LOOK] = 6,
};
static const char *const kinds[KINDS] = {
    [CREATE] = "create", [MKDIR] = "mkdir", [MKNOD] = "mknod", [SYMLINK] = "symlink", [LINK] = "link",
    [UNLINK] = "unlink", [RMDIR] = "rmdir", [RENAME] = "rename", [NOREPLACE] = "rename, no replace",
    [EXCHANGE] = "exchange", [CHMOD] = "chmod", [CHOWN] = "chown", [TRUNCATE] = "truncate", [TIMES] = "utimens",
    [TMPFILE] = "name a file without one", [HOLD] = "keep open", [LET_GO] = "close what is kept open",
    [LOOK] = "stat",
};

static int root[SIDES];
static struct held {
    int file[SIDES];
    bool open;
} held[HELD];
static unsigned long compared;

/* ---- names ---- */

static const char *a_name(void) {
    static char long_names[3][NAME_MAX + 1]; /* lengths at the borders of the cells that names are kept in */
    static const char *const short_names[] = {"a", "b", "c", "dir", "e-f", "name with spaces", ".hidden", "\xc3\xa4"};
    static const size_t lengths[3] = {32, 33, NAME_MAX};
    size_t which = random_below(11);
    if (which < 8) return short_names[which];
    memset(long_names[which - 8], 'x', lengths[which - 8]);
    return long_names[which - 8];
}

/* A path below a directory that is there, in tmpfs at least; the last name may be anything. */
static void a_path(char *path) {
    struct stat status;
    strcpy(path, a_name());
    for (int depth = 1; depth < DEEPEST && !one_in(3); depth++) {
        if (fstatat(root[TMPFS], path, &status, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(status.st_mode)) return;
        strcat(path, "/");
        strcat(path, a_name());
    }
}

/* Of several the first that exists, so that most operations find something. */
static void an_old_path(char *path) {
    struct stat status;
    for (int tries = 0; tries < 6; tries++) {
        a_path(path);
        if (fstatat(root[TMPFS], path, &status, AT_SYMLINK_NOFOLLOW) == 0) return;
    }
}

static const char *shortened(const char *path) { /* for the journal: names of 255 bytes tell nothing */
    static char texts[3][96]; /* one message names three */
    static int turn;
    char *text = texts[turn = (turn + 1) % 3], *at = text;
    for (; *path && at < text + 80; at += strlen(at)) {
        size_t length = strcspn(path, "/");
        if (length > 16) sprintf(at, "x*%zu", length);
        else sprintf(at, "%.*s", (int)length, path);
        path += length;
        if (*path == '/') strcat(at, "/"), path++;
    }
    return text;
}

/* ---- comparing ---- */

static void compare_status(const char *path, const struct stat *ours, const struct stat *tmpfs) {
#define SAME(field, what)                                                                                              \
    if (ours->field != tmpfs->field)                                                                                   \
    fail("%s: %s is 0%llo, on tmpfs 0%llo", shortened(path), what, (unsigned long long)ours->field,                    \
         (unsigned long long)tmpfs->field)
    SAME(st_mode, "the mode");
    SAME(st_nlink, "the link count");
    SAME(st_uid, "the owner");
    SAME(st_gid, "the group");
    if (!S_ISDIR(ours->st_mode)) SAME(st_size, "the size");
    if (S_ISCHR(ours->st_mode) || S_ISBLK(ours->st_mode)) SAME(st_rdev, "the device number");
#undef SAME
}

static void compare_open(const int file[SIDES]) {
    unsigned char content[SIDES][4 * CONTENT];
    struct stat status[SIDES];
    struct outcome ends[SIDES];
    for (int side = 0; side < SIDES; side++) {
        expect(fstat(file[side], &status[side]) == 0, "fstat");
        ends[side] = outcome(pread(file[side], content[side], sizeof content[side], 0));
    }
    compare_status("an open file", &status[OURS], &status[TMPFS]);
    same_outcome(ends);
    if (ends[OURS].result > 0) same_bytes(content[OURS], content[TMPFS], (size_t)ends[OURS].result, 0);
}

static void compare_at(const char *path) {
    struct stat status[SIDES];
    struct outcome ends[SIDES];
    for (int side = 0; side < SIDES; side++)
        ends[side] = outcome(fstatat(root[side], path, &status[side], AT_SYMLINK_NOFOLLOW));
    same_outcome(ends);
    if (ends[OURS].result) return;
    compare_status(path, &status[OURS], &status[TMPFS]);
    if (S_ISLNK(status[OURS].st_mode)) {
        char target[SIDES][PATH_MAX];
        for (int side = 0; side < SIDES; side++)
            ends[side] = outcome(readlinkat(root[side], path, target[side], PATH_MAX));
        same_outcome(ends);
        same_bytes((unsigned char *)target[OURS], (unsigned char *)target[TMPFS], (size_t)ends[OURS].result, 0);
    } else if (S_ISREG(status[OURS].st_mode)) {
        int file[SIDES];
        for (int side = 0; side < SIDES; side++)
            expect((file[side] = openat(root[side], path, O_RDONLY)) >= 0, "%s cannot be opened", shortened(path));
        compare_open(file);
        for (int side = 0; side < SIDES; side++) expect(close(file[side]) == 0, "close");
    }
}

static int by_name(const void *left, const void *right) { return strcmp(left, right); }

static size_t list(int side, const char *path, char (*names)[NAME_MAX + 1]) {
    size_t count = 0;
    int file = openat(root[side], path, O_RDONLY | O_DIRECTORY);
    DIR *directory = file >= 0 ? fdopendir(file) : NULL;
    expect(directory != NULL, "%s cannot be listed", shortened(path));
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (count == MOST_NAMES) fail("%s has more than %d names", shortened(path), MOST_NAMES);
        strcpy(names[count++], entry->d_name);
    }
    expect(closedir(directory) == 0, "closedir");
    qsort(names, count, sizeof *names, by_name);
    return count;
}

static void compare_below(const char *path) {
    char(*names)[SIDES][MOST_NAMES][NAME_MAX + 1] = malloc(sizeof *names);
    size_t count[SIDES];
    for (int side = 0; side < SIDES; side++) count[side] = list(side, path, (*names)[side]);
    for (size_t i = 0; i < count[OURS] || i < count[TMPFS]; i++) {
        const char *ours = i < count[OURS] ? (*names)[OURS][i] : "";
        const char *tmpfs = i < count[TMPFS] ? (*names)[TMPFS][i] : "";
        if (strcmp(ours, tmpfs))
            fail("%s: name %zu of the listing is '%s', on tmpfs '%s'", shortened(path), i, shortened(ours),
                 shortened(tmpfs));
        char below[PATH_MAX];
        struct stat status;
        snprintf(below, sizeof below, "%s/%s", path, ours);
        compare_at(below);
        expect(fstatat(root[TMPFS], below, &status, AT_SYMLINK_NOFOLLOW) == 0, "stat on tmpfs");
        if (S_ISDIR(status.st_mode)) compare_below(below);
    }
    free(names);
    compared += count[OURS];
}

/* ---- operations: each on one side ---- */

static mode_t mode;
static unsigned char content[CONTENT];
static size_t amount;
static int flags;

static struct outcome create(int side, const char *path) {
    int file = openat(root[side], path, flags | O_NONBLOCK, mode & 0777);
    struct outcome end = outcome(file);
    if (file < 0) return end;
    end = outcome(amount ? write(file, content, amount) : 0);
    expect(close(file) == 0, "close");
    return end;
}

static struct outcome tmpfile_named(int side, const char *path) {
    char self[32];
    int file = openat(root[side], ".", O_TMPFILE | O_WRONLY, mode & 0777);
    if (file < 0) return outcome(file);
    snprintf(self, sizeof self, "/proc/self/fd/%d", file);
    expect(write(file, content, amount) == (ssize_t)amount, "write");
    struct outcome end = outcome(linkat(AT_FDCWD, self, root[side], path, AT_SYMLINK_FOLLOW));
    expect(close(file) == 0, "close");
    return end;
}

static struct outcome perform(enum kind kind, int side, const char *path, const char *other) {
    static const mode_t types[] = {S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK, S_IFREG};
    const struct timespec times[2] = {{(time_t)amount, 17}, {(time_t)mode << 21, 999999999}};
    switch (kind) {
    case CREATE: return create(side, path);
    case MKDIR: return outcome(mkdirat(root[side], path, mode & 03777));
    case MKNOD: return outcome(mknodat(root[side], path, types[amount % 5] | (mode & 0777), makedev(amount, 3)));
    case SYMLINK: return outcome(symlinkat(other, root[side], path));
    case LINK: return outcome(linkat(root[side], path, root[side], other, 0));
    case UNLINK: return outcome(unlinkat(root[side], path, 0));
    case RMDIR: return outcome(unlinkat(root[side], path, AT_REMOVEDIR));
    case RENAME: return outcome(renameat(root[side], path, root[side], other));
    case NOREPLACE: return outcome(renameat2(root[side], path, root[side], other, RENAME_NOREPLACE));
    case EXCHANGE: return outcome(renameat2(root[side], path, root[side], other, RENAME_EXCHANGE));
    case CHMOD: return outcome(fchmodat(root[side], path, mode, 0));
    case CHOWN: return outcome(fchownat(root[side], path, mode, (gid_t)amount, AT_SYMLINK_NOFOLLOW));
    case TIMES: return outcome(utimensat(root[side], path, times, AT_SYMLINK_NOFOLLOW));
    default: return tmpfile_named(side, path);
    }
}

/* ---- operations that need more than a path ---- */

static void truncate_both(const char *path) {
    struct outcome ends[SIDES];
    for (int side = 0; side < SIDES; side++) {
        int file = openat(root[side], path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
        ends[side] = outcome(file < 0 ? file : ftruncate(file, (off_t)amount));
        if (file >= 0) expect(close(file) == 0, "close");
    }
    same_outcome(ends);
}

static void compare_times(const char *path) {
    struct stat status[SIDES];
    for (int side = 0; side < SIDES; side++)
        expect(fstatat(root[side], path, &status[side], AT_SYMLINK_NOFOLLOW) == 0, "stat");
    if (status[OURS].st_atim.tv_sec != status[TMPFS].st_atim.tv_sec ||
        status[OURS].st_atim.tv_nsec != status[TMPFS].st_atim.tv_nsec ||
        status[OURS].st_mtim.tv_sec != status[TMPFS].st_mtim.tv_sec ||
        status[OURS].st_mtim.tv_nsec != status[TMPFS].st_mtim.tv_nsec)
        fail("times are %lld.%09ld and %lld.%09ld, on tmpfs %lld.%09ld and %lld.%09ld",
             (long long)status[OURS].st_atim.tv_sec, status[OURS].st_atim.tv_nsec,
             (long long)status[OURS].st_mtim.tv_sec, status[OURS].st_mtim.tv_nsec,
             (long long)status[TMPFS].st_atim.tv_sec, status[TMPFS].st_atim.tv_nsec,
             (long long)status[TMPFS].st_mtim.tv_sec, status[TMPFS].st_mtim.tv_nsec);
}

static void let_go(struct held *slot) {
    if (!slot->open) return;
    compare_open(slot->file);
    for (int side = 0; side < SIDES; side++) expect(close(slot->file[side]) == 0, "close");
    slot->open = false;
}

static void hold(struct held *slot, const char *path) {
    struct stat status;
    let_go(slot);
    if (fstatat(root[TMPFS], path, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode)) return;
    for (int side = 0; side < SIDES; side++)
        expect((slot->file[side] = openat(root[side], path, O_RDWR)) >= 0, "open");
    slot->open = true;
}

static void write_held(struct held *slot) { /* its name may be another by now, or gone */
    struct outcome ends[SIDES];
    if (!slot->open) return;
    for (int side = 0; side < SIDES; side++) ends[side] = outcome(pwrite(slot->file[side], content, amount, 100));
    same_outcome(ends);
}

static void step(void) {
    static const int ways[] = {O_CREAT | O_EXCL | O_WRONLY, O_CREAT | O_RDWR, O_CREAT | O_TRUNC | O_WRONLY,
                               O_CREAT | O_APPEND | O_WRONLY, O_WRONLY | O_TRUNC, O_CREAT | O_WRONLY | O_NOFOLLOW};
    char path[PATH_MAX], other[PATH_MAX];
    enum kind kind = (enum kind)random_by_weight(weights, KINDS);
    struct held *slot = &held[random_below(HELD)];
    bool makes = kind == CREATE || kind == MKDIR || kind == MKNOD || kind == SYMLINK || kind == TMPFILE;
    (makes && !one_in(4) ? a_path : an_old_path)(path);
    (kind == EXCHANGE || one_in(3) ? an_old_path : a_path)(other);
    mode = (mode_t)random_below(010000);
    amount = random_below(CONTENT);
    flags = ways[random_below(sizeof ways / sizeof *ways)];
    random_bytes(content, 1 + amount);
    bool two = kind >= SYMLINK && kind <= EXCHANGE && kind != UNLINK && kind != RMDIR;
    operation("%s %s%s%s (mode 0%o, %zu)", kinds[kind], shortened(path), two ? ", " : "", two ? shortened(other) : "",
              mode, amount);
    if (kind == LOOK) compare_at(path);
    else if (kind == TRUNCATE) truncate_both(path);
    else if (kind == HOLD) hold(slot, path);
    else if (kind == LET_GO) write_held(slot), let_go(slot);
    else {
        struct outcome ends[SIDES];
        for (int side = 0; side < SIDES; side++) ends[side] = perform(kind, side, path, other);
        same_outcome(ends);
        if (kind == TIMES && !ends[OURS].error) compare_times(path);
    }
    if (operations() % COMPARE_EVERY == 0) compare_below(".");
}

int tree_main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "exercise tree: expected OURS TMPFS SEED COUNT\n");
        return 2;
    }
    unsigned long seed = number_argument(argv[3], "SEED"), count = number_argument(argv[4], "COUNT");
    random_seed(seed, "tree");
    umask(0);
    for (int side = 0; side < SIDES; side++)
        expect((root[side] = open(argv[1 + side], O_RDONLY | O_DIRECTORY)) >= 0, "%s", argv[1 + side]);
    while (operations() < count) step();
    operation("the end");
    for (size_t i = 0; i < HELD; i++) let_go(&held[i]);
    compare_below(".");
    printf("tree: %lu operations of seed %lu, %lu names compared\n", count, seed, compared);
    return 0;
}
