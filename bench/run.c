#include "run.h"

#include <pthread.h>
#include <unistd.h>

#include "measure.h"

/* The workers' threads, and main, which measures while none of them works. */
struct crew {
    struct bench_run run;
    pthread_barrier_t prepared, begin, done, leave;
    pthread_t threads[BENCH_THREADS_MAX];
};

static void make_workers(struct bench_run *run, bool timed)
{
    const struct bench_workload *workload = run->workload;
    uint64_t operations = (uint64_t)((double)workload->operations * run->scale);

    run->workers = bench_pages_map(run->threads * sizeof *run->workers);
    for (unsigned i = 0; i < run->threads; i++) {
        struct bench_worker *worker = &run->workers[i];

        worker->run = run;
        worker->number = i;
        worker->quota = operations / run->threads > 0 ? operations / run->threads : 1;
        worker->rng = kit_rng_for(run->seed, workload->name, i);
        if (timed)
            worker->histogram = bench_pages_map(sizeof *worker->histogram);
    }
}

static void prepare(struct bench_worker *worker)
{
    if (worker->run->workload->prepare != NULL)
        worker->run->workload->prepare(worker);
    bench_settle(worker);
}

static void work(struct bench_worker *worker)
{
    worker->started_ns = bench_nanoseconds();
    worker->run->workload->work(worker);
    worker->ended_ns = bench_nanoseconds();
    bench_settle(worker);
}

static void finish(struct bench_worker *worker)
{
    if (worker->run->workload->finish != NULL)
        worker->run->workload->finish(worker);
    bench_settle(worker);
    bench_pages_unmap(worker->state, worker->state_bytes);
}

static void *be_worker(void *argument)
{
    struct bench_worker *worker = argument;
    struct crew *crew = (struct crew *)worker->run; /* its first member */

    prepare(worker);
    (void)pthread_barrier_wait(&crew->prepared);
    (void)pthread_barrier_wait(&crew->begin);
    work(worker);
    (void)pthread_barrier_wait(&crew->done);
    (void)pthread_barrier_wait(&crew->leave);
    finish(worker);
    return NULL;
}

static void begin_measuring(const struct bench_options *options, const struct bench_run *run,
                            struct bench_result *result)
{
    struct bench_usage usage;

    bench_counters_read(&result->before);
    if (options->samples)
        bench_sampler_start(&result->sampler, run);
    usage = bench_usage_now();
    result->cpu_ns = usage.cpu_ns;
    result->minor_faults = usage.minor_faults;
}

static void end_measuring(const struct bench_options *options, const struct bench_run *run, struct bench_result *result)
{
    struct bench_usage usage = bench_usage_now();
    int64_t most = atomic_load_explicit(&run->most_live_bytes, memory_order_relaxed);

    result->cpu_ns = usage.cpu_ns - result->cpu_ns;
    result->minor_faults = usage.minor_faults - result->minor_faults;
    if (options->samples)
        bench_sampler_stop(&result->sampler);
    result->peak_rss_bytes = bench_rss_peak();
    result->own_bytes = bench_pages_most();
    result->live_bytes = most > 0 ? (size_t)most : 0;
    bench_counters_read(&result->after);
}

static void make_barriers(struct crew *crew)
{
    unsigned count = crew->run.threads + 1;

    (void)pthread_barrier_init(&crew->prepared, NULL, count);
    (void)pthread_barrier_init(&crew->begin, NULL, count);
    (void)pthread_barrier_init(&crew->done, NULL, count);
    (void)pthread_barrier_init(&crew->leave, NULL, count);
}

static void run_threads(const struct bench_options *options, struct crew *crew, struct bench_result *result)
{
    make_barriers(crew);
    for (unsigned i = 0; i < crew->run.threads; i++)
        if (pthread_create(&crew->threads[i], NULL, be_worker, &crew->run.workers[i]) != 0)
            bench_out_of_memory("a thread");
    (void)pthread_barrier_wait(&crew->prepared);
    begin_measuring(options, &crew->run, result);
    (void)pthread_barrier_wait(&crew->begin);
    (void)pthread_barrier_wait(&crew->done);
    end_measuring(options, &crew->run, result);
    (void)pthread_barrier_wait(&crew->leave);
    for (unsigned i = 0; i < crew->run.threads; i++)
        (void)pthread_join(crew->threads[i], NULL);
}

static void run_alone(const struct bench_options *options, struct bench_run *run, struct bench_result *result)
{
    prepare(run->workers);
    begin_measuring(options, run, result);
    work(run->workers);
    end_measuring(options, run, result);
    finish(run->workers);
}

static void sum_up(const struct bench_run *run, struct bench_result *result)
{
    uint64_t first = UINT64_MAX, last = 0;

    for (unsigned i = 0; i < run->threads; i++) {
        const struct bench_worker *worker = &run->workers[i];

        first = worker->started_ns < first ? worker->started_ns : first;
        last = worker->ended_ns > last ? worker->ended_ns : last;
        result->operations += worker->operations;
        if (worker->histogram != NULL)
            bench_histogram_merge(&result->latencies, worker->histogram);
    }
    result->wall_ns = last - first;
}

void bench_run(const struct bench_options *options, struct bench_result *result)
{
    static struct crew crew;
    struct bench_run *run = &crew.run;

    bench_counters_find();
    run->workload = options->workload;
    run->threads = options->threads;
    run->processors = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    run->scale = options->scale;
    run->seed = options->seed;
    bench_rss_forget_peak();
    result->start_rss_bytes = bench_rss_now();
    make_workers(run, options->latency);
    if (run->workload->prepare_run != NULL)
        run->workload->prepare_run(run);
    if (run->threads == 1)
        run_alone(options, run, result);
    else
        run_threads(options, &crew, result);
    if (run->workload->finish_run != NULL)
        run->workload->finish_run(run);
    sum_up(run, result);
    if (options->latency)
        result->ns_per_tick = bench_nanoseconds_per_tick();
    bench_pages_unmap(run->shared, run->shared_bytes);
}
