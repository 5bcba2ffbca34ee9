#include "sampler.h"

#include <unistd.h>

#include "counters.h"
#include "measure.h"

enum { FIRST_INTERVAL_NS = 1000 * 1000, LONGEST_SLEEP_NS = 20 * 1000 * 1000 };

static struct bench_sample look(const struct bench_sampler *sampler, int statm)
{
    struct bench_counters counters;
    int64_t live = atomic_load_explicit(&sampler->run->live_bytes, memory_order_relaxed);
    struct bench_sample sample = {
        .at_ns = bench_nanoseconds() - sampler->started_ns,
        .rss_bytes = bench_rss_read(statm),
        .live_bytes = live > 0 ? (uint64_t)live : 0,
    };

    bench_counters_read(&counters);
    sample.free_bytes = bench_counters_value(&counters, "free_bytes");
    sample.largest_free = bench_counters_value(&counters, "largest_free");
    return sample;
}

static void make_room(struct bench_sampler *sampler)
{
    if (sampler->count < BENCH_SAMPLES_MAX)
        return;
    for (unsigned i = 0; i < BENCH_SAMPLES_MAX / 2; i++)
        sampler->samples[i] = sampler->samples[(size_t)2 * i];
    sampler->count = BENCH_SAMPLES_MAX / 2;
    sampler->interval_ns *= 2;
}

/* In short naps, so that a run does not wait for its sampler. */
static void sleep_until(const struct bench_sampler *sampler, uint64_t until_ns)
{
    uint64_t now = bench_nanoseconds();

    while (now < until_ns && !atomic_load_explicit(&sampler->stop, memory_order_relaxed)) {
        uint64_t left = until_ns - now;
        struct timespec nap = {.tv_nsec = (long)(left < LONGEST_SLEEP_NS ? left : LONGEST_SLEEP_NS)};

        (void)nanosleep(&nap, NULL);
        now = bench_nanoseconds();
    }
}

static void *sample(void *argument)
{
    struct bench_sampler *sampler = argument;
    int statm = bench_rss_open();

    while (!atomic_load_explicit(&sampler->stop, memory_order_relaxed)) {
        make_room(sampler);
        sampler->samples[sampler->count] = look(sampler, statm);
        sampler->count++;
        sleep_until(sampler, sampler->started_ns + sampler->samples[sampler->count - 1].at_ns + sampler->interval_ns);
    }
    (void)close(statm);
    return NULL;
}

void bench_sampler_start(struct bench_sampler *sampler, const struct bench_run *run)
{
    sampler->run = run;
    sampler->count = 0;
    sampler->started_ns = bench_nanoseconds();
    sampler->interval_ns = FIRST_INTERVAL_NS;
    atomic_init(&sampler->stop, false);
    if (pthread_create(&sampler->thread, NULL, sample, sampler) != 0)
        bench_out_of_memory("the sampling thread");
}

/* Relaxed: joining orders what was sampled. */
void bench_sampler_stop(struct bench_sampler *sampler)
{
    atomic_store_explicit(&sampler->stop, true, memory_order_relaxed);
    (void)pthread_join(sampler->thread, NULL);
}
