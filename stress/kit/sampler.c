#include "sampler.h"

#include "pages.h"

/* The first ones; when there is no room for more, every second one goes, and later ones are this far apart, and so on.
 * Main asks less often than that at first. */
#define FIRST_SECONDS 0.05
#define LATER_SECONDS 0.2

uint64_t kit_sampler_ops(const struct kit_run *run)
{
    uint64_t ops = 0;

    for (unsigned i = 0; i < run->config->threads; i++)
        ops += kit_get(run->threads[i].ops);
    return ops;
}

/* A block that changes hands while this adds up may be counted by neither thread. */
uint64_t kit_sampler_live_bytes(const struct kit_run *run)
{
    int64_t bytes = 0;

    for (unsigned i = 0; i < run->config->threads; i++)
        bytes += kit_get(run->threads[i].live_bytes);
    return bytes > 0 ? (uint64_t)bytes : 0;
}

size_t kit_sampler_unknown_bytes(const struct kit_run *run)
{
    return kit_pages_address_space_of_others() - (size_t)run->allocator->held_bytes(run->allocator->context);
}

double kit_sampler_fragmentation(const struct kit_run *run)
{
    uint64_t held = kit_get(run->seen_held_bytes), live = kit_get(run->seen_live_bytes);

    return held > live ? (double)(held - live) / (double)held : -1;
}

static void thin_out(struct kit_run *run)
{
    struct kit_result *result = run->result;

    for (unsigned i = 0; i < KIT_SAMPLES_MAX / 2; i++)
        result->samples[i] = result->samples[2 * i + 1];
    result->sample_count = KIT_SAMPLES_MAX / 2;
    run->sample_seconds = run->sample_seconds < LATER_SECONDS ? LATER_SECONDS : 2 * run->sample_seconds;
}

static void keep(struct kit_run *run, const struct kit_sample *sample)
{
    struct kit_result *result = run->result;

    if (result->sample_count != 0 && sample->at - run->sampled_at < run->sample_seconds)
        return;
    if (result->sample_count == KIT_SAMPLES_MAX)
        thin_out(run);
    result->samples[result->sample_count++] = *sample;
    run->sampled_at = sample->at;
}

void kit_sampler_look(struct kit_run *run)
{
    const struct kit_allocator *allocator = run->allocator;
    struct kit_sample sample = {
        .at = kit_now() - run->began_at,
        .cpu = kit_cpu_now() - run->cpu_began_at,
        .ops = kit_sampler_ops(run),
        .resident_bytes = kit_pages_resident(),
        .held_bytes = allocator->held_bytes != NULL ? allocator->held_bytes(allocator->context) : 0,
        .live_bytes = kit_sampler_live_bytes(run),
    };

    if (run->sample_seconds <= 0)
        run->sample_seconds = FIRST_SECONDS;
    kit_put(run->seen_held_bytes, sample.held_bytes);
    kit_put(run->seen_live_bytes, sample.live_bytes);
    keep(run, &sample);
}
