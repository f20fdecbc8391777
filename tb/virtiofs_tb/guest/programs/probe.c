/* exercise probe NAME DIRECTORY: what a shell cannot ask for, one thing a name. DIRECTORY is empty before and after. */
#include "exercise.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define LARGEST ((off_t)1 << 40) /* docs/file-system.md, Capacity */
#define RECORDS 60
#define RECORD 32
#define LISTED 90

static unsigned char page[PAGE], back[PAGE];

static int made(const char *name) {
    int file = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    expect(file >= 0, "%s cannot be made", name);
    return file;
}

/* A descriptor that asks the endpoint, whatever the kernel holds in its cache. */
static int direct(const char *name) {
    int file = open(name, O_RDWR | O_DIRECT);
    expect(file >= 0, "%s cannot be opened with O_DIRECT", name);
    return file;
}

static void gone(int file, const char *name) {
    expect(close(file) == 0, "close");
    if (name) expect(unlink(name) == 0, "%s cannot be removed", name);
}

static struct statvfs space(void) {
    struct statvfs status;
    expect(statvfs(".", &status) == 0, "statvfs");
    return status;
}

static void same_space(const struct statvfs *before, const char *when) {
    struct statvfs now = space();
    if (now.f_bfree != before->f_bfree || now.f_bavail != before->f_bavail || now.f_ffree != before->f_ffree)
        fail("%s %lu blocks and %lu files are free, expected %lu and %lu", when, now.f_bfree, now.f_ffree,
             before->f_bfree, before->f_ffree);
}

static void holds(int file, off_t offset, const void *expected, size_t size) {
    expect(pread(file, back, size, offset) == (ssize_t)size, "reading %zu bytes at %lld", size, (long long)offset);
    if (memcmp(back, expected, size)) fail("%zu bytes at %lld are not what was written", size, (long long)offset);
}

static void fails_with(long result, int error, const char *what) {
    struct outcome end = outcome(result);
    if (end.error != error) fail("%s came to %s, expected %s", what, told(end), strerrorname_np(error));
}

/* ---- files without a name ---- */

static void unlinked(void) {
    struct statvfs before = space();
    struct stat status;
    int file = made("unlinked");
    expect(pwrite(file, page, PAGE, 0) == PAGE && unlink("unlinked") == 0, "writing and removing it");
    expect(fstat(file, &status) == 0 && status.st_nlink == 0, "%lu links are left", (unsigned long)status.st_nlink);
    expect(pwrite(file, page, PAGE, 3 * PAGE) == PAGE, "writing it on");
    expect(fsync(file) == 0 && posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0, "fsync");
    holds(file, 3 * PAGE, page, PAGE);
    unsigned long free_now = space().f_bfree, expected = before.f_bfree - 2;
    if (free_now != expected) fail("%lu blocks are free, expected %lu", free_now, expected);
    gone(file, NULL);
    same_space(&before, "with the last descriptor closed");
}

static void nameless(void) {
    struct statvfs before = space();
    char self[32];
    struct stat status;
    int file = open(".", O_TMPFILE | O_RDWR, 0640);
    expect(file >= 0, "O_TMPFILE");
    expect(write(file, page, PAGE) == PAGE, "write");
    snprintf(self, sizeof self, "/proc/self/fd/%d", file);
    expect(linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0, "giving it a name");
    expect(close(file) == 0, "close");
    expect(stat("named", &status) == 0 && status.st_nlink == 1 && status.st_size == PAGE && status.st_mode == 0100640,
           "mode 0%o, %lu links", status.st_mode, (unsigned long)status.st_nlink);
    file = direct("named");
    holds(file, 0, page, PAGE);
    gone(file, "named");
    file = open(".", O_TMPFILE | O_RDWR, 0640);
    expect(file >= 0 && write(file, page, PAGE) == PAGE, "O_TMPFILE again");
    gone(file, NULL);
    same_space(&before, "without the file");
}

/* ---- sizes ---- */

