/* What the programs of the guest share: random numbers from a seed, a journal of the last operations, and one way to
 * fail. Each program is one function; exercise.c finds it by the first argument. */
#ifndef EXERCISE_H
#define EXERCISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { OURS, TMPFS, SIDES }; /* what each pair is of: the endpoint's file system, and the one that it is held against */

int files_main(int argc, char **argv);
int tree_main(int argc, char **argv);
int locks_main(int argc, char **argv);
int probe_main(int argc, char **argv);

/* ---- random numbers: the same ones for the same seed, on every machine ---- */

void random_seed(uint64_t seed, const char *program); /* also names what failures are of */
uint64_t random_bits(void);
size_t random_below(size_t end); /* 0 to end - 1; end above 0 */
bool one_in(size_t many);
void random_bytes(void *target, size_t size);
size_t random_by_weight(const unsigned *weights, size_t count);

/* ---- the journal ---- */

/* An operation begins; the last ones are shown when something differs. */
void operation(const char *format, ...) __attribute__((format(printf, 1, 2)));
unsigned long operations(void);

/* ---- failing ---- */

/* The journal, then one line that the testbench repeats; ends the process with status 1. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void expect(bool condition, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a system call came to, as a person reads it: a number, or the name of an error. */
struct outcome {
    long result;
    int error;
};

struct outcome outcome(long result); /* with errno, if result is negative */
const char *told(struct outcome outcome);
/* The same on both sides, or the end. */
void same_outcome(const struct outcome sides[SIDES]);
void same_bytes(const unsigned char *ours, const unsigned char *tmpfs, size_t size, off_t offset);

unsigned long number_argument(const char *text, const char *what);

#endif
