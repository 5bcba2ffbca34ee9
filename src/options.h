/*
 * options: what a user may choose, from HEAPSTER_OPTIONS="name=value,name=value" and from the API.
 *
 * A bad name or value is reported once on standard error and ignored. The environment is not read in a process that
 * has more rights than its user.
 *
 * Fields that the API may change while threads run are atomics, read relaxed: a reader that sees the value before or
 * after the change does right by either. The others are written only before the second thread can exist.
 */
#ifndef HS_OPTIONS_H
#define HS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync.h"

#define HS_MMAP_THRESHOLD_DEFAULT ((size_t)256 * 1024)
/* Keeps every large mapping at least one granule long, which region.h (R4) relies on. */
#define HS_MMAP_THRESHOLD_LEAST ((size_t)64 * 1024)

enum { HS_ARENAS_MAX = 254, HS_ARENAS_PER_CPU = 4, HS_DECAY_MS_DEFAULT = 1000 };

struct hs_options {
    _Atomic uint8_t strategy; /* enum heapster_strategy */
    _Atomic size_t mmap_threshold;
    _Atomic unsigned arenas; /* 0: four for each processor */
    _Atomic uint64_t decay_ms;
    _Atomic bool fill;
    _Atomic bool abort_on_misuse;
    _Atomic bool stats_at_exit;
    _Atomic uint32_t check_every; /* walk the heap every so many slow paths; 0: never */
    _Atomic bool large_cache;     /* keep mappings that were freed, for a while (large.h) */
    _Atomic bool hugepages;       /* ask for huge pages where an arena is large enough to fill them (os.h) */
    _Atomic bool populate;        /* let the kernel fill fresh memory in batches (arena_grow.c) */
    _Atomic bool cache;           /* kept for the thread cache; the arenas alone serve every request so far */
};

extern struct hs_options hs_options;

/* Applies the text; reports what is wrong with it, once for each item. NULL means no options. */
void hs_options_parse(const char *text);

/* Values below HS_MMAP_THRESHOLD_LEAST count as that. */
void hs_options_set_mmap_threshold(size_t bytes);

/* Reads HEAPSTER_OPTIONS, once in a process; true if that was now. Does nothing while libc has no environment yet: the
 * first calls of a process may come from the dynamic linker. Called by one thread at a time. */
bool hs_options_read_environment(void);

#endif
