/* exercise locks OURS TMPFS SEED COUNT: three processes lock a file on both sides in lockstep, by fcntl and by flock.
 *
 * The parent says what is done and compares: who gets a lock, who is refused, who conflicts, who waits and until
 * when. A waiting process waits on our side first, and tells when that has come to its end. The locks of a process
 * that is killed go. A program converts no flock without giving it up first: Linux loses the old one then, and a
 * server need not. */
#include "exercise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 3
#define BYTES 24
#define WAITS_MS 40 /* so long a lock that cannot be had is not given */
#define GIVEN_MS 20000

enum action { SET, GET, FLOCK, REOPEN, ACTIONS };
static const char *const names[ACTIONS] = {[SET] = "fcntl", [GET] = "ask", [FLOCK] = "flock", [REOPEN] = "reopen"};
static const unsigned weights[ACTIONS] = {[SET] = 14, [GET] = 5, [FLOCK] = 6, [REOPEN] = 1};

struct command {
    enum action action;
    short type;
    bool wait;
    off_t start, length; /* length 0: to the end of all files */
};

struct answer {
    struct outcome ends[SIDES];
    struct flock found[SIDES]; /* of GET */
};

static char path[SIDES][4096];
static struct worker {
    pid_t pid;
    int commands, answers; /* pipes */
} workers[WORKERS];
static unsigned long refused, waited;

/* ---- a worker ---- */

static int file[SIDES];

static void open_files(void) {
    for (int side = 0; side < SIDES; side++)
        expect((file[side] = open(path[side], O_RDWR)) >= 0, "%s cannot be opened", path[side]);
}

static struct outcome do_flock(int side, const struct command *command) {
    if (flock(file[side], LOCK_UN)) return outcome(-1);
    int how = command->type == F_WRLCK ? LOCK_EX : LOCK_SH;
    if (command->type == F_UNLCK) return outcome(0);
    return outcome(flock(file[side], how | (command->wait ? 0 : LOCK_NB)));
}

static void work(int commands, int answers) {
    struct command command;
    open_files();
    while (read(commands, &command, sizeof command) == sizeof command) {
        struct answer answer;
        memset(&answer, 0, sizeof answer);
        for (int side = 0; side < SIDES; side++) {
            struct flock *lock = &answer.found[side];
            *lock = (struct flock){.l_type = command.type, .l_start = command.start, .l_len = command.length};
            if (command.action == SET)
                answer.ends[side] = outcome(fcntl(file[side], command.wait ? F_SETLKW : F_SETLK, lock));
            else if (command.action == GET)
                answer.ends[side] = outcome(fcntl(file[side], F_GETLK, lock));
            else if (command.action == FLOCK)
                answer.ends[side] = do_flock(side, &command);
            else
                answer.ends[side] = outcome(close(file[side]));
            if (command.wait && side == OURS) (void)!write(answers, &answer, sizeof answer);
        }
        if (command.action == REOPEN) open_files();
        if (write(answers, &answer, sizeof answer) != sizeof answer) break;
    }
    _exit(0);
}

static void begin(struct worker *worker) {
    int commands[2], answers[2];
    expect(pipe(commands) == 0 && pipe(answers) == 0, "pipe");
    fflush(stdout);
    worker->pid = fork();
    expect(worker->pid >= 0, "fork");
    if (worker->pid == 0) {
        for (struct worker *other = workers; other < worker; other++) close(other->commands); /* else they never end */
        close(commands[1]);
        work(commands[0], answers[1]);
    }
    close(commands[0]);
    close(answers[1]);
    worker->commands = commands[1];
    worker->answers = answers[0];
}

/* ---- the parent ---- */

static void tell(const struct worker *worker, const struct command *command) {
    expect(write(worker->commands, command, sizeof *command) == sizeof *command, "a worker is gone");
}

static bool answered(const struct worker *worker, int milliseconds, struct answer *answer) {
    struct pollfd wanted = {.fd = worker->answers, .events = POLLIN};
    if (poll(&wanted, 1, milliseconds) == 0) return false;
    expect(read(worker->answers, answer, sizeof *answer) == sizeof *answer, "a worker is gone");
    return true;
}

static struct answer ask(const struct worker *worker, struct command command) {
    struct answer answer;
    tell(worker, &command);
    if (!answered(worker, GIVEN_MS, &answer)) fail("no answer after %d s", GIVEN_MS / 1000);
    same_outcome(answer.ends);
    return answer;
}

