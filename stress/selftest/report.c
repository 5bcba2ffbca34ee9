/*
 * report: writes one report of a suite that never ran. What its rows say is computed here and again in report.py, which
 * compares.
 *
 *     kit-report json|junit|html FILE
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "report.h"

enum { ROWS = 6, EXIT_USAGE = 2 };

static const struct kit_scenario scenarios[ROWS] = {
    {.name = "plain", .summary = "what nearly every row looks like"},
    {.name = "nasty", .summary = "a failure whose reason is every byte there is"},
    {.name = "absent", .summary = "skipped"},
    {.name = "full", .summary = "as much as a result can hold"},
    {.name = "bare", .summary = "passed without a single sample"},
    {.name = "never", .summary = "not run"},
};

static struct stress_row rows[ROWS];

static void add_samples(struct kit_result *result, unsigned count, bool knows_held)
{
    result->sample_count = count;
    for (unsigned i = 0; i < count; i++) {
        double at = 0.05 * (i + 1);

        result->samples[i] = (struct kit_sample){.at = at,
                                                 .cpu = at * 1.75,
                                                 .ops = (uint64_t)(i + 1) * 10000 + (uint64_t)(i % 3) * 900,
                                                 .live_bytes = (uint64_t)(i % 20 + 1) << 18,
                                                 .resident_bytes = (uint64_t)(i % 20 + 9) << 18,
                                                 .held_bytes = knows_held ? (uint64_t)(i % 20 + 5) << 18 : 0};
    }
}

static void add_latency(struct kit_result *result, unsigned times)
{
    for (unsigned call = 0; call < KIT_CALLS; call++)
        for (unsigned i = 0; i < times; i++)
            kit_latency_add(&result->latency[call], (uint64_t)(20 + i % 40 + (i % 50 == 0 ? i * i : 0)) << 2 * call);
}

static void add_contention(struct kit_result *result, unsigned count)
{
    result->contention_count = count;
    for (unsigned i = 0; i < count; i++)
        result->contention[i] = (struct kit_contention){i, 100000 + (uint64_t)i * 1000, (uint64_t)(i % 5) * 700};
}

/* Spans of equal length, four to an arena; one cell of four is live, kept or free as a whole, the fourth in parts. */
static void add_picture(struct kit_picture *picture, unsigned spans, unsigned cells_of_span)
{
    picture->cell_bytes = 256;
    picture->blocks = 54321;
    picture->bytes_left_out = spans == KIT_SPANS_MAX ? 12288 : 0;
    picture->span_count = spans;
    picture->cell_count = spans * cells_of_span;
    for (unsigned i = 0; i < spans; i++)
        picture->spans[i] = (struct kit_span){.base = UINT64_C(0x7F0000000000) + (uint64_t)i * 0x100000,
                                              .bytes = (uint64_t)cells_of_span * picture->cell_bytes,
                                              .arena = i / 4,
                                              .first_cell = i * cells_of_span,
                                              .cell_count = cells_of_span};
    for (unsigned i = 0; i < picture->cell_count; i++) {
        static const struct kit_cell kinds[] = {
            {KIT_SHARE_WHOLE, 0, 0}, {0, KIT_SHARE_WHOLE, 0}, {0, 0, KIT_SHARE_WHOLE}, {100, 50, 75}};

        picture->cells[i] = kinds[i % 4];
    }
}

static void make_plain(struct kit_result *result)
{
    *result = (struct kit_result){.verdict = KIT_PASSED,
                                  .ops = 1234567,
                                  .seconds = 2.5,
                                  .cpu_seconds = 4.25,
                                  .checks = 123,
                                  .peak_resident_bytes = UINT64_C(42) << 20};
    add_samples(result, 40, true);
    add_latency(result, 3000);
    add_contention(result, 8);
    add_picture(&result->picture, 9, 31);
}

