#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "output.h"

/* What XML 1.0 can say at all (production Char). */
static bool is_allowed(uint32_t character)
{
    return character == '\t' || character == '\n' || character == '\r' ||
           (character >= 0x20 && character != 0xFFFE && character != 0xFFFF);
}

/* Good for attributes and for text: white space but for the blank is written as a number, or it would not survive. */
static void write_text(FILE *file, const char *bytes, size_t room)
{
    struct stress_characters text = {bytes, room};
    uint32_t character;

    while (stress_characters_next(&text, &character)) {
        if (!is_allowed(character))
            character = STRESS_REPLACEMENT;
        if (character < 0x20 || character == '<' || character == '>' || character == '&' || character == '"')
            (void)fprintf(file, "&#%" PRIu32 ";", character);
        else
            stress_output_character(file, character);
    }
}

static double seconds_of(const struct kit_result *result)
{
    return isfinite(result->seconds) && result->seconds > 0 ? result->seconds : 0;
}

/* A reason may be several lines: the first is the message, all of them the text, with the command. */
static void write_failure(FILE *file, const struct stress_row *row, const char *reason, size_t room)
{
    size_t line = 0;

    while (line < room && reason[line] != '\0' && reason[line] != '\n')
        line++;
    (void)fprintf(file, "    <failure type=\"%s\" message=\"", stress_verdict_name(row->result.verdict));
    write_text(file, reason, line);
    (void)fputs("\">", file);
    write_text(file, reason, room);
    (void)fputs("&#10;", file);
    write_text(file, row->command, sizeof row->command);
    (void)fputs("</failure>\n", file);
}

static void write_skipped(FILE *file, const struct kit_result *result)
{
    (void)fputs("    <skipped message=\"", file);
    write_text(file, result->reason, sizeof result->reason);
    (void)fputs("\"/>\n", file);
}

static void write_row(FILE *file, const struct stress_row *row)
{
    const struct kit_result *result = &row->result;

    (void)fputs("   <testcase classname=\"heapster-stress.", file);
    write_text(file, row->strategy, SIZE_MAX);
    if (row->cache_mode != 0)
        (void)fprintf(file, ".cache-%s", row->cache);
    (void)fputs("\" name=\"", file);
    write_text(file, row->scenario->name, SIZE_MAX);
    (void)fprintf(file, "\" time=\"%.3f\">\n", seconds_of(result));
    if (result->verdict == KIT_FAILED)
        write_failure(file, row, result->reason, sizeof result->reason);
    else if (result->verdict == KIT_NOT_RUN)
        write_failure(file, row, "not run", SIZE_MAX);
    else if (result->verdict == KIT_SKIPPED)
        write_skipped(file, result);
    (void)fputs("   </testcase>\n", file);
}

static void write_property(FILE *file, const char *name, const char *value)
{
    (void)fprintf(file, "   <property name=\"%s\" value=\"", name);
    write_text(file, value, SIZE_MAX);
    (void)fputs("\"/>\n", file);
}

static void write_properties(FILE *file, const struct stress_suite *suite)
{
    (void)fputs("  <properties>\n", file);
    write_property(file, "allocator", suite->allocator.name);
    (void)fprintf(file, "   <property name=\"seed\" value=\"%" PRIu64 "\"/>\n", suite->options->seed);
    (void)fprintf(file, "   <property name=\"threads\" value=\"%u\"/>\n", suite->options->threads);
    (void)fputs("  </properties>\n", file);
}

static void write_counts(FILE *file, const struct stress_suite *suite)
{
    struct stress_summary summary = stress_suite_summary(suite);
    double seconds = 0;

    for (unsigned i = 0; i < suite->row_count; i++)
        seconds += seconds_of(&suite->rows[i].result);
    (void)fprintf(file, " tests=\"%u\" failures=\"%u\" errors=\"0\" skipped=\"%u\" time=\"%.3f\"", suite->row_count,
                  summary.failed, summary.skipped, seconds);
}

static void write_suite(FILE *file, const struct stress_suite *suite)
{
    time_t began = (time_t)suite->began_at;
    struct tm calendar;
    char timestamp[32] = "1970-01-01T00:00:00";

    if (gmtime_r(&began, &calendar) != NULL)
        (void)strftime(timestamp, sizeof timestamp, "%Y-%m-%dT%H:%M:%S", &calendar);
    (void)fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"heapster-stress\"", file);
    write_counts(file, suite);
    (void)fprintf(file, ">\n <testsuite name=\"heapster-stress\" timestamp=\"%s\"", timestamp);
    write_counts(file, suite);
    (void)fputs(">\n", file);
    write_properties(file, suite);
    for (unsigned i = 0; i < suite->row_count; i++)
        write_row(file, &suite->rows[i]);
    (void)fputs(" </testsuite>\n</testsuites>\n", file);
}

bool stress_report_junit(const struct stress_suite *suite, const char *path)
{
    FILE *file = stress_output_open(path);

    if (file == NULL)
        return false;
    write_suite(file, suite);
    return stress_output_close(file);
}
