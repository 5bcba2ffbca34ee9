/*
 * channels: threads that only allocate, and threads that only free what those allocated. A channel leads from one
 * thread to one other; how many there are between which threads is what the workloads differ in.
 *
 *     one_to_one     0 -> 1, 2 -> 3, ...
 *     one_to_many    0 -> 1, 0 -> 2, ...
 *     many_to_one    1 -> 0, 2 -> 0, ...
 */
#include "channel.h"

enum { LEAST = 16, MOST = 512, MOST_DOUBLINGS = 8, ROOM = 8, DEEP_ROOM = 64 };

struct channels {
    unsigned count;
    struct bench_channel each[BENCH_THREADS_MAX];
    struct bench_batch batches[];
};

/* `operations` of the whole run over `count` channels. */
static void make_channels(struct bench_run *run, unsigned count, unsigned room)
{
    uint64_t operations = (uint64_t)((double)run->workload->operations * run->scale);
    struct channels *channels =
        bench_shared_map(run, sizeof *channels + (size_t)count * room * sizeof(struct bench_batch));

    channels->count = count;
    for (unsigned i = 0; i < count; i++) {
        bench_channel_make(&channels->each[i], run, &channels->batches[(size_t)i * room], room,
                           operations / count / BENCH_BATCH + 1);
    }
}

static void make_pairs(struct bench_run *run)
{
    make_channels(run, run->threads / 2, ROOM);
}

static void make_deep_pairs(struct bench_run *run)
{
    make_channels(run, run->threads / 2, DEEP_ROOM);
}

static void make_star(struct bench_run *run)
{
    make_channels(run, run->threads - 1, ROOM);
}

static size_t draw_small(struct kit_rng *rng)
{
    return kit_rng_between(rng, LEAST, MOST);
}

/* 16 bytes to 8 KiB, each doubling as likely as the next one. */
static size_t draw_many_sizes(struct kit_rng *rng)
{
    size_t least = (size_t)LEAST << kit_rng_below(rng, MOST_DOUBLINGS + 1);

    return kit_rng_between(rng, least, 2 * least - 1);
}

typedef size_t draw(struct kit_rng *rng);

static void give_batch(struct bench_worker *worker, struct bench_channel *channel, draw *bytes)
{
    struct bench_batch *batch = bench_channel_give(channel);

    for (unsigned i = 0; i < BENCH_BATCH; i++)
        bench_slot_fill(worker, &batch->slots[i], bytes(&worker->rng));
    bench_channel_given(channel);
    worker->operations += BENCH_BATCH;
}

static void take_batch(struct bench_worker *worker, struct bench_channel *channel)
{
    bench_slots_empty(worker, bench_channel_take(channel)->slots, BENCH_BATCH);
    bench_channel_taken(channel);
}

/* Every channel carries as many as the others. */
static void give_all(struct bench_worker *worker, struct bench_channel *channels, unsigned count, draw *bytes)
{
    for (uint64_t round = 0; round < channels->total; round++)
        for (unsigned i = 0; i < count; i++)
            give_batch(worker, &channels[i], bytes);
}

static void take_all(struct bench_worker *worker, struct bench_channel *channels, unsigned count)
{
    for (uint64_t round = 0; round < channels->total; round++)
        for (unsigned i = 0; i < count; i++)
            take_batch(worker, &channels[i]);
}

static void work_in_pairs(struct bench_worker *worker, draw *bytes)
{
    struct channels *channels = worker->run->shared;
    struct bench_channel *own = &channels->each[worker->number / 2];

    if (worker->number % 2 == 0)
        give_all(worker, own, 1, bytes);
    else
        take_all(worker, own, 1);
}

static void work_one_to_one(struct bench_worker *worker)
{
    work_in_pairs(worker, draw_small);
}

static void work_apart(struct bench_worker *worker)
{
    work_in_pairs(worker, draw_many_sizes);
}

static void work_one_to_many(struct bench_worker *worker)
{
    struct channels *channels = worker->run->shared;

    if (worker->number == 0)
        give_all(worker, channels->each, channels->count, draw_small);
    else
        take_all(worker, &channels->each[worker->number - 1], 1);
}

static void work_many_to_one(struct bench_worker *worker)
{
    struct channels *channels = worker->run->shared;

    if (worker->number == 0)
        take_all(worker, channels->each, channels->count);
    else
        give_all(worker, &channels->each[worker->number - 1], 1, draw_small);
}

const struct bench_workload BENCH_EXPORT(one_to_one) = {
    .name = "one_to_one",
    .description = "pairs of threads: one allocates 16 to 512 bytes, the other one frees them; an operation is a block",
    .operations = 6000000,
    .threads = {2, 8, 64},
    .least_threads = 2,
    .threads_are_paired = true,
    .prepare_run = make_pairs,
    .work = work_one_to_one,
};

const struct bench_workload BENCH_EXPORT(one_to_many) = {
    .name = "one_to_many",
    .description = "one thread allocates, all others free",
    .operations = 6000000,
    .threads = {2, 8, 64},
    .least_threads = 2,
    .prepare_run = make_star,
    .work = work_one_to_many,
};

const struct bench_workload BENCH_EXPORT(many_to_one) = {
    .name = "many_to_one",
    .description = "one thread frees what all others allocate",
    .operations = 6000000,
    .threads = {2, 8, 64},
    .least_threads = 2,
    .prepare_run = make_star,
    .work = work_many_to_one,
};

const struct bench_workload BENCH_EXPORT(apart) = {
    .name = "apart",
    .description =
        "pairs of threads: one allocates 16 bytes to 8 KiB, the other one frees; up to 16,384 blocks between them",
    .operations = 2000000,
    .threads = {2, 8, 64},
    .least_threads = 2,
    .threads_are_paired = true,
    .prepare_run = make_deep_pairs,
    .work = work_apart,
};