/* Every byte but zero. The last one begins a character, and what lies behind in memory would end it. */
static void make_nasty(struct kit_result *result)
{
    static const char hostile[] =
        "</script><script>window.onerror('x')</script><!-- \"quotes\" 'and' ]]> &amp; \\ \n\t"
        "\xC3\xA9 \xF0\x9F\x92\xA5 \xEF\xBF\xBF \xED\xA0\x80 \xC0\xAF \xF4\x90\x80\x80 \xE2\x82";
    size_t length = sizeof hostile - 1;

    *result = (struct kit_result){.verdict = KIT_FAILED, .ops = 77, .seconds = 0.125};
    memcpy(result->reason, hostile, length);
    for (size_t i = 0; length + i < sizeof result->reason; i++)
        result->reason[length + i] = (char)(i % 255 + 1);
    result->reason[sizeof result->reason - 1] = '\xC3';
    memset((char *)result + offsetof(struct kit_result, reason) + sizeof result->reason, 0xA9,
           offsetof(struct kit_result, ops) - offsetof(struct kit_result, reason) - sizeof result->reason);
    add_samples(result, 1, true);
}

static void make_full(struct kit_result *result)
{
    *result = (struct kit_result){.verdict = KIT_PASSED,
                                  .ops = UINT64_MAX,
                                  .seconds = 1e300 * 1e300,
                                  .checks = UINT64_MAX,
                                  .tolerated = UINT64_MAX,
                                  .peak_resident_bytes = UINT64_MAX};
    add_samples(result, KIT_SAMPLES_MAX, false);
    for (unsigned i = 0; i < KIT_LATENCY_BUCKETS; i++)
        result->latency[KIT_CALL_ALLOCATE].counts[i] = UINT64_C(1) << (i % 40);
    add_contention(result, KIT_ARENAS_MAX);
    add_picture(&result->picture, KIT_SPANS_MAX, KIT_CELLS_MAX / KIT_SPANS_MAX);
}

static void make_rows(void)
{
    for (unsigned i = 0; i < ROWS; i++) {
        rows[i].scenario = &scenarios[i];
        rows[i].strategy = i == 2 ? "-" : "best";
        rows[i].cache_mode = i == 2 ? 0 : i % 2 == 0 ? STRESS_CACHE_ON : STRESS_CACHE_OFF;
        rows[i].cache = i == 2 ? "-" : i % 2 == 0 ? "on" : "off";
        (void)snprintf(rows[i].command, sizeof rows[i].command,
                       "HEAPSTER_OPTIONS='fill=on' heapster-stress --seed 1 \"%s\" && echo <done>", scenarios[i].name);
    }
    make_plain(&rows[0].result);
    make_nasty(&rows[1].result);
    rows[2].result.verdict = KIT_SKIPPED;
    (void)snprintf(rows[2].result.reason, sizeof rows[2].result.reason, "needs <Heapster> & its \"arenas\"");
    make_full(&rows[3].result);
    rows[4].result = (struct kit_result){.verdict = KIT_PASSED, .ops = 5, .seconds = 0.001, .checks = 1};
}

static int complain(const char *path)
{
    (void)fprintf(stderr, "kit-report: %s: %s\n", path, strerror(errno));
    return 1;
}

int main(int count, char **arguments)
{
    static const struct stress_options options = {.threads = 8,
                                                  .arenas = 3,
                                                  .ops = 150000,
                                                  .seed = UINT64_MAX,
                                                  .first_strategy = 2,
                                                  .last_strategy = 2,
                                                  .cache_modes = STRESS_CACHE_BOTH};
    struct stress_suite suite = {.options = &options,
                                 .allocator = {.name = "libother & \"sons\".so"},
                                 .program = "heapster-stress",
                                 .began_at = 1700000000.25,
                                 .ended_at = 1700000012.75,
                                 .row_count = ROWS,
                                 .rows = rows};

    make_rows();
    if (count == 3 && strcmp(arguments[1], "json") == 0)
        return stress_report_json(&suite, arguments[2]) ? 0 : complain(arguments[2]);
    if (count == 3 && strcmp(arguments[1], "junit") == 0)
        return stress_report_junit(&suite, arguments[2]) ? 0 : complain(arguments[2]);
    if (count == 3 && strcmp(arguments[1], "html") == 0)
        return stress_report_html(&suite, arguments[2]) ? 0 : complain(arguments[2]);
    (void)fputs("usage: kit-report json|junit|html FILE\n", stderr);
    return EXIT_USAGE;
}
