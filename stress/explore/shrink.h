/*
 * shrink: from a failing execution to a smaller one that fails in the same way.
 *
 * Threads and operations are left out of the program, all, in halves, quarters and one by one, and answers, as long as
 * the rest still fails: first with the answers moved to where they belong without them; then, as what is left out
 * changes what the others do, with those that a short depth-first search finds. It is given no more preemptions, old
 * loads and faults than the failure had, and the fewest first.
 *
 * Two failures are of the same kind where they say the same but for their numbers; all deadlocks are of one kind.
 */
#ifndef EXPLORE_SHRINK_H
#define EXPLORE_SHRINK_H

#include "memory.h"
#include "program.h"
#include "search.h"

struct shrink_limits {
    uint64_t executions;
    uint64_t search_executions; /* of one search, which is finished though time is up */
    double seconds;             /* of the processor */
};

#define SHRINK_LIMITS                                                                                                  \
    (struct shrink_limits)                                                                                             \
    {                                                                                                                  \
        .executions = 100000, .search_executions = 5000, .seconds = 5                                                  \
    }

struct failing {
    struct program program;
    struct answers answers;
    char failure[1024];
};

struct shrinking {
    uint64_t executions;
    double seconds;
    unsigned threads, operations, answers; /* that were left out */
    bool is_complete;                      /* nothing more can be left out, as far as the searches have seen */
};

/* Makes `failing` smaller. Afterwards it was replayed SHRINK_REPLAYS times, and failed each time in the same words;
 * false, with `failing` as it was, where that is not so. */
enum { SHRINK_REPLAYS = 100 };
bool shrink(struct failing *failing, enum memory_model model, const struct shrink_limits *limits,
            struct shrinking *shrinking);

/* What is left of a failure's text without its numbers. */
void shrink_kind(const char *failure, char *kind, size_t bytes);

#endif
