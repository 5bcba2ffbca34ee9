/*
 * vectors: arrays that grow by half of their size, by realloc: one after the other up to 64 MiB, or very many small
 * ones side by side. The last byte is written after each step.
 */
#include "workload.h"

#include <string.h>

enum { LEAST = 16, VECTORS = 2000, SMALL_MOST = 4096 };

static const size_t large_most = (size_t)64 << 20;

static void grow(struct bench_worker *worker, struct bench_slot *vector)
{
    size_t bytes = vector->bytes == 0 ? LEAST : vector->bytes + vector->bytes / 2;

    vector->block = bench_realloc(worker, vector->block, bytes);
    ((volatile char *)vector->block)[bytes - 1] = 1;
    bench_count(worker, (int64_t)(bytes - vector->bytes));
    vector->bytes = bytes;
    worker->operations++;
}

static void work_on_large_ones(struct bench_worker *worker)
{
    struct bench_slot vector = {NULL, 0};

    while (worker->operations < worker->quota) {
        while (vector.bytes < large_most)
            grow(worker, &vector);
        bench_settle(worker);
        bench_slot_empty(worker, &vector);
    }
}

static void prepare(struct bench_worker *worker)
{
    (void)bench_state_map(worker, VECTORS * sizeof(struct bench_slot));
}

/* What a vector has grown to, it has also filled: growing costs what a program would have to copy. */
static void fill_new_part(struct bench_slot *vector, size_t old_bytes)
{
    (void)memset((char *)vector->block + old_bytes, 1, vector->bytes - old_bytes);
}

static void work_on_small_ones(struct bench_worker *worker)
{
    struct bench_slot *vectors = worker->state;

    while (worker->operations < worker->quota) {
        struct bench_slot *vector = &vectors[kit_rng_below(&worker->rng, VECTORS)];
        size_t old_bytes = vector->bytes;

        if (old_bytes >= SMALL_MOST) {
            bench_slot_empty(worker, vector);
            old_bytes = 0;
        }
        grow(worker, vector);
        fill_new_part(vector, old_bytes);
    }
}

static void finish(struct bench_worker *worker)
{
    bench_slots_empty(worker, worker->state, VECTORS);
}

const struct bench_workload BENCH_EXPORT(vector_large) = {
    .name = "vector_large",
    .description = "an array grows by halves from 16 bytes to 64 MiB, again and again; an operation is a realloc",
    .operations = 60000,
    .threads = {1, 2, 8},
    .work = work_on_large_ones,
};

const struct bench_workload BENCH_EXPORT(vectors_small) = {
    .name = "vectors_small",
    .description = "of 2,000 arrays for each thread, one grows by half: 16 bytes to 4 KiB, then anew",
    .operations = 5000000,
    .threads = {1, 2, 8, 64},
    .prepare = prepare,
    .work = work_on_small_ones,
    .finish = finish,
};
