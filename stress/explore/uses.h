/*
 * uses: which threads do what at which addresses of the seam, in a recorded execution; and which of its events are
 * dull.
 *
 * Dull is what no other thread could notice, since none uses the address or nobody writes there; and a load of what its
 * thread has read or written before, with nothing written there in between.
 */
#ifndef EXPLORE_USES_H
#define EXPLORE_USES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

struct use {
    uint64_t name;   /* of the address */
    uint8_t threads; /* a bit each */
    bool is_written;
    int holder;                   /* of a mutex: for whoever goes through the events; -1: nobody */
    size_t written;               /* the number of the last write there so far; 0: none */
    size_t touched[THREADS_MOST]; /* of the last access by each thread */
};

struct uses {
    struct use *list; /* by name */
    size_t count;
    bool *is_dull; /* of each event */
};

void uses_collect(struct uses *uses, const struct event *events, size_t count);
void uses_forget(struct uses *uses);

/* Of an event of an atomic or a mutex. */
struct use *uses_find(const struct uses *uses, const struct event *event);

bool event_is_of_lock(const struct event *event);
bool event_is_of_atomic(const struct event *event);
bool event_writes(const struct event *event);

#endif
