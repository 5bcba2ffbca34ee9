/*
 * broken: a small sound allocator, and the ways in which it can be told to fail; for proving that the oracle fires.
 *
 * Blocks come from one mapping, in chunks of powers of two, each with a header before its payload; one mutex guards it
 * all. Every fault strikes again and again from some call on, since the first strike may go unpunished (a byte that
 * was lost may be the right one by chance).
 */
#ifndef SELFTEST_BROKEN_H
#define SELFTEST_BROKEN_H

#include "allocator.h"

enum fault {
    FAULT_NONE,
    FAULT_OVERLAP,         /* a block reaches into the next one */
    FAULT_TWICE,           /* a live block is handed out again */
    FAULT_LOST_CONTENT,    /* a byte of a live block changes */
    FAULT_MISALIGNED,      /* off by 8 */
    FAULT_DIRTY_CALLOC,    /* what calloc returns was not zeroed */
    FAULT_LOST_PREFIX,     /* realloc copies a byte too few */
    FAULT_SHORT,           /* usable_size is less than was asked for */
    FAULT_CHANGING_SIZE,   /* usable_size says something else later */
    FAULT_ERRNO,           /* success, and errno changed */
    FAULT_REFUSAL,         /* NULL */
    FAULT_MEMALIGN_STATUS, /* posix_memalign returns what it must not */
    FAULT_REALLOC_TO_ZERO, /* realloc(p, 0) returns a block */
    FAULT_LEAK,            /* a freed block stays in use */
    FAULT_CHECK,           /* the heap's own running check complains */
    FAULT_CHECK_AT_REST,   /* the same, at rest alone */
    FAULT_STATISTICS,      /* the statistics contradict themselves */
    FAULT_WALK,            /* the walk misses a live block */
    FAULT_ABORT,           /* the allocator finds a misuse where there is none */
    FAULT_HANG,            /* a call does not return */
    FAULT_HANG_AT_REST,    /* the check at rest does not return */
    FAULTS
};

/* By the names of the tests; FAULTS where there is none. */
enum fault fault_named(const char *name);

/* The allocator, made anew. One at a time. */
struct kit_allocator broken_allocator(enum fault fault);

/* A hash of all calls since then, in their order. */
uint64_t broken_call_hash(void);

#endif
