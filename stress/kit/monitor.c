#include "monitor.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "pages.h"
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
    struct kit_text text = {.length = 0};

    for (unsigned i = 0; i <= run->config->threads; i++) {
        struct kit_thread *thread = &run->threads[i];
        uint64_t ops = kit_get(thread->ops);

        if (ops != thread->seen_ops || kit_get(thread->is_waiting) || thread->seen_at == 0) {
            thread->seen_ops = ops;
            thread->seen_at = now;
        } else if (now - thread->seen_at > run->config->hang_seconds) {
            kit_text_add_threads(&text, run);
            text.bytes[text.length] = '\0';
            kit_violation(NULL, NULL, "hang", "a thread made no progress for %u seconds\n%s", run->config->hang_seconds,
                          text.bytes);
        }
    }
}

static double mebibytes(double bytes)
{
    return bytes / (1 << 20);
}

static uint64_t total_ops(const struct kit_run *run)
{
    uint64_t ops = 0;

    for (unsigned i = 0; i < run->config->threads; i++)
        ops += kit_get(run->threads[i].ops);
    return ops;
}

static struct kit_sample take_sample(const struct kit_run *run, double now)
{
    struct kit_sample sample = {
        .at = now - run->began_at,
        .cpu = kit_cpu_now() - run->cpu_began_at,
        .ops = total_ops(run),
        .resident_bytes = kit_pages_resident(),
        .held_bytes = kit_get(run->held_bytes),
    };
    int64_t live_bytes = 0;

    for (unsigned i = 0; i < run->config->threads; i++)
        live_bytes += kit_get(run->threads[i].live_bytes);
    sample.live_bytes = live_bytes > 0 ? (uint64_t)live_bytes : 0;
    return sample;
}

/* When there is no room for more, every second one goes, and later ones are taken half as often. */
static void keep_sample(struct kit_run *run, const struct kit_sample *sample, double now)
{
    struct kit_result *result = run->result;

    if (now - run->sampled_at < run->sample_seconds)
        return;
    if (result->sample_count == KIT_SAMPLES_MAX) {
        for (unsigned i = 0; i < KIT_SAMPLES_MAX / 2; i++)
            result->samples[i] = result->samples[2 * i + 1];
        result->sample_count = KIT_SAMPLES_MAX / 2;
        run->sample_seconds = 2 * (run->sample_seconds > TICK_SECONDS ? run->sample_seconds : TICK_SECONDS);
    }
    result->samples[result->sample_count++] = *sample;
    run->sampled_at = now;
}

static void write_progress(const struct kit_run *run, struct progress *progress, const struct kit_sample *sample,
                           double now)
{
    const struct kit_config *config = run->config;
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "%s%-10s %-5s %5.1f s %10llu ops %8.0f/s %7.1f MiB live %7.1f RSS",
                 config->live_line ? "\r" : "", run->scenario->name, config->strategy_name, sample->at,
                 (unsigned long long)sample->ops, (double)(sample->ops - progress->ops) / (now - progress->written_at),
                 mebibytes((double)sample->live_bytes), mebibytes((double)sample->resident_bytes));
    if (sample->held_bytes > sample->live_bytes)
        kit_text_add(&text, " %3.0f %% frag",
                     100 * (double)(sample->held_bytes - sample->live_bytes) / (double)sample->held_bytes);
    kit_text_add(&text, " %4llu checks%s", (unsigned long long)kit_get(run->checks),
                 config->live_line ? "\033[K" : "\n");
    kit_text_write(&text, STDOUT_FILENO);
    progress->ops = sample->ops;
    progress->written_at = now;
}

static void tick(struct kit_run *run, struct progress *progress)
{
    const struct kit_config *config = run->config;
    double now = kit_now(), pause = config->live_line ? LIVE_LINE_SECONDS : PLAIN_LINE_SECONDS;
    struct kit_sample sample = take_sample(run, now);

    kit_put(run->result->ticks, kit_get(run->result->ticks) + 1);
    if (sample.resident_bytes > run->result->peak_resident_bytes)
        run->result->peak_resident_bytes = sample.resident_bytes;
    if (config->ops == 0 && now - run->began_at >= config->seconds)
        kit_put(run->stop, true);
    if (run->is_under_load)
        keep_sample(run, &sample, now);
    if (!config->quiet && now - progress->written_at >= pause)
        write_progress(run, progress, &sample, now);
    watch_for_hangs(run, now);
    kit_ask_checker(run, &run->held_bytes_due); /* for the next sample */
}

void kit_monitor(struct kit_run *run, struct kit_gate *gate, unsigned count)
{
    struct progress progress = {kit_now(), total_ops(run)};

    while (count > 0) {
        struct timespec until = after(TICK_SECONDS);

        if (sem_timedwait(&gate->arrived, &until) == 0)
            count--;
        else if (errno == ETIMEDOUT)
            tick(run, &progress);
    }
    tick(run, &progress);
}
