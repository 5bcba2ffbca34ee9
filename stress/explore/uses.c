#include "uses.h"

#include <stdio.h>
#include <stdlib.h>

bool event_is_of_lock(const struct event *event)
{
    return event->kind == EVENT_LOCK || event->kind == EVENT_UNLOCK || event->kind == EVENT_TRY_FAILED ||
           event->kind == EVENT_WAIT;
}

bool event_is_of_atomic(const struct event *event)
{
    return event->kind == EVENT_LOAD || event->kind == EVENT_STORE || event->kind == EVENT_UPDATE ||
           event->kind == EVENT_EXCHANGE_FAILED;
}

bool event_writes(const struct event *event)
{
    return event->kind == EVENT_STORE || event->kind == EVENT_UPDATE;
}

static int compare_uses(const void *one, const void *other)
{
    uint64_t a = ((const struct use *)one)->name, b = ((const struct use *)other)->name;

    return (a > b) - (a < b);
}

struct use *uses_find(const struct uses *uses, const struct event *event)
{
    const struct use wanted = {.name = event->name};

    return bsearch(&wanted, uses->list, uses->count, sizeof wanted, compare_uses);
}

static void *allocate(size_t bytes)
{
    void *base = calloc(1, bytes);

    if (base == NULL) {
        (void)fputs("heapster-explore: no memory for the story\n", stderr);
        exit(2);
    }
    return base;
}

/* One for each event, ordered; then those of one address are made one. */
static void collect(struct uses *uses, const struct event *events, size_t event_count)
{
    struct use *list = uses->list;
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < event_count; i++) {
        const struct event *event = &events[i];

        if (event_is_of_atomic(event) || event_is_of_lock(event))
            list[count++] = (struct use){.name = event->name,
                                         .threads = (uint8_t)(1U << event->thread),
                                         .is_written = event_writes(event) || event_is_of_lock(event),
                                         .holder = -1};
    }
    qsort(list, count, sizeof *list, compare_uses);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && list[kept - 1].name == list[i].name) {
            list[kept - 1].threads |= list[i].threads;
            list[kept - 1].is_written |= list[i].is_written;
        } else {
            list[kept++] = list[i];
        }
    }
    uses->count = kept;
}

static bool is_unnoticed(const struct use *use)
{
    return (use->threads & (use->threads - 1)) == 0 || !use->is_written;
}

/* A load of the newest store, after an access by the same thread since that store. */
static bool is_known(const struct use *use, const struct event *event)
{
    return event->kind == EVENT_LOAD && event->stale == 0 && use->touched[event->thread] != 0 &&
           use->written <= use->touched[event->thread];
}

void uses_collect(struct uses *uses, const struct event *events, size_t count)
{
    uses->list = allocate((count + 1) * sizeof *uses->list);
    uses->is_dull = allocate((count + 1) * sizeof *uses->is_dull);
    collect(uses, events, count);
    for (size_t i = 0; i < count; i++) {
        const struct event *event = &events[i];
        struct use *use;

        if (!event_is_of_atomic(event) && !event_is_of_lock(event))
            continue;
        use = uses_find(uses, event);
        uses->is_dull[i] = is_unnoticed(use) || is_known(use, event);
        use->touched[event->thread] = i + 1;
        if (event_writes(event))
            use->written = i + 1;
    }
}

void uses_forget(struct uses *uses)
{
    free(uses->list);
    free(uses->is_dull);
    uses->list = NULL;
    uses->is_dull = NULL;
}
