#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "output.h"

static void write_character(FILE *file, uint32_t character)
{
    if (character == '"' || character == '\\')
        (void)fprintf(file, "\\%c", (int)character);
    else if (character < 0x20 || character == 0x7F || character == '<')
        (void)fprintf(file, "\\u%04" PRIx32, character);
    else
        stress_output_character(file, character);
}

static void write_string(FILE *file, const char *bytes, size_t room)
{
    struct stress_characters text = {bytes, room};
    uint32_t character;

    (void)fputc('"', file);
    while (stress_characters_next(&text, &character))
        write_character(file, character);
    (void)fputc('"', file);
}

static void write_named_string(FILE *file, const char *name, const char *text, size_t room)
{
    (void)fprintf(file, "\"%s\": ", name);
    write_string(file, text, room);
    (void)fputs(", ", file);
}

/* JSON knows no infinity. */
static double finite_or_zero(double number)
{
    return isfinite(number) ? number : 0;
}

static void write_samples(FILE *file, const struct kit_result *result)
{
    (void)fputs("\"samples\": [", file);
    for (unsigned i = 0; i < result->sample_count; i++) {
        const struct kit_sample *sample = &result->samples[i];

        (void)fprintf(file, "%s[%.6f, %.6f, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 "]", i == 0 ? "" : ", ",
                      finite_or_zero(sample->at), finite_or_zero(sample->cpu), sample->ops, sample->live_bytes,
                      sample->resident_bytes, sample->held_bytes);
    }
    (void)fputs("]", file);
}

static void write_histogram(FILE *file, const char *name, const struct kit_latency *latency)
{
    const char *separator = "";

    (void)fprintf(file,
                  "\"%s\": {\"count\": %" PRIu64 ", \"p50\": %" PRIu64 ", \"p99\": %" PRIu64 ", \"p99_9\": %" PRIu64
                  ", \"buckets\": [",
                  name, kit_latency_count(latency), kit_latency_quantile(latency, 0.5),
                  kit_latency_quantile(latency, 0.99), kit_latency_quantile(latency, 0.999));
    for (unsigned i = 0; i < KIT_LATENCY_BUCKETS; i++) {
        if (latency->counts[i] == 0)
            continue;
        (void)fprintf(file, "%s[%" PRIu64 ", %" PRIu64 "]", separator, kit_latency_least(i), latency->counts[i]);
        separator = ", ";
    }
    (void)fputs("]}", file);
}

static void write_latency(FILE *file, const struct kit_result *result)
{
    static const char *const names[KIT_CALLS] = {
        [KIT_CALL_ALLOCATE] = "allocate", [KIT_CALL_RESIZE] = "resize", [KIT_CALL_RELEASE] = "release"};

    (void)fputs("\"latency\": {", file);
    for (unsigned i = 0; i < KIT_CALLS; i++) {
        (void)fputs(i == 0 ? "" : ", ", file);
        write_histogram(file, names[i], &result->latency[i]);
    }
    (void)fputs("}", file);
}

static void write_contention(FILE *file, const struct kit_result *result)
{
    (void)fputs("\"contention\": [", file);
    for (unsigned i = 0; i < result->contention_count; i++) {
        const struct kit_contention *arena = &result->contention[i];

        (void)fprintf(file, "%s[%u, %" PRIu64 ", %" PRIu64 "]", i == 0 ? "" : ", ", arena->arena, arena->acquired,
                      arena->contended);
    }
    (void)fputs("]", file);
}

/* Addresses are text: they may exceed what a script's numbers can tell apart. */
static void write_picture(FILE *file, const struct kit_picture *picture)
{
    if (picture->cell_bytes == 0) {
        (void)fputs("\"picture\": null", file);
        return;
    }
    (void)fprintf(file,
                  "\"picture\": {\"cell_bytes\": %" PRIu64 ", \"blocks\": %" PRIu64 ", \"bytes_left_out\": %" PRIu64
                  ", \"share_whole\": %d,\n     \"spans\": [",
                  picture->cell_bytes, picture->blocks, picture->bytes_left_out, KIT_SHARE_WHOLE);
    for (unsigned i = 0; i < picture->span_count; i++) {
        const struct kit_span *span = &picture->spans[i];

        (void)fprintf(file, "%s[\"0x%" PRIx64 "\", %" PRIu64 ", %u, %u, %u]", i == 0 ? "" : ", ", span->base,
                      span->bytes, span->arena, span->first_cell, span->cell_count);
    }
    (void)fputs("],\n     \"cells\": [", file);
    for (unsigned i = 0; i < picture->cell_count; i++) {
        const struct kit_cell *cell = &picture->cells[i];

        (void)fprintf(file, "%s%u,%u,%u", i == 0 ? "" : ",", cell->live, cell->kept, cell->free);
    }
    (void)fputs("]}", file);
}