static void compare_found(const struct worker *asker, const struct answer *answer) {
    const struct flock *ours = &answer->found[OURS], *tmpfs = &answer->found[TMPFS];
    if ((ours->l_type == F_UNLCK) != (tmpfs->l_type == F_UNLCK))
        fail("%s conflicts, on tmpfs %s", ours->l_type == F_UNLCK ? "nothing" : "a lock",
             tmpfs->l_type == F_UNLCK ? "nothing" : "a lock");
    if (ours->l_type == F_UNLCK) return;
    bool known = false; /* of several that conflict each side may name another */
    for (int i = 0; i < WORKERS; i++) known |= workers[i].pid == ours->l_pid && &workers[i] != asker;
    if (!known) fail("the lock that conflicts is of process %d, which is none of the others", ours->l_pid);
}

static void all_let_go(const struct worker *but) {
    for (int i = 0; i < WORKERS; i++) {
        if (&workers[i] == but) continue;
        ask(&workers[i], (struct command){.action = SET, .type = F_UNLCK});
        ask(&workers[i], (struct command){.action = FLOCK, .type = F_UNLCK});
    }
}

/* What was refused is asked for again by one who waits: nobody gives it to him before the others let go. */
static void wait_for(const struct worker *worker, struct command command) {
    struct answer answer;
    command.wait = true;
    operation("the same, waiting");
    tell(worker, &command);
    if (answered(worker, WAITS_MS, &answer)) fail("it came to %s at once", told(answer.ends[OURS]));
    all_let_go(worker);
    for (int side = 0; side < SIDES; side++)
        if (!answered(worker, GIVEN_MS, &answer)) fail("it still waits %d s after the locks are gone", GIVEN_MS / 1000);
    same_outcome(answer.ends);
    if (answer.ends[OURS].result) fail("it came to %s", told(answer.ends[OURS]));
    waited++;
}

static void step(void) {
    static const short types[] = {F_RDLCK, F_WRLCK, F_WRLCK, F_UNLCK};
    size_t which = random_below(WORKERS);
    struct command command = {.action = (enum action)random_by_weight(weights, ACTIONS)};
    command.type = types[random_below(command.action == GET ? 3 : 4)];
    command.start = (off_t)random_below(BYTES);
    command.length = one_in(8) ? 0 : (off_t)(1 + random_below((size_t)(BYTES - command.start)));
    const char *type = command.type == F_RDLCK ? "shared" : command.type == F_WRLCK ? "exclusive" : "none";
    operation("process %zu: %s %s, %lld bytes from %lld", which, names[command.action], type, (long long)command.length,
              (long long)command.start);
    struct answer answer = ask(&workers[which], command);
    if (command.action == GET) compare_found(&workers[which], &answer);
    if (answer.ends[OURS].error == EAGAIN) {
        refused++;
        if (one_in(4)) wait_for(&workers[which], command);
    }
}

static void killed(void) {
    operation("process 0 holds locks and is killed");
    struct command lock = {.action = SET, .type = F_WRLCK}, exclusive = {.action = FLOCK, .type = F_WRLCK};
    all_let_go(NULL);
    ask(&workers[0], lock);
    ask(&workers[0], exclusive);
    if (ask(&workers[1], lock).ends[OURS].error != EAGAIN) fail("another gets its lock");
    if (ask(&workers[1], exclusive).ends[OURS].error != EAGAIN) fail("another gets its flock");
    expect(kill(workers[0].pid, SIGKILL) == 0 && waitpid(workers[0].pid, NULL, 0) == workers[0].pid, "kill");
    if (ask(&workers[1], lock).ends[OURS].result) fail("its lock stays");
    if (ask(&workers[1], exclusive).ends[OURS].result) fail("its flock stays");
    close(workers[0].commands);
}

int locks_main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "exercise locks: expected OURS TMPFS SEED COUNT\n");
        return 2;
    }
    unsigned long seed = number_argument(argv[3], "SEED"), count = number_argument(argv[4], "COUNT");
    random_seed(seed, "locks");
    signal(SIGPIPE, SIG_IGN);
    for (int side = 0; side < SIDES; side++) {
        snprintf(path[side], sizeof path[side], "%s/locked-file", argv[1 + side]);
        int made = open(path[side], O_CREAT | O_EXCL | O_RDWR, 0600);
        expect(made >= 0 && close(made) == 0, "%s cannot be made", path[side]);
    }
    for (int i = 0; i < WORKERS; i++) begin(&workers[i]);
    while (operations() < count) step();
    if (!refused || !waited) fail("nobody was refused or nobody waited: this tries nothing");
    killed();
    for (int i = 1; i < WORKERS; i++) {
        close(workers[i].commands);
        expect(waitpid(workers[i].pid, NULL, 0) == workers[i].pid, "waitpid");
    }
    for (int side = 0; side < SIDES; side++) expect(unlink(path[side]) == 0, "unlink");
    printf("locks: %lu operations of seed %lu, %lu refused, %lu waited\n", count, seed, refused, waited);
    return 0;
}
