/*
 * search: which of the possible executions comes next.
 *
 * An execution asks wherever it could go on in more than one way. All ways that differ from the first, "stay on the
 * current thread, read the newest store, let the call succeed", are numbered from 1 on; a whole execution is named by
 * the answers that are not 0, and where they stand (token.h).
 *
 *   - dfs: all of them, depth first, with no preemption, then with up to one, and so on up to a bound, so that a
 *     failure is found with as few as it needs. The last answer that can grow does, what follows it is 0 again. An
 *     execution that comes to where another one has been, by a signature of all that happened up to the order of
 *     independent operations, with no more preemptions left and no fewer threads asleep (engine.h), ends there.
 *
 *   - pct: threads have random priorities, which change at depth - 1 random points. A bug that takes `depth` ordered
 *     operations is hit with a probability of at least 1 / (threads * points ^ (depth - 1)) in each run.
 *
 *   - random: every answer by chance.
 *
 *   - bytes: a string of bytes, read from its end on, has a byte for each answer that is not 0: its low 6 bits say how
 *     many questions come before it that are answered by 0, its high 2 bits which of the others it is. Where the string
 *     has ended, all that follow are 0: a short one makes few preemptions.
 *
 *   - replay: given answers; 0 where none is given or it is out of range.
 */
#ifndef EXPLORE_SEARCH_H
#define EXPLORE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum choice_kind {
    CHOICE_THREAD, /* who goes on before an operation */
    CHOICE_WAIT,   /* who goes on where the current thread cannot */
    CHOICE_STORE,  /* which store a load sees; whether one waits (total store order) */
    CHOICE_FAULT,  /* whether a call of the operating system fails */
    CHOICE_FORK,   /* parent or child */
    CHOICE_DRAIN   /* which of the stores that wait reach memory */
};

enum strategy { STRATEGY_DFS, STRATEGY_PCT, STRATEGY_RANDOM, STRATEGY_BYTES, STRATEGY_REPLAY };

struct bounds {
    unsigned preemptions; /* that an execution may have */
    unsigned stale_loads; /* loads that do not see the newest store, or stores that wait while none did */
    unsigned faults;      /* calls of the operating system that fail */
};

/* Where a question stands: in a thread's own count of operations, so that it stays where it is when another thread's
 * part changes. The answer is a thread's number and 1 where it is about who goes on. */
struct answer {
    uint8_t thread;
    uint8_t kind;
    uint16_t answer;
    uint32_t step;
};

enum { ANSWERS_MOST = 4096 };

struct answers {
    unsigned count;
    struct answer list[ANSWERS_MOST];
};

void search_begin_dfs(const struct bounds *bounds);
void search_begin_pct(uint64_t seed, unsigned depth, const struct bounds *bounds);
void search_begin_random(uint64_t seed, const struct bounds *bounds);
void search_begin_bytes(const uint8_t *bytes, size_t count, const struct bounds *bounds);
void search_begin_replay(const struct answers *answers);

/* For the tests: whether a depth-first search leaves out what it has seen (it does). */
void search_reduce(bool reduces);

/* Before each execution. False where there is none left. */
bool search_next(void);

/* The search from the start, with what it knows of bounds and seeds: points have come to light that it lacked. */
void search_restart(void);

/* From 0 to count - 1. */
unsigned search_choose(enum choice_kind kind, unsigned count);

/* An index into `candidates`; the first of them is the default. Of kind CHOICE_THREAD that is the current thread. */
unsigned search_choose_thread(enum choice_kind kind, const uint8_t *candidates, unsigned count);

/* Whether a thread that makes way sleeps (engine.h). */
bool search_puts_to_sleep(void);

/* False where only points that are needed (contention.h) are asked about: a replay does not know yet which those are.
 */
bool search_asks_everywhere(void);

/* The answers of this execution that are not 0. */
void search_answers(struct answers *answers);

/* The lower bound of a hit that the last PCT runs had, for depth as it was set; 0 before the first run. */
double search_pct_bound(unsigned threads);

/* Of the depth-first search: how many executions it ended because their rest was known. */
uint64_t search_pruned(void);

#endif