static void write_row(FILE *file, const struct stress_row *row)
{
    const struct kit_result *result = &row->result;
    double rate = result->seconds > 0 ? (double)result->ops / result->seconds : 0;

    (void)fputs("\n  {", file);
    write_named_string(file, "scenario", row->scenario->name, SIZE_MAX);
    write_named_string(file, "summary", row->scenario->summary, SIZE_MAX);
    write_named_string(file, "strategy", row->strategy, SIZE_MAX);
    write_named_string(file, "cache", row->cache, SIZE_MAX);
    write_named_string(file, "command", row->command, sizeof row->command);
    (void)fputs("\n   ", file);
    write_named_string(file, "verdict", stress_verdict_name(result->verdict), SIZE_MAX);
    write_named_string(file, "reason", result->reason, sizeof result->reason);
    (void)fprintf(file,
                  "\n   \"ops\": %" PRIu64 ", \"ops_per_second\": %.1f, \"seconds\": %.6f, \"cpu_seconds\": %.6f"
                  ", \"checks\": %" PRIu64 ", \"tolerated\": %" PRIu64 ", \"peak_resident_bytes\": %" PRIu64 ",\n   ",
                  result->ops, finite_or_zero(rate), finite_or_zero(result->seconds),
                  finite_or_zero(result->cpu_seconds), result->checks, result->tolerated, result->peak_resident_bytes);
    write_samples(file, result);
    (void)fputs(",\n   ", file);
    write_latency(file, result);
    (void)fputs(",\n   ", file);
    write_contention(file, result);
    (void)fputs(",\n   ", file);
    write_picture(file, &result->picture);
    (void)fputs("}", file);
}

/* The seed is text for the same reason as addresses. A single strategy, or mode of the cache, is that of every row. */
static void write_options(FILE *file, const struct stress_suite *suite)
{
    const struct stress_options *options = suite->options;
    bool is_both = options->cache_modes == STRESS_CACHE_BOTH;
    bool is_single = options->first_strategy == options->last_strategy && suite->row_count != 0;

    (void)fprintf(file, " \"options\": {\"seed\": \"%" PRIu64 "\", \"threads\": %u, ", options->seed, options->threads);
    if (options->ops != 0)
        (void)fprintf(file, "\"seconds\": null, \"ops\": %" PRIu64 ", ", options->ops);
    else
        (void)fprintf(file, "\"seconds\": %.6f, \"ops\": null, ", finite_or_zero(options->seconds));
    write_named_string(file, "strategy", is_single ? suite->rows[0].strategy : "all", SIZE_MAX);
    write_named_string(file, "cache", is_both ? "both" : suite->row_count != 0 ? suite->rows[0].cache : "-", SIZE_MAX);
    (void)fprintf(file, "\"arenas\": %u, \"same_process\": %s},\n", options->arenas,
                  options->same_process ? "true" : "false");
}

void stress_json_write(FILE *file, const struct stress_suite *suite)
{
    struct stress_summary summary = stress_suite_summary(suite);

    (void)fprintf(file, "{\"heapster\": \"%d.%d.%d\", ", HEAPSTER_VERSION_MAJOR, HEAPSTER_VERSION_MINOR,
                  HEAPSTER_VERSION_PATCH);
    write_named_string(file, "allocator", suite->allocator.name, SIZE_MAX);
    (void)fputs("\n", file);
    write_options(file, suite);
    (void)fprintf(file, " \"began\": %.3f, \"ended\": %.3f,\n", finite_or_zero(suite->began_at),
                  finite_or_zero(suite->ended_at));
    (void)fprintf(file, " \"summary\": {\"passed\": %u, \"failed\": %u, \"skipped\": %u},\n \"rows\": [",
                  summary.passed, summary.failed, summary.skipped);
    for (unsigned i = 0; i < suite->row_count; i++) {
        (void)fputs(i == 0 ? "" : ",", file);
        write_row(file, &suite->rows[i]);
    }
    (void)fputs("\n]}\n", file);
}

bool stress_report_json(const struct stress_suite *suite, const char *path)
{
    FILE *file = stress_output_open(path);

    if (file == NULL)
        return false;
    stress_json_write(file, suite);
    return stress_output_close(file);
}
