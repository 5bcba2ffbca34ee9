#include "workload.h"

extern const struct bench_workload BENCH_EXPORT(pair_64), BENCH_EXPORT(pair_1k), BENCH_EXPORT(pair_8k),
    BENCH_EXPORT(pair_64k), BENCH_EXPORT(batch_fifo), BENCH_EXPORT(batch_lifo), BENCH_EXPORT(batch_random),
    BENCH_EXPORT(batch_fifo_100k), BENCH_EXPORT(batch_lifo_100k), BENCH_EXPORT(batch_random_100k),
    BENCH_EXPORT(replace_100k), BENCH_EXPORT(live_10k), BENCH_EXPORT(live_100k), BENCH_EXPORT(live_1m),
    BENCH_EXPORT(live_10m), BENCH_EXPORT(mixed), BENCH_EXPORT(fragmented_1k), BENCH_EXPORT(fragmented_1m),
    BENCH_EXPORT(phases), BENCH_EXPORT(trees), BENCH_EXPORT(vector_large), BENCH_EXPORT(vectors_small),
    BENCH_EXPORT(calloc_64), BENCH_EXPORT(calloc_4k), BENCH_EXPORT(large), BENCH_EXPORT(larson),
    BENCH_EXPORT(thread_churn), BENCH_EXPORT(one_to_one), BENCH_EXPORT(one_to_many), BENCH_EXPORT(many_to_one),
    BENCH_EXPORT(apart), BENCH_EXPORT(sharing_active), BENCH_EXPORT(sharing_passive);

const struct bench_workload *const BENCH_EXPORT(workloads)[] = {
    &BENCH_EXPORT(pair_64),         &BENCH_EXPORT(pair_1k),
    &BENCH_EXPORT(pair_8k),         &BENCH_EXPORT(pair_64k),
    &BENCH_EXPORT(batch_fifo),      &BENCH_EXPORT(batch_lifo),
    &BENCH_EXPORT(batch_random),    &BENCH_EXPORT(batch_fifo_100k),
    &BENCH_EXPORT(batch_lifo_100k), &BENCH_EXPORT(batch_random_100k),
    &BENCH_EXPORT(replace_100k),    &BENCH_EXPORT(live_10k),
    &BENCH_EXPORT(live_100k),       &BENCH_EXPORT(live_1m),
    &BENCH_EXPORT(live_10m),        &BENCH_EXPORT(mixed),
    &BENCH_EXPORT(fragmented_1k),   &BENCH_EXPORT(fragmented_1m),
    &BENCH_EXPORT(phases),          &BENCH_EXPORT(trees),
    &BENCH_EXPORT(vector_large),    &BENCH_EXPORT(vectors_small),
    &BENCH_EXPORT(calloc_64),       &BENCH_EXPORT(calloc_4k),
    &BENCH_EXPORT(large),           &BENCH_EXPORT(larson),
    &BENCH_EXPORT(thread_churn),    &BENCH_EXPORT(one_to_one),
    &BENCH_EXPORT(one_to_many),     &BENCH_EXPORT(many_to_one),
    &BENCH_EXPORT(apart),           &BENCH_EXPORT(sharing_active),
    &BENCH_EXPORT(sharing_passive), NULL,
};
