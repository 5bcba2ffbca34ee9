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
    FAULT_OVERLAP,                  /* a block reaches into the next one */
    FAULT_TWICE,                    /* a live block is handed out again */
    FAULT_UNCOVERED,                /* the oracle's own record of a live block has a hole */
    FAULT_LOST_CONTENT,             /* a byte of a live block changes */
    FAULT_LOST_BEFORE_FREE,         /* the same of the block before the newest one, when that is born; */
    FAULT_LOST_BEFORE_REALLOC,      /* the next call with the block repairs it, so that only */
    FAULT_LOST_BEFORE_INSPECTION,   /* the check before that call can see it */
    FAULT_LOST_HEAD,                /* the same: the first byte, */
    FAULT_LOST_MIDDLE,              /* three quarters, */
    FAULT_LOST_TAIL,                /* the last byte */
    FAULT_LOST_BY_REFUSAL,          /* the same, by a realloc that returns NULL, until the next block is born */
    FAULT_MISALIGNED,               /* off by 8 */
    FAULT_LEAST_ALIGNMENT,          /* aligned as malloc's blocks are, whatever was asked for */
    FAULT_DIRTY_CALLOC,             /* what calloc returns was not zeroed */
    FAULT_DIRTY_CALLOC_TAIL,        /* the same of the last byte alone */
    FAULT_LOST_PREFIX,              /* realloc copies a byte too few */
    FAULT_SHORT,                    /* usable_size is less than was asked for */
    FAULT_CHANGING_SIZE,            /* usable_size says something else later */
    FAULT_ERRNO,                    /* success, and errno changed */
    FAULT_ERRNO_OF_REALLOC,         /* the same by realloc alone, */
    FAULT_ERRNO_OF_REALLOC_TO_ZERO, /* by realloc to 0, */
    FAULT_ERRNO_OF_FREE,            /* by free */
    FAULT_ERRNO_OF_REFUSAL,         /* NULL where that is allowed, and not ENOMEM */
    FAULT_ERRNO_OF_MEMALIGN,        /* posix_memalign sets it when it refuses */
    FAULT_REFUSAL,                  /* NULL */
    FAULT_ALLOWED_REFUSAL,          /* NULL where that is allowed: no fault */
    FAULT_MEMALIGN_STATUS,          /* posix_memalign returns what it must not */
    FAULT_MEMALIGN_STORE,           /* it fails, and stores a block all the same */
    FAULT_REALLOC_TO_ZERO,          /* realloc(p, 0) returns a block */
    FAULT_LEAK,                     /* a freed block stays in use */
    FAULT_FREE_COUNTED_TWICE,       /* fewer blocks are in use in the end than before */
    FAULT_FREE_SIZED,               /* free_sized does not free */
    FAULT_FREE_ALIGNED_SIZED,       /* nor does free_aligned_sized */
    FAULT_CHECK,                    /* the heap's own running check complains */
    FAULT_CHECK_UNDER_LOAD,         /* the same, but for the first one */
    FAULT_CHECK_AT_REST,            /* the same, at rest alone */
    FAULT_STATISTICS,               /* the statistics contradict themselves */
    FAULT_WALK,                     /* the walk misses a live block */
    FAULT_WALK_STATE,               /* it says that a live one is free */
    FAULT_WALK_SIZE,                /* it finds live ones smaller than they are */
    FAULT_WALK_TORN,                /* it finds a free one that reaches into a live one */
    FAULT_WALK_MISALIGNED,          /* it finds a misaligned one, far from all live ones */
    FAULT_ABORT,                    /* the allocator finds a misuse where there is none */
    FAULT_SEGV,                     /* it writes where it may not */
    FAULT_BUS,                      /* it gets the signal of a page that its file does not have */
    FAULT_HANG,                     /* a call does not return */
    FAULT_HANG_AT_REST,             /* the check at rest does not return */
    FAULTS
};

/* The allocator, made anew. One at a time. */
struct kit_allocator broken_allocator(enum fault fault);

/* A hash of all calls since then, in their order. */
uint64_t broken_call_hash(void);

#endif
