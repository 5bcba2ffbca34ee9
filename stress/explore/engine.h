/*
 * engine: one execution: threads as fibers, the mutexes between them, and the points where another one may go on.
 *
 * The allocator's operations arrive here (backend.c, os_explored.c). Before each that another thread could notice
 * (contention.h), the search (search.h) decides who goes on.
 *
 * Who stands before a lock that is held cannot go on: a switch to there would be one for nothing. Who is about to take
 * one that is held waits at once, and that is no preemption.
 *
 * In a depth-first search threads sleep. At a point, staying is searched first, and then that another thread goes on;
 * from there on the one who made way sleeps until an operation that depends on its own has been done. For up to there,
 * the two could as well change places: its operation, then all that the others did, then what follows, with no more
 * preemptions than before. That begins with staying, and was searched. It is no different for who waits, since waiting
 * for a mutex counts as an operation on it. (Of the others who could have gone on none sleeps: to put its operation
 * first would take one more preemption.)
 *
 * In quiet mode, before the threads start, after they have ended, and where the checker looks, nothing is scheduled and
 * nothing checked: operations do what they do natively.
 *
 * A rehearsal is an execution that nobody watches, so that it takes little time: what is scheduled is, and which
 * operations need points is learned, but loads see the newest store, and no access is checked. (A sanitizer's run-time
 * cannot look away: there it is an execution like others.)
 *
 * A failure ends the execution at once: the fiber is left where it stands, and the world is rewound.
 */
#ifndef EXPLORE_ENGINE_H
#define EXPLORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "contention.h"
#include "sync.h"

/* What an operation is, for the timeline and for the events' hashes. */
enum event_kind {
    EVENT_LOAD,
    EVENT_STORE,
    EVENT_UPDATE,
    EVENT_EXCHANGE_FAILED,
    EVENT_FENCE,
    EVENT_LOCK,
    EVENT_TRY_FAILED,
    EVENT_UNLOCK,
    EVENT_OS,
    EVENT_YIELD,
    EVENT_CALL,
    EVENT_RETURN,
    EVENT_END,
    EVENT_WAIT,   /* for a mutex that is held */
    EVENT_FAILED, /* the last one */
    EVENT_KINDS
};

struct event {
    enum event_kind kind;
    unsigned thread;
    uint64_t name; /* of the address (world.h); of a call about a block: of its payload, where it has one */
    uint64_t value;
    uint64_t found;       /* by a store or an exchange: what was there before */
    unsigned stale;       /* of a load: by how many stores it lags behind */
    unsigned preemptions; /* before it, in all */
    unsigned step;        /* the thread's own count of operations */
    const void *place;
    char text[48]; /* of a call */
};

enum thread_state { THREAD_ABSENT, THREAD_RUNNABLE, THREAD_WAITING, THREAD_ENDED, THREAD_VANISHED };

enum { LOCKS_HELD_MOST = 16, THREAD_KEYS = 2 };

struct thread {
    enum thread_state state;
    const struct hs_mutex *waits_for;
    struct hs_thread self; /* what the allocator knows of it */
    const void *key_value[THREAD_KEYS];
    struct knowledge knows;
    unsigned steps;   /* its operations so far */
    uint64_t history; /* hash of all it did, and of what that depended on */
    const struct hs_mutex *held[LOCKS_HELD_MOST];
    unsigned held_count;
    struct lock_set locks;
    struct operation next; /* before which it stands, or the last one */
};

enum outcome { OUTCOME_FINE, OUTCOME_FAILED, OUTCOME_PRUNED };

struct execution {
    struct thread threads[THREADS_MOST];
    unsigned thread_count;
    unsigned current;
    bool is_quiet;
    bool is_recording;
    bool is_rehearsal;
    unsigned steps;       /* operations so far */
    unsigned points;      /* of them, those where somebody else could have gone on */
    unsigned preemptions; /* how often somebody did who did not have to */
    unsigned faults;      /* calls of the operating system that failed */
    unsigned locks_held;  /* by all */
    uint8_t asleep;       /* threads, a bit each */
    uint8_t yielded;      /* those that have, since anybody else did an operation */
    bool is_alone;        /* the others have vanished, in a fork */
    bool is_being_born;   /* a child, up to the end of fork's handler in it: nobody else can look */
    struct lock_set locks_at_fork;
    struct clock fences_seen; /* what fences so far have made visible to the next one */
    uint64_t last_call;       /* hash of the last call of the operating system */
    uint64_t last_fence;      /* hash of the last fence's event */
    enum outcome outcome;
    char failure[1024];
};

extern struct execution execution;

/* The longest execution there is in steps; what goes on longer makes no progress. */
enum { STEPS_MOST = 60000 };
_Static_assert(STEPS_MOST < UINT16_MAX, "an epoch for each step (clock.h)");

void engine_init(void);

/* What the threads do, each in its own fiber. */
typedef void thread_body(unsigned thread);

/* Before the first execution of a program: threads exist, with nothing done, in a world that is new. */
void engine_begin(unsigned thread_count);

/* Runs `body` quietly, as the first thread that there still is: set-up, and the checks at the end. */
void engine_run_quietly(thread_body *body);

/* Within it: from here on the caller is that thread. */
void engine_impersonate(unsigned thread);

/* Where executions begin: the threads and the world as they are now. */
void engine_checkpoint(void);

/* One execution from the checkpoint: all threads up to their ends. */
void engine_run(thread_body *body);
void engine_rehearse(thread_body *body);

/* The calling thread's destructors, as at its end. */
void engine_run_destructors(void);

/* Ends the execution. The text is what failed. */
void engine_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Ends it without a failure: the search knows the rest. */
void engine_prune(void) __attribute__((noreturn));

/* Before an operation by the current thread: somebody else may go on first. */
void engine_point(enum touch touch, const volatile void *address, size_t bytes);

/* All who sleep have to be asked again. */
void engine_wake_all(void);

/* What is called, quietly, before each operation where nobody holds a lock: what a thread would see that took all of
 * them. NULL: nothing. */
void engine_check_at_points(void (*check)(void));

/* The current thread cannot go on before its state changes: somebody else does. */
void engine_wait(void);

/* The other threads are gone: the caller is the child of a fork. */
void engine_vanish_others(void);

/* An event of the current thread that depends on `cause`; returns its hash. */
uint64_t engine_event(enum event_kind kind, const volatile void *address, uint64_t value, unsigned stale,
                      uint64_t cause, const void *place);

/* A line of the timeline that is no operation of the seam. */
void engine_note(enum event_kind kind, const char *text);

/* The same of a call about a block of the program, or of a mutex: its name is that of the address. */
void engine_note_block(enum event_kind kind, const char *text, const void *address, const void *place);

/* Of the event before: what its store or exchange found. */
void engine_note_found(uint64_t value);

/* Recorded events of the last execution that was recorded. */
const struct event *engine_events(size_t *count);

/* A number that stands for all that happened so far, but for the order of what does not depend on each other. */
uint64_t engine_signature(void);

/* Memory is what it is, and nobody is told of accesses. */
static inline bool engine_is_unwatched(void)
{
    return execution.is_quiet || execution.is_rehearsal;
}

static inline struct thread *engine_self(void)
{
    return &execution.threads[execution.current];
}

/* Mixes a number into a hash. */
static inline uint64_t engine_mix(uint64_t hash, uint64_t number)
{
    hash = hs_wrap_multiply(hash ^ number, UINT64_C(0x9E3779B97F4A7C15));
    return hash ^ hash >> 29;
}

#endif
