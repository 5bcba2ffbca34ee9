/*
 * batches: many blocks of 16 to 512 bytes, then all of them are freed: in the order of allocation, in the opposite one,
 * or in any. Sizes and order are drawn before the clock starts.
 */
#include "workload.h"

enum { LEAST = 16, MOST = 512 };

struct batch {
    size_t blocks;
    void **live;
    uint32_t *sizes, *order;
};

enum order { FIRST_IN_FIRST_OUT, LAST_IN_FIRST_OUT, AT_RANDOM };

static size_t bytes_for(size_t blocks)
{
    return sizeof(struct batch) + blocks * (sizeof(void *) + 2 * sizeof(uint32_t));
}

static struct batch *make_batch(struct bench_worker *worker, size_t blocks)
{
    struct batch *batch = bench_state_map(worker, bytes_for(blocks));

    batch->blocks = blocks;
    batch->live = (void **)(batch + 1);
    batch->sizes = (uint32_t *)(batch->live + blocks);
    batch->order = batch->sizes + blocks;
    return batch;
}

static void draw_batch(struct bench_worker *worker, struct batch *batch, enum order order)
{
    for (size_t i = 0; i < batch->blocks; i++) {
        size_t place = order == LAST_IN_FIRST_OUT ? batch->blocks - 1 - i : i;

        batch->sizes[i] = (uint32_t)kit_rng_between(&worker->rng, LEAST, MOST);
        batch->order[i] = (uint32_t)place;
        if (order == AT_RANDOM) { /* Fisher and Yates, from within */
            size_t other = kit_rng_below(&worker->rng, i + 1);

            batch->order[i] = batch->order[other];
            batch->order[other] = (uint32_t)i;
        }
    }
}

static size_t batch_blocks(const struct bench_worker *worker)
{
    enum { SMALL = 1000 };
    size_t blocks = worker->run->workload->parameter;

    return blocks <= SMALL ? blocks : bench_share(worker, blocks);
}

static void prepare_fifo(struct bench_worker *worker)
{
    draw_batch(worker, make_batch(worker, batch_blocks(worker)), FIRST_IN_FIRST_OUT);
}

static void prepare_lifo(struct bench_worker *worker)
{
    draw_batch(worker, make_batch(worker, batch_blocks(worker)), LAST_IN_FIRST_OUT);
}

static void prepare_random(struct bench_worker *worker)
{
    draw_batch(worker, make_batch(worker, batch_blocks(worker)), AT_RANDOM);
}

static void work(struct bench_worker *worker)
{
    const struct batch *batch = worker->state;
    int64_t bytes = 0;

    for (size_t i = 0; i < batch->blocks; i++)
        bytes += batch->sizes[i];
    while (worker->operations < worker->quota) {
        for (size_t i = 0; i < batch->blocks; i++)
            batch->live[i] = bench_malloc(worker, batch->sizes[i]);
        bench_count(worker, bytes);
        bench_settle(worker);
        for (size_t i = 0; i < batch->blocks; i++)
            bench_free(worker, batch->live[batch->order[i]]);
        bench_count(worker, -bytes);
        bench_settle(worker);
        worker->operations += batch->blocks;
    }
}

const struct bench_workload BENCH_EXPORT(batch_fifo) = {
    .name = "batch_fifo",
    .description = "1,000 blocks of 16 to 512 bytes, freed in the order of allocation; an operation is a block",
    .operations = 24000000,
    .threads = {1, 2, 8, 64},
    .parameter = 1000,
    .prepare = prepare_fifo,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(batch_lifo) = {
    .name = "batch_lifo",
    .description = "the same, freed in the opposite order",
    .operations = 24000000,
    .threads = {1, 2, 8, 64},
    .parameter = 1000,
    .prepare = prepare_lifo,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(batch_random) = {
    .name = "batch_random",
    .description = "the same, freed in random order",
    .operations = 24000000,
    .threads = {1, 2, 8, 64},
    .parameter = 1000,
    .prepare = prepare_random,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(batch_fifo_100k) = {
    .name = "batch_fifo_100k",
    .description = "100,000 blocks of 16 to 512 bytes, freed in the order of allocation",
    .operations = 4000000,
    .threads = {1, 2, 8, 64},
    .parameter = 100000,
    .prepare = prepare_fifo,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(batch_lifo_100k) = {
    .name = "batch_lifo_100k",
    .description = "the same, freed in the opposite order",
    .operations = 4000000,
    .threads = {1, 2, 8, 64},
    .parameter = 100000,
    .prepare = prepare_lifo,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(batch_random_100k) = {
    .name = "batch_random_100k",
    .description = "the same, freed in random order",
    .operations = 3000000,
    .threads = {1, 2, 8, 64},
    .parameter = 100000,
    .prepare = prepare_random,
    .work = work,
};
