/*
 * explore: a search over the executions of one program, up to a failure, the end, or a limit.
 */
#ifndef EXPLORE_EXPLORE_H
#define EXPLORE_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>

#include "program.h"
#include "search.h"
#include "token.h"

struct plan {
    enum strategy strategy; /* dfs, pct, random or bytes */
    enum memory_model model;
    struct bounds bounds;
    uint64_t seed;
    unsigned depth;       /* pct */
    const uint8_t *bytes; /* bytes: one execution */
    size_t byte_count;
    uint64_t executions; /* 0: no limit */
    double seconds;      /* of the processor; 0: no limit */
};

struct finding {
    uint64_t executions; /* made, with those that were pruned */
    uint64_t pruned;
    uint64_t restarts; /* because more operations turned out to need points */
    uint64_t steps;    /* operations in all executions */
    unsigned longest;  /* execution, in operations */
    unsigned points;   /* the most in one execution */
    double seconds;
    double pct_bound; /* pct: the probability that one run hits a bug of that depth, at least */
    bool is_complete; /* nothing is left within the bounds */
    bool failed;
    char failure[1024];
    struct answers answers; /* of the execution that failed */
};

void explore(const struct program *program, const struct plan *plan, struct finding *finding);

/* One execution whose answers are those of a string of bytes (search.h), after a rehearsal without a preemption
 * (engine.h), from which is known where points are needed. True where either failed. */
bool explore_bytes(const struct program *program, const struct plan *plan, const uint8_t *bytes, size_t count);

/* One execution with given answers. True where it failed; execution.failure says how. */
bool explore_replay(const struct program *program, enum memory_model model, const struct answers *answers,
                    bool recording);

#endif
