#include "table.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "soak.h"
#include "text.h"

static const char *const verdict_names[] = {
    [KIT_NOT_RUN] = "NOT RUN", [KIT_PASSED] = "pass", [KIT_FAILED] = "FAIL", [KIT_SKIPPED] = "SKIP"};

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static bool is_output(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

int stress_table_file(const struct stress_suite *suite)
{
    const struct stress_options *options = suite->options;

    return is_output(options->json_path) || is_output(options->junit_path) || is_output(options->html_path)
               ? STDERR_FILENO
               : STDOUT_FILENO;
}

bool stress_table_is_live(const struct stress_suite *suite)
{
    return isatty(stress_table_file(suite)) == 1;
}

void stress_table_header(const struct stress_suite *suite)
{
    const struct stress_options *options = suite->options;
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "heapster-stress: allocator %s, seed %" PRIu64 ", %u threads, ", suite->allocator.name,
                 options->seed, options->threads);
    if (options->ops != 0)
        kit_text_add(&text, "%" PRIu64 " operations per thread, ", options->ops);
    else
        kit_text_add(&text, "%g seconds, ", options->seconds);
    if (options->arenas != 0)
        kit_text_add(&text, "%u arenas, ", options->arenas);
    kit_text_add(&text, "%u scenarios", options->scenario_count);
    if (!options->system_allocator)
        kit_text_add(&text, ", strategy %s",
                     options->first_strategy == options->last_strategy ? stress_strategy_name(options->first_strategy)
                                                                       : "all");
    if (options->cache_modes != 0)
        kit_text_add(&text, ", cache %s", stress_cache_modes_name(options->cache_modes));
    kit_text_add(&text, "\n");
    kit_text_write(&text, stress_table_file(suite));
}

void stress_table_end_row(const struct stress_suite *suite, unsigned index)
{
    const struct stress_row *row = &suite->rows[index];
    const struct kit_result *result = &row->result;
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "%s[%3u/%u] %-12s %-6s %-5s %-4s %6.1f s", stress_table_is_live(suite) ? "\r\033[K" : "",
                 index + 1, suite->row_count, row->scenario->name, row->strategy, row->cache,
                 verdict_names[result->verdict], result->seconds);
    if (result->verdict != KIT_PASSED)
        kit_text_add(&text, "  %s", result->reason);
    kit_text_add(&text, "\n");
    kit_text_write(&text, stress_table_file(suite));
}

/* ---- the table -----------------------------------------------------------------------------------------------------
 */

static void print_row(const struct stress_suite *suite, const struct stress_row *row)
{
    const struct kit_result *result = &row->result;
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "%-12s %-8s %-5s %7u ", row->scenario->name, row->strategy, row->cache,
                 suite->options->threads);
    if (result->verdict == KIT_PASSED)
        kit_text_add(&text, "%12" PRIu64 " %11.0f %7" PRIu64 " %9.1f MiB", result->ops,
                     (double)result->ops / result->seconds, result->checks, mebibytes(result->peak_resident_bytes));
    else
        kit_text_add(&text, "%12s %11s %7s %13s", "-", "-", "-", "-");
    kit_text_add(&text, "  %s", verdict_names[result->verdict]);
    if (result->tolerated != 0)
        kit_text_add(&text, ", %" PRIu64 " violations tolerated", result->tolerated);
    kit_text_add(&text, "\n");
    kit_text_write(&text, stress_table_file(suite));
}

static void print_checkpoints(const struct stress_suite *suite, const struct stress_row *row)
{
    struct stress_checkpoint points[STRESS_CHECKPOINTS];
    unsigned count = stress_soak_checkpoints(&row->result, points);
    struct kit_text text = {.length = 0};

    if (count == 0)
        return;
    kit_text_add(&text, "\n%-12s %-8s %-5s %9s %16s %13s %13s %13s\n", row->scenario->name, row->strategy, row->cache,
                 "at", "ops/CPU-s", "live", "held", "resident");
    for (unsigned i = 0; i < count; i++)
        kit_text_add(&text, "%27s %7.0f s %16.0f %9.1f MiB %9.1f MiB %9.1f MiB\n", "", points[i].at,
                     points[i].ops_per_cpu_second, mebibytes(points[i].live_bytes), mebibytes(points[i].held_bytes),
                     mebibytes(points[i].resident_bytes));
    kit_text_write(&text, stress_table_file(suite));
}

/* A row that did not pass, with why; a failed one with its command. */
static void print_reason(const struct stress_suite *suite, const struct stress_row *row)
{
    const struct kit_result *result = &row->result;
    struct kit_text text = {.length = 0};

    if (result->verdict == KIT_PASSED)
        return;
    kit_text_add(&text, "%s: %s, %s, cache %s: %s\n", verdict_names[result->verdict], row->scenario->name,
                 row->strategy, row->cache, result->reason);
    if (result->verdict == KIT_FAILED)
        kit_text_add(&text, "      reproduce: %s\n", row->command);
    kit_text_write(&text, stress_table_file(suite));
}

void stress_table_print(const struct stress_suite *suite)
{
    struct stress_summary summary = stress_suite_summary(suite);
    struct kit_text text = {.length = 0};

    kit_text_add(&text, "\n%-12s %-8s %-5s %7s %12s %11s %7s %13s  %s\n", "scenario", "strategy", "cache", "threads",
                 "operations", "ops/s", "checks", "peak RSS", "verdict");
    kit_text_write(&text, stress_table_file(suite));
    for (unsigned i = 0; i < suite->row_count; i++)
        print_row(suite, &suite->rows[i]);
    for (unsigned i = 0; i < suite->row_count; i++)
        print_checkpoints(suite, &suite->rows[i]);
    kit_text_add(&text, "\n");
    kit_text_write(&text, stress_table_file(suite));
    for (unsigned i = 0; i < suite->row_count; i++)
        print_reason(suite, &suite->rows[i]);
    kit_text_add(&text, "%u passed, %u failed, %u skipped\n", summary.passed, summary.failed, summary.skipped);
    kit_text_write(&text, stress_table_file(suite));
}
