#include "workload.h"

#include <pthread.h>

size_t bench_share(const struct bench_worker *worker, size_t population)
{
    double scale = worker->run->scale;
    size_t share = population / worker->run->threads;

    if (scale < BENCH_SMOKE_SCALE)
        share = (size_t)((double)share * scale / BENCH_SMOKE_SCALE);
    return share > 0 ? share : 1;
}

void *bench_state_map(struct bench_worker *worker, size_t bytes)
{
    worker->state = bench_pages_map(bytes);
    worker->state_bytes = bytes;
    return worker->state;
}

void *bench_shared_map(struct bench_run *run, size_t bytes)
{
    run->shared = bench_pages_map(bytes);
    run->shared_bytes = bytes;
    return run->shared;
}

void bench_settle(struct bench_worker *worker)
{
    struct bench_run *run = worker->run;
    int64_t bytes = worker->unsettled_bytes;
    int64_t now = atomic_fetch_add_explicit(&run->live_bytes, bytes, memory_order_relaxed) + bytes;
    int64_t most = atomic_load_explicit(&run->most_live_bytes, memory_order_relaxed);

    worker->unsettled_bytes = 0;
    while (most < now && !atomic_compare_exchange_weak_explicit(&run->most_live_bytes, &most, now, memory_order_relaxed,
                                                                memory_order_relaxed))
        continue;
}

void bench_thread_run(void *(*body)(void *), void *argument)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, body, argument) != 0)
        bench_out_of_memory("a thread");
    (void)pthread_join(thread, NULL);
}
