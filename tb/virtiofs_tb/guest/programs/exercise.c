/* The guest's own programs, in one: exercise PROGRAM ARGUMENTS... */
#include "exercise.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REMEMBERED 10
#define LINE 200

static const struct {
    const char *name;
    int (*main)(int argc, char **argv);
} programs[] = {
    {"files", files_main},
    {"tree", tree_main},
    {"locks", locks_main},
    {"probe", probe_main},
};

static uint64_t state, seed_told;
static const char *program = "exercise";
static char journal[REMEMBERED][LINE];
static unsigned long done;

/* ---- random numbers: splitmix64, whose constants are those of its author (Vigna, public domain) ---- */

void random_seed(uint64_t seed, const char *name) {
    state = seed_told = seed;
    program = name;
}

uint64_t random_bits(void) {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t random_below(size_t end) { return (size_t)(random_bits() % end); }

bool one_in(size_t many) { return random_below(many) == 0; }

void random_bytes(void *target, size_t size) {
    unsigned char *byte = target;
    for (size_t i = 0; i < size; i++) byte[i] = (unsigned char)random_bits();
}

size_t random_by_weight(const unsigned *weights, size_t count) {
    size_t total = 0, at = 0;
    for (size_t i = 0; i < count; i++) total += weights[i];
    size_t drawn = random_below(total);
    while (drawn >= weights[at]) drawn -= weights[at++];
    return at;
}

/* ---- the journal ---- */

void operation(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(journal[done++ % REMEMBERED], LINE, format, arguments);
    va_end(arguments);
}

unsigned long operations(void) { return done; }

/* ---- failing ---- */

void fail(const char *format, ...) {
    unsigned long first = done > REMEMBERED ? done - REMEMBERED : 0;
    for (unsigned long i = first; i < done; i++) printf("%s %lu: %s\n", program, i + 1, journal[i % REMEMBERED]);
    printf("virtiofs-guest: because %s", program);
    unsigned long long seed = seed_told;
    if (done) printf(", seed %llu, operation %lu (%s)", seed, done, journal[(done - 1) % REMEMBERED]);
    printf(": ");
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    exit(1);
}

void expect(bool condition, const char *format, ...) {
    if (condition) return;
    char text[LINE];
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fail("%s (errno %s)", text, error ? strerrorname_np(error) : "0");
}

struct outcome outcome(long result) { return (struct outcome){result, result < 0 ? errno : 0}; }

const char *told(struct outcome outcome) {
    static char texts[2][24]; /* one message names two */
    static int turn;
    char *text = texts[turn ^= 1];
    if (outcome.error) return strerrorname_np(outcome.error);
    snprintf(text, sizeof texts[0], "%ld", outcome.result);
    return text;
}

void same_outcome(const struct outcome sides[SIDES]) {
    if (sides[OURS].result != sides[TMPFS].result || sides[OURS].error != sides[TMPFS].error)
        fail("it came to %s, on tmpfs to %s", told(sides[OURS]), told(sides[TMPFS]));
}

void same_bytes(const unsigned char *ours, const unsigned char *tmpfs, size_t size, off_t offset) {
    for (size_t i = 0; i < size; i++)
        if (ours[i] != tmpfs[i])
            fail("byte %lld is 0x%02x, on tmpfs 0x%02x", (long long)offset + (long long)i, ours[i], tmpfs[i]);
}

unsigned long number_argument(const char *text, const char *what) {
    char *end;
    errno = 0;
    unsigned long number = text ? strtoul(text, &end, 0) : 0;
    if (!text || errno || end == text || *end) {
        fprintf(stderr, "exercise: %s: expected a number, found %s\n", what, text ? text : "nothing");
        exit(2);
    }
    return number;
}

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof programs / sizeof *programs; i++)
        if (strcmp(argv[1], programs[i].name) == 0) return programs[i].main(argc - 1, argv + 1);
    fprintf(stderr, "exercise: expected files, tree, locks or probe, found %s\n", argc > 1 ? argv[1] : "nothing");
    return 2;
}
