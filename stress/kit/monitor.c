#include "monitor.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "pages.h"
#include "sampler.h"
#include "violation.h"

#define TICK_SECONDS 0.1
#define LIVE_LINE_SECONDS 0.2
#define PLAIN_LINE_SECONDS 3.0

struct progress {
    double written_at;
    uint64_t ops;
};

static struct timespec after(double seconds)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += (long)(seconds * 1e9);
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    return at;
}

static void watch_for_hangs(struct kit_run *run, double now)
{
    char detail[80];

    for (unsigned i = 0; i <= run->config->threads; i++) {
        struct kit_thread *thread = &run->threads[i];
        uint64_t ops = kit_get(thread->ops);

        if (ops != thread->seen_ops || kit_get(thread->is_waiting) || thread->seen_at == 0) {
            thread->seen_ops = ops;
            thread->seen_at = now;
        } else if (now - thread->seen_at > run->config->hang_seconds) {
            (void)snprintf(detail, sizeof detail, "a thread made no progress for %u seconds",
                           run->config->hang_seconds);
            kit_violation_hang(detail);
        }
    }
}

static double mebibytes(double bytes)
{
    return bytes / (1 << 20);
}

static void write_progress(const struct kit_run *run, struct progress *progress, size_t resident_bytes, double now)
{
    const struct kit_config *config = run->config;
    double fragmentation = kit_sampler_fragmentation(run);
    uint64_t ops = kit_sampler_ops(run);
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "%s[%3u/%u] %-12s %-6s %-5s %5.1f s %10llu ops %8.0f/s %7.1f MiB live %7.1f RSS",
                 config->live_line ? "\r" : "", config->number, config->count, run->scenario->name,
                 config->strategy_name, config->cache_name, now - run->began_at, (unsigned long long)ops,
                 (double)(ops - progress->ops) / (now - progress->written_at),
                 mebibytes((double)kit_sampler_live_bytes(run)), mebibytes((double)resident_bytes));
    if (fragmentation >= 0)
        kit_text_add(&text, " %3.0f %% frag", 100 * fragmentation);
    kit_text_add(&text, " %4llu checks%s", (unsigned long long)kit_get(run->checks),
                 config->live_line ? "\033[K" : "\n");
    kit_text_write(&text, config->progress_file);
    progress->ops = ops;
    progress->written_at = now;
}

static void tick(struct kit_run *run, struct progress *progress)
{
    const struct kit_config *config = run->config;
    double now = kit_now(), pause = config->live_line ? LIVE_LINE_SECONDS : PLAIN_LINE_SECONDS;
    size_t resident_bytes = kit_pages_resident();

    kit_put(run->result->ticks, kit_get(run->result->ticks) + 1);
    if (resident_bytes > run->result->peak_resident_bytes)
        run->result->peak_resident_bytes = resident_bytes;
    if (config->ops == 0 && now - run->began_at >= config->seconds)
        kit_put(run->stop, true);
    if (run->is_under_load)
        kit_ask_checker(run, &run->sample_due);
    if (!config->quiet && now - progress->written_at >= pause)
        write_progress(run, progress, resident_bytes, now);
    watch_for_hangs(run, now);
}

void kit_monitor(struct kit_run *run, struct kit_gate *gate, unsigned count)
{
    struct progress progress = {kit_now(), kit_sampler_ops(run)};

    while (count > 0) {
        struct timespec until = after(TICK_SECONDS);

        if (sem_timedwait(&gate->arrived, &until) == 0)
            count--;
        else if (errno == ETIMEDOUT)
            tick(run, &progress);
    }
    tick(run, &progress);
}
