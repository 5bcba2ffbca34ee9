#include "output.h"

#include <string.h>
#include <unistd.h>

#include "text.h"

/* A line may be longer than a text: it goes out in pieces. */
enum { PIECE_BYTES = 3000 };

#define LL(number) ((unsigned long long)(number))

static void write_if_long(struct kit_text *text)
{
    if (text->length > PIECE_BYTES)
        kit_text_write(text, STDOUT_FILENO);
}

static double seconds_of(uint64_t nanoseconds)
{
    return (double)nanoseconds / 1e9;
}

static double per_operation(const struct bench_result *result)
{
    return (double)result->wall_ns / (double)result->operations;
}

/* ---- the list ------------------------------------------------------------------------------------------------ */

static void add_thread_counts(struct kit_text *text, const struct bench_workload *workload)
{
    for (unsigned i = 0; i < BENCH_THREAD_COUNTS && workload->threads[i] != 0; i++)
        kit_text_add(text, "%s%u", i > 0 ? "," : "", workload->threads[i]);
}

static void add_as_json(struct kit_text *text, const struct bench_workload *workload, bool first)
{
    kit_text_add(text, "%s{\"name\":\"%s\",\"threads\":[", first ? "" : ",\n", workload->name);
    add_thread_counts(text, workload);
    kit_text_add(text, "],\"description\":\"%s\"}", workload->description);
}

static void add_as_text(struct kit_text *text, const struct bench_workload *workload)
{
    struct kit_text threads = {.length = 0};

    add_thread_counts(&threads, workload);
    kit_text_add(text, "%-22s %-9.*s %s\n", workload->name, (int)threads.length, threads.bytes, workload->description);
}

void bench_output_list(bool json)
{
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "%s", json ? "[" : "");
    for (const struct bench_workload *const *each = bench_workloads; *each != NULL; each++) {
        if (json)
            add_as_json(&text, *each, each == bench_workloads);
        else
            add_as_text(&text, *each);
        write_if_long(&text);
    }
    kit_text_add(&text, "%s", json ? "]\n" : "");
    kit_text_write(&text, STDOUT_FILENO);
}

/* ---- a run as JSON ------------------------------------------------------------------------------------------- */

/* What comes and goes, as opposed to what is counted from the start: a difference would say nothing. */
static bool is_level(const char *name)
{
    static const char *const levels[] = {"used_bytes",   "used_blocks",  "free_bytes",   "free_blocks",
                                         "largest_free", "large_bytes",  "large_blocks", "region_bytes",
                                         "cached_bytes", "cached_blocks"};
    unsigned i = 0;

    while (i < sizeof levels / sizeof levels[0] && strcmp(levels[i], name) != 0)
        i++;
    return i < sizeof levels / sizeof levels[0];
}

static void add_counters(struct kit_text *text, const struct bench_result *result)
{
    const struct bench_counters *before = &result->before, *after = &result->after;

    if (after->count == 0)
        return;
    kit_text_add(text, ",\"counters\":{\"os_calls\":%llu",
                 LL(bench_counters_os_calls(after) - bench_counters_os_calls(before)));
    for (unsigned i = 0; i < after->count; i++) {
        const struct bench_counter *counter = &after->each[i];

        write_if_long(text);
        kit_text_add(text, ",\"%s\":%lld", counter->name,
                     (long long)(counter->value - bench_counters_value(before, counter->name)));
    }
    kit_text_add(text, "},\"heap_at_end\":{");
    for (unsigned i = 0, shown = 0; i < after->count; i++) {
        write_if_long(text);
        if (is_level(after->each[i].name))
            kit_text_add(text, "%s\"%s\":%llu", shown++ > 0 ? "," : "", after->each[i].name, LL(after->each[i].value));
    }
    kit_text_add(text, "}");
}

static void add_samples(struct kit_text *text, const struct bench_sampler *sampler)
{
    kit_text_add(text, ",\"rss_over_time\":[");
    for (unsigned i = 0; i < sampler->count; i++) {
        const struct bench_sample *sample = &sampler->samples[i];

        write_if_long(text);
        kit_text_add(text, "%s[%.6f,%llu,%llu]", i > 0 ? "," : "", seconds_of(sample->at_ns), LL(sample->rss_bytes),
                     LL(sample->live_bytes));
    }
    kit_text_add(text, "]");
    if (!bench_counters_exist())
        return;
    kit_text_add(text, ",\"free_over_time\":[");
    for (unsigned i = 0; i < sampler->count; i++) {
        const struct bench_sample *sample = &sampler->samples[i];

        write_if_long(text);
        kit_text_add(text, "%s[%.6f,%llu,%llu]", i > 0 ? "," : "", seconds_of(sample->at_ns), LL(sample->free_bytes),
                     LL(sample->largest_free));
    }
    kit_text_add(text, "]");
}