static void largest(void) {
    static const unsigned char zeros[PAGE];
    struct statvfs before = space();
    struct stat status;
    int file = made("large");
    for (int power = 16; power <= 40; power += 4) /* one page at each power of two */
        expect(pwrite(file, page, 100, ((off_t)1 << power) - 100) == 100, "writing below 2^%d", power);
    fails_with(pwrite(file, page, 1, LARGEST), EFBIG, "a byte at 2^40");
    fails_with(ftruncate(file, LARGEST + 1), EFBIG, "a size of 2^40 + 1");
    expect(ftruncate(file, LARGEST - 1) == 0 && ftruncate(file, LARGEST) == 0, "sizes up to 2^40");
    expect(fstat(file, &status) == 0 && status.st_size == LARGEST, "the size is %lld", (long long)status.st_size);
    expect(status.st_blocks == 7 * 8, "%lld blocks are allocated, expected 56", (long long)status.st_blocks);
    int asked = direct("large"); /* a write by the cache is cut at the border of a page */
    fails_with(pwrite(asked, page, 2, LARGEST - 1), EFBIG, "two bytes that begin before 2^40");
    for (int power = 16; power <= 36; power += 4) {
        holds(asked, ((off_t)1 << power) - 100, page, 100);
        holds(asked, (off_t)1 << power, zeros, PAGE);
    }
    holds(asked, LARGEST - 100, page, 99);
    holds(asked, LARGEST - 1, zeros, 1);
    expect(pread(asked, back, PAGE, LARGEST) == 0, "reading at the end");
    expect(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LARGEST - PAGE) == 0, "punching");
    expect(fstat(file, &status) == 0 && status.st_blocks == 8, "%lld blocks are left", (long long)status.st_blocks);
    expect(close(asked) == 0, "close");
    gone(file, "large");
    same_space(&before, "without the file");
}

/* Every block is taken; a write that does not fit writes nothing; all of it comes back. */
static void full(void) {
    struct statvfs before = space();
    struct stat status;
    size_t chunk = 16 * PAGE, written = 0;
    unsigned char *data = malloc(chunk);
    int file = made("filler"), other = made("other");
    while (chunk) {
        for (size_t i = 0; i < chunk; i++) data[i] = (unsigned char)((written + i) / PAGE * 7 + (written + i) % 251);
        ssize_t done = pwrite(file, data, chunk, (off_t)written);
        if (done > 0) {
            written += (size_t)done;
            continue;
        }
        fails_with(done, ENOSPC, "a write into a full file system");
        expect(fstat(file, &status) == 0, "fstat");
        long long size = status.st_size;
        if ((size_t)size != written) fail("the size is %lld after %zu bytes", size, written);
        chunk = chunk > PAGE ? chunk / PAGE / 2 * PAGE : 0;
    }
    expect(space().f_bfree == 0, "%lu blocks are free", space().f_bfree);
    if (written / PAGE != before.f_bfree) fail("%zu pages were written, %lu were free", written / PAGE, before.f_bfree);
    fails_with(pwrite(other, "x", 1, 0), ENOSPC, "one more byte");
    fails_with(fallocate(other, 0, 0, PAGE), ENOSPC, "an allocation");
    fails_with(symlink("target", "symlink"), ENOSPC, "a symbolic link");
    expect(pwrite(file, "y", 1, 5) == 1 && pwrite(file, data, 0, 0) == 0, "writing over what is there");
    expect(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * PAGE, PAGE) == 0, "punching");
    expect(pwrite(other, "x", 1, 0) == 1, "a byte in what came free");
    expect(space().f_bfree == 0, "%lu blocks are free", space().f_bfree);
    expect(close(file) == 0, "close");
    file = direct("filler");
    for (size_t at = 16 * PAGE; at < written; at += 37 * PAGE) {
        for (size_t i = 0; i < PAGE; i++) data[i] = (unsigned char)(at / PAGE * 7 + (at + i) % 251);
        holds(file, (off_t)at, data, PAGE);
    }
    free(data);
    gone(file, "filler");
    gone(other, "other");
    same_space(&before, "with all removed");
    printf("full: %zu pages\n", written / PAGE);
}

/* Names of 255 bytes until there is no room for one; the longest name takes the most. */
static void names(void) {
    struct statvfs before = space();
    char name[256];
    unsigned count = 0;
    int result;
    gone(made("one"), NULL);
    do {
        snprintf(name, sizeof name, "%0255u", count);
        result = link("one", name);
    } while (result == 0 && ++count < 5000);
    fails_with(result, ENOSPC, "one more name");
    fails_with(symlink("target", name), ENOSPC, "one more name, for a symbolic link");
    expect(unlink("one") == 0, "one");
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%0255u", i);
        expect(unlink(name) == 0, "name %u cannot be removed", i);
    }
    same_space(&before, "with all removed");
    printf("names: %u of 255 bytes\n", count);
}

/* ---- two processes ---- */

