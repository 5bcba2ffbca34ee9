/*
 * result: what came of one run, and what was measured on the way.
 *
 * A plain struct without pointers, since the run may be a child process that writes it into memory shared with its
 * parent (suite.h).
 */
#ifndef KIT_RESULT_H
#define KIT_RESULT_H

#include "allocator.h"
#include "latency.h"
#include "picture.h"

enum kit_verdict { KIT_NOT_RUN, KIT_PASSED, KIT_FAILED, KIT_SKIPPED };

/* One look at the run, by the clock of its threads. */
struct kit_sample {
    double at;  /* seconds since the threads began */
    double cpu; /* seconds of all processors that the process has used by then */
    uint64_t ops;
    uint64_t live_bytes; /* as asked for */
    uint64_t resident_bytes;
    uint64_t held_bytes; /* of the OS by the allocator; 0 where it does not say */
};

enum { KIT_SAMPLES_MAX = 512, KIT_ARENAS_MAX = 256, KIT_REASON_BYTES = 512 };

struct kit_result {
    enum kit_verdict verdict;
    char reason[KIT_REASON_BYTES]; /* of a failure: what was violated; of a skip: why */
    uint64_t ops;
    double seconds, cpu_seconds;
    uint64_t checks;
    _Atomic uint64_t tolerated; /* violations that the configuration tolerates */
    _Atomic uint64_t ticks;     /* of the run's clock so far: a sign of life */
    uint64_t peak_resident_bytes;
    unsigned sample_count;
    struct kit_sample samples[KIT_SAMPLES_MAX];
    struct kit_latency latency[KIT_CALLS];
    unsigned contention_count;
    struct kit_contention contention[KIT_ARENAS_MAX];
    struct kit_picture picture; /* of the heap when the threads stopped, their blocks still live */
};

#endif
