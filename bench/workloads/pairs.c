/*
 * pairs: malloc, one byte written, free; the same size over and over.
 */
#include "workload.h"

static void work(struct bench_worker *worker)
{
    size_t bytes = worker->run->workload->parameter;
    uint64_t quota = worker->quota;

    bench_count(worker, (int64_t)bytes);
    bench_settle(worker);
    for (uint64_t i = 0; i < quota; i++)
        bench_free(worker, bench_malloc(worker, bytes));
    bench_count(worker, -(int64_t)bytes);
    worker->operations = quota;
}

const struct bench_workload BENCH_EXPORT(pair_64) = {
    .name = "pair_64",
    .description = "malloc of 64 bytes and its free; an operation is a pair",
    .operations = 60000000,
    .threads = {1, 2, 8, 64},
    .parameter = 64,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(pair_1k) = {
    .name = "pair_1k",
    .description = "the same with 1 KiB",
    .operations = 60000000,
    .threads = {1, 2, 8, 64},
    .parameter = (size_t)1 << 10,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(pair_8k) = {
    .name = "pair_8k",
    .description = "the same with 8 KiB",
    .operations = 30000000,
    .threads = {1, 2, 8, 64},
    .parameter = (size_t)8 << 10,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(pair_64k) = {
    .name = "pair_64k",
    .description = "the same with 64 KiB",
    .operations = 25000000,
    .threads = {1, 2, 8, 64},
    .parameter = (size_t)64 << 10,
    .work = work,
};