static void child_ends(pid_t child) {
    int status;
    expect(waitpid(child, &status, 0) == child, "waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status)) fail("the other process ended with status 0x%x", status);
}

static pid_t child_begins(void) {
    fflush(stdout);
    pid_t child = fork();
    expect(child >= 0, "fork");
    return child;
}

static void append(void) {
    gone(made("log"), NULL);
    pid_t child = child_begins();
    char record[RECORD + 1];
    int file = open("log", O_WRONLY | O_APPEND);
    expect(file >= 0, "O_APPEND");
    for (int i = 0; i < RECORDS; i++) {
        snprintf(record, sizeof record, "%c%031d", child ? 'p' : 'c', i);
        expect(write(file, record, RECORD) == RECORD, "record %d", i);
    }
    expect(close(file) == 0, "close");
    if (!child) _exit(0);
    child_ends(child);
    file = direct("log");
    int next[2] = {0, 0};
    for (int i = 0; i < 2 * RECORDS; i++) {
        expect(pread(file, back, RECORD, (off_t)i * RECORD) == RECORD, "record %d cannot be read", i);
        int whose = back[0] == 'p';
        snprintf(record, sizeof record, "%c%031d", whose ? 'p' : 'c', next[whose]++);
        if (memcmp(back, record, RECORD)) fail("record %d is '%.*s', expected '%s'", i, RECORD, (char *)back, record);
    }
    expect(pread(file, back, RECORD, 2 * RECORDS * RECORD) == 0, "there are more records");
    gone(file, "log");
}

static void mapped(void) {
    int file = made("mapped");
    expect(ftruncate(file, 3 * PAGE + 100) == 0, "ftruncate");
    pid_t child = child_begins();
    unsigned char *map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    expect(map != MAP_FAILED, "mmap");
    if (!child) { /* each byte that one sees, the other has written */
        memcpy(map + PAGE + 10, page, 500);
        expect(msync(map, 4 * PAGE, MS_SYNC) == 0, "msync");
        _exit(0);
    }
    child_ends(child);
    if (memcmp(map + PAGE + 10, page, 500)) fail("what the other process wrote is not in the mapping");
    memcpy(map + 3 * PAGE, page, 100);
    expect(pwrite(file, "between", 7, 2 * PAGE) == 7, "pwrite");
    if (memcmp(map + 2 * PAGE, "between", 7)) fail("what was written is not in the mapping");
    expect(munmap(map, 4 * PAGE) == 0 && fsync(file) == 0, "fsync");
    int asked = direct("mapped");
    holds(asked, PAGE + 10, page, 500);
    holds(asked, 2 * PAGE, "between", 7);
    holds(asked, 3 * PAGE, page, 100);
    expect(pread(asked, back, PAGE, 3 * PAGE) == 100, "the size has changed");
    expect(close(asked) == 0, "close");
    gone(file, "mapped");
}

/* ---- directories ---- */

/* Names are removed while the directory is read: each that stays is seen once, and none comes twice. */
static void removing(void) {
    char name[32];
    int seen[LISTED] = {0};
    for (int i = 0; i < LISTED; i++) {
        snprintf(name, sizeof name, "entry-with-a-number-%d", i);
        expect(mknod(name, S_IFREG | 0600, 0) == 0, "%s", name);
    }
    DIR *directory = opendir(".");
    expect(directory != NULL, "opendir");
    int read = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL; read++) {
        int number;
        if (sscanf(entry->d_name, "entry-with-a-number-%d", &number) != 1) continue;
        if (seen[number]++) fail("entry %d comes twice", number);
        if (number % 3 == 0) expect(unlink(entry->d_name) == 0, "removing the entry that was just read");
        if (number % 3 == 1) { /* one that may come yet */
            snprintf(name, sizeof name, "entry-with-a-number-%d", LISTED - 1 - number);
            if ((LISTED - 1 - number) % 3 == 1) expect(unlink(name) == 0 || errno == ENOENT, "%s", name);
        }
    }
    rewinddir(directory);
    int left = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        int number;
        if (sscanf(entry->d_name, "entry-with-a-number-%d", &number) != 1) continue;
        if (!seen[number]) fail("entry %d was there all the time and never came", number);
        expect(unlink(entry->d_name) == 0, "%s", entry->d_name);
        left++;
    }
    expect(closedir(directory) == 0, "closedir");
    printf("removing: %d records read, %d names removed at last\n", read, left);
}

static const struct {
    const char *name;
    void (*run)(void);
} probes[] = {
    {"unlinked", unlinked}, {"nameless", nameless}, {"largest", largest}, {"full", full},
    {"names", names},       {"append", append},     {"mapped", mapped},   {"removing", removing},
};

int probe_main(int argc, char **argv) {
    for (size_t i = 0; argc == 3 && i < sizeof probes / sizeof *probes; i++) {
        if (strcmp(argv[1], probes[i].name)) continue;
        random_seed(1, argv[1]);
        random_bytes(page, PAGE);
        expect(chdir(argv[2]) == 0, "%s", argv[2]);
        probes[i].run();
        return 0;
    }
    fprintf(stderr, "exercise probe: expected a probe's name and a directory\n");
    return 2;
}
