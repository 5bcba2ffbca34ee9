/*
 * run: one scenario with one strategy, from its first thread to its verdict.
 *
 *     main                                workers                               checker
 *     prepares the scenario; notes how
 *     many blocks are in use              wait                                  waits
 *     begin of the scenario; opens        work, each by its own generator       checks every so many operations
 *     watches: clock, progress, hangs     wait, their blocks still live         waits
 *     checks at rest; walk against
 *     the oracle's records; opens         free all they have, all at once       -
 *     end of the scenario; blocks in
 *     use as before; checks at rest       end                                   ends
 *     joins, checks at rest once more; nothing
 *     is kept by any thread
 *
 * Waiting threads do not allocate, and libc allocates for a thread when it begins and when it ends: that is why the
 * count of blocks is taken between the gates.
 *
 * Any violation ends the process with status 1 (violation.h), its reason in the result, so kit_run returns only from
 * a run that passed, or was skipped.
 */
#ifndef KIT_RUN_H
#define KIT_RUN_H

#include <pthread.h>
#include <semaphore.h>

#include "block.h"
#include "latency.h"
#include "result.h"
#include "rng.h"
#include "scenario.h"
#include "shadow.h"

enum { KIT_THREADS_MAX = 1024 };

/* What an allocator may do wrong without ending the run, so that what else it does wrong comes to light. */
enum kit_tolerance { KIT_TOLERATE_MISALIGNED = 1, KIT_TOLERATE_ERRNO = 2 };

struct kit_config {
    unsigned threads;
    double seconds; /* how long the threads work, unless ops is given */
    uint64_t ops;   /* of each thread; 0: by time */
    uint64_t seed;
    unsigned tolerated;        /* of enum kit_tolerance; counted only */
    unsigned hang_seconds;     /* without progress, and the run has failed */
    uint64_t check_every;      /* operations of a thread between two requests for a check */
    bool live_line;            /* standard output is a terminal */
    bool quiet;                /* no progress at all */
    int progress_file;         /* where it goes otherwise */
    const char *reproduce;     /* the command that runs this again */
    const char *strategy_name; /* for progress lines */
    const char *cache_name;    /* the same: "on", "off" or "-" */
    unsigned number, count;    /* of this run among all, from 1 on; the same */
};

struct kit_thread {
    struct kit_run *run;
    unsigned index; /* the checker's is the number of workers */
    pthread_t handle;
    struct kit_rng rng;
    struct kit_block **blocks; /* the records it owns at the moment */
    unsigned block_count;
    uint64_t next_id;
    size_t untouched_from; /* of blocks it allocates: what lies beyond is never touched; 0: nothing does */
    struct kit_latency latency[KIT_CALLS];
    _Atomic(const void *) identity; /* what the allocator calls this thread where it says who holds a lock */
    _Atomic uint64_t ops;
    _Atomic uint64_t doing; /* kit_deed_pack of the deed and its bytes */
    _Atomic int64_t live_bytes;
    _Atomic bool is_waiting; /* at a gate, or for work: not hanging */
    /* The watchdog's alone. */
    uint64_t seen_ops;
    double seen_at;
} __attribute__((aligned(128)));

/* Threads arrive and wait; main lets them on. */
struct kit_gate {
    sem_t arrived, open;
};

struct kit_run {
    const struct kit_config *config;
    const struct kit_scenario *scenario;
    const struct kit_allocator *allocator;
    struct kit_result *result;
    struct kit_shadow *shadow;
    struct kit_thread *threads; /* the workers, and the checker behind them */
    struct kit_block *blocks;   /* all records */
    size_t block_count;
    struct kit_block **owned; /* who owns which: a piece for each thread */
    _Atomic(struct kit_block *) *slots;
    unsigned slot_count;
    struct kit_gate start, worked, checked, drained;
    sem_t wake_checker;
    _Atomic bool check_due, sample_due; /* what it is to do */
    /* The sampler's. */
    double sampled_at, sample_seconds; /* the last one, and how far they are apart */
    _Atomic uint64_t seen_held_bytes, seen_live_bytes;
    _Atomic bool stop; /* workers: finish */
    _Atomic bool checker_stop;
    _Atomic uint64_t checks; /* done so far */
    void *home;
    void *local;                              /* the scenario's */
    bool is_under_load;                       /* the threads work: samples are taken */
    struct kit_contention *contention_before; /* KIT_ARENAS_MAX; how many: */
    unsigned contention_count;
    double began_at, cpu_began_at;
};

/* The run that is going on, for reports from signal handlers; and the calling thread's part in it, or NULL. */
extern struct kit_run *kit_current;
extern _Thread_local struct kit_thread *kit_self;

/* Fills the result as it goes on. Returns only if nothing was violated. */
void kit_run(const struct kit_config *config, const struct kit_scenario *scenario,
             const struct kit_allocator *allocator, struct kit_result *result);

/* For a scenario's loop: counts an operation; false when the thread is to finish. */
bool kit_step(struct kit_thread *thread);

/* Wakes the checker for what `due`, a field of the run, says. */
void kit_ask_checker(struct kit_run *run, _Atomic bool *due);

/* What the thread is about to do, for the watchdog and for reports. */
static inline void kit_doing(struct kit_thread *thread, enum kit_deed deed, uint64_t bytes)
{
    kit_put(thread->doing, kit_deed_pack(deed, 0, bytes));
}

/* Seconds of a clock that never goes back, and those that all processors have spent on this process. */
double kit_now(void);
double kit_cpu_now(void);

#endif