static void add_measures(struct kit_text *text, const struct bench_result *result)
{
    kit_text_add(text, ",\"seconds\":%.6f,\"cpu_seconds\":%.6f,\"ns_per_operation\":%.3f", seconds_of(result->wall_ns),
                 seconds_of(result->cpu_ns), per_operation(result));
    kit_text_add(text, ",\"start_rss_bytes\":%llu,\"peak_rss_bytes\":%llu,\"own_bytes\":%llu,\"live_bytes\":%llu",
                 LL(result->start_rss_bytes), LL(result->peak_rss_bytes), LL(result->own_bytes),
                 LL(result->live_bytes));
    kit_text_add(text, ",\"minor_faults\":%llu", LL(result->minor_faults));
}

static double quantile_ns(const struct bench_result *result, double share)
{
    return (double)bench_histogram_quantile(&result->latencies, share) * result->ns_per_tick;
}

static void add_latency(struct kit_text *text, const struct bench_result *result)
{
    kit_text_add(text, ",\"latency_only\":true,\"latency_ns\":{\"calls\":%llu,\"clock\":%.1f",
                 LL(bench_histogram_count(&result->latencies)), (double)bench_usual_ticks() * result->ns_per_tick);
    kit_text_add(text, ",\"p50\":%.1f,\"p99\":%.1f,\"p99_9\":%.1f,\"max\":%.1f}", quantile_ns(result, 0.5),
                 quantile_ns(result, 0.99), quantile_ns(result, 0.999),
                 (double)result->latencies.most * result->ns_per_tick);
}

static void output_json(const struct bench_options *options, const struct bench_result *result)
{
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "{\"workload\":\"%s\",\"threads\":%u,\"scale\":%g,\"seed\":%llu,\"operations\":%llu",
                 options->workload->name, options->threads, options->scale, LL(options->seed), LL(result->operations));
    if (options->latency)
        add_latency(&text, result);
    else
        add_measures(&text, result);
    if (options->samples)
        add_samples(&text, &result->sampler);
    if (!options->latency)
        add_counters(&text, result);
    kit_text_add(&text, "}\n");
    kit_text_write(&text, STDOUT_FILENO);
}

/* ---- a run for people ---------------------------------------------------------------------------------------- */

#define MIB(bytes) ((double)(bytes) / 1048576)

static void output_text(const struct bench_options *options, const struct bench_result *result)
{
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "%s, %u thread%s, %llu operations\n", options->workload->name, options->threads,
                 options->threads > 1 ? "s" : "", LL(result->operations));
    if (options->latency) {
        kit_text_add(&text, "a call: half within %.0f ns, 99 %% within %.0f, 99.9 %% within %.0f, the longest %.0f\n",
                     quantile_ns(result, 0.5), quantile_ns(result, 0.99), quantile_ns(result, 0.999),
                     (double)result->latencies.most * result->ns_per_tick);
    } else {
        kit_text_add(&text, "%.3f s, %.3f s of CPU time, %.2f ns per operation\n", seconds_of(result->wall_ns),
                     seconds_of(result->cpu_ns), per_operation(result));
        kit_text_add(&text, "peak %.1f MiB resident, %.1f of them the bench's own, %.1f live\n",
                     MIB(result->peak_rss_bytes), MIB(result->own_bytes), MIB(result->live_bytes));
    }
    for (unsigned i = 0; options->samples && i < result->sampler.count; i++) {
        const struct bench_sample *sample = &result->sampler.samples[i];

        write_if_long(&text);
        kit_text_add(&text, "  %9.6f s  %9.1f MiB resident  %9.1f live\n", seconds_of(sample->at_ns),
                     MIB(sample->rss_bytes), MIB(sample->live_bytes));
    }
    kit_text_write(&text, STDOUT_FILENO);
}

void bench_output_result(const struct bench_options *options, const struct bench_result *result)
{
    if (options->json)
        output_json(options, result);
    else
        output_text(options, result);
}
