/*
 * calloc: zeroed blocks, each freed at once.
 */
#include "workload.h"

static void work(struct bench_worker *worker)
{
    size_t bytes = worker->run->workload->parameter;
    uint64_t quota = worker->quota;

    bench_count(worker, (int64_t)bytes);
    bench_settle(worker);
    for (uint64_t i = 0; i < quota; i++)
        bench_free(worker, bench_calloc(worker, 1, bytes));
    bench_count(worker, -(int64_t)bytes);
    worker->operations = quota;
}

const struct bench_workload BENCH_EXPORT(calloc_64) = {
    .name = "calloc_64",
    .description = "calloc of 64 bytes and its free",
    .operations = 30000000,
    .threads = {1, 2, 8, 64},
    .parameter = 64,
    .work = work,
};

const struct bench_workload BENCH_EXPORT(calloc_4k) = {
    .name = "calloc_4k",
    .description = "calloc of 4 KiB and its free",
    .operations = 8000000,
    .threads = {1, 2, 8, 64},
    .parameter = 4096,
    .work = work,
};
