/*
 * channel: how blocks get from the thread that allocates them to the one that frees them: in batches, in order, and no
 * more than there is room for. Whoever has nothing to do sleeps; but first, where every thread has a processor, looks
 * again for a moment, so that it is not the kernel's waking up that is measured.
 */
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include <semaphore.h>

#include "workload.h"

enum { BENCH_BATCH = 256, BENCH_LOOKS = 2000 };

struct bench_batch {
    struct bench_slot slots[BENCH_BATCH];
};

struct bench_channel {
    sem_t filled, empty; /* batches */
    unsigned room;       /* batches */
    unsigned looks;
    uint64_t total; /* batches that go through it */
    _Alignas(BENCH_LINE) uint64_t sent;
    _Alignas(BENCH_LINE) uint64_t taken;
    struct bench_batch *batches;
};

static inline void bench_channel_make(struct bench_channel *channel, const struct bench_run *run,
                                      struct bench_batch *batches, unsigned room, uint64_t total)
{
    (void)sem_init(&channel->filled, 0, 0);
    (void)sem_init(&channel->empty, 0, room);
    channel->room = room;
    channel->total = total;
    channel->looks = run->threads <= run->processors ? BENCH_LOOKS : 1;
    channel->batches = batches;
}

static inline void bench_channel_wait(const struct bench_channel *channel, sem_t *semaphore)
{
    for (unsigned i = 0; i < channel->looks; i++)
        if (sem_trywait(semaphore) == 0)
            return;
    while (sem_wait(semaphore) != 0)
        continue;
}

/* A batch to fill, by the one giver; [CHANNEL] the semaphores make what is in it visible to the other side. */
static inline struct bench_batch *bench_channel_give(struct bench_channel *channel)
{
    bench_channel_wait(channel, &channel->empty);
    return &channel->batches[channel->sent++ % channel->room];
}

static inline void bench_channel_given(struct bench_channel *channel)
{
    (void)sem_post(&channel->filled);
}

/* A full one, by the one taker. */
static inline struct bench_batch *bench_channel_take(struct bench_channel *channel)
{
    bench_channel_wait(channel, &channel->filled);
    return &channel->batches[channel->taken++ % channel->room];
}

static inline void bench_channel_taken(struct bench_channel *channel)
{
    (void)sem_post(&channel->empty);
}

#endif
