/*
 * heapster-stress: runs scenarios under each strategy asked for, and says what came of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "report.h"
#include "scenarios/list.h"
#include "suite.h"
#include "table.h"
#include "text.h"
#include "violation.h"

enum { EXIT_USAGE = 2, EXIT_SKIPPED = 77 };

/* HEAPSTER_OPTIONS is read before main; so it is extended, and the program started anew with it. */
static void start_with(const char *wanted, char **arguments)
{
    const char *environment = getenv("HEAPSTER_OPTIONS"), *old = environment != NULL ? environment : "";
    char options[1024];
    size_t old_length = strlen(old), length = strlen(wanted);

    if (old_length >= length && strcmp(old + old_length - length, wanted) == 0)
        return;
    errno = ENAMETOOLONG;
    if ((size_t)snprintf(options, sizeof options, "%s%s", old, wanted) < sizeof options &&
        setenv("HEAPSTER_OPTIONS", options, 1) == 0)
        (void)execv("/proc/self/exe", arguments);
    (void)fprintf(stderr, "heapster-stress: cannot start with ");
    perror(wanted + 1);
    exit(1);
}

static void list_scenarios(void)
{
    struct kit_text text = {.length = 0};

    for (const struct kit_scenario *const *each = stress_scenarios; *each != NULL; each++)
        kit_text_add(&text, "%-12s %s\n", (*each)->name, (*each)->summary);
    kit_text_write(&text, STDOUT_FILENO);
}

/* Before an hour has passed for nothing. */
static bool can_write(const char *path)
{
    int file;

    if (path == NULL || strcmp(path, "-") == 0)
        return true;
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0)
        return close(file) == 0;
    (void)fprintf(stderr, "heapster-stress: cannot write ");
    perror(path);
    return false;
}

static bool write_one(bool (*write_report)(const struct stress_suite *, const char *), const struct stress_suite *suite,
                      const char *path)
{
    if (path == NULL || write_report(suite, path))
        return true;
    (void)fprintf(stderr, "heapster-stress: cannot write ");
    perror(path);
    return false;
}

static bool write_reports(const struct stress_suite *suite)
{
    bool json = write_one(stress_report_json, suite, suite->options->json_path);
    bool junit = write_one(stress_report_junit, suite, suite->options->junit_path);
    bool html = write_one(stress_report_html, suite, suite->options->html_path);

    return json && junit && html;
}

static int run(const struct stress_options *options, const char *program)
{
    struct stress_suite suite = {
        .options = options,
        .allocator = options->system_allocator ? kit_system() : kit_heapster,
        .program = program,
    };
    struct stress_summary summary;

    if (suite.allocator.usable_size == NULL) {
        (void)fprintf(stderr, "heapster-stress: %s has no malloc_usable_size\n", suite.allocator.name);
        return EXIT_USAGE;
    }
    if (!can_write(options->json_path) || !can_write(options->junit_path) || !can_write(options->html_path))
        return 1;
    stress_table_header(&suite);
    stress_suite_run(&suite);
    stress_table_print(&suite);
    summary = stress_suite_summary(&suite);
    if (!write_reports(&suite) || summary.failed != 0)
        return 1;
    return summary.passed != 0 ? 0 : EXIT_SKIPPED;
}

/* Puts libc's own heap in place before Heapster first raises the break, so that nobody else moves it from here on, and
 * Heapster may lower it. */
static void prepare_libc(void)
{
    void *volatile block = malloc(1); /* volatile, or the pair would be optimised away */

    free(block);
}

int main(int argc, char **argv)
{
    struct stress_options options;
    char wanted[STRESS_ENVIRONMENT_BYTES];

    if (!stress_options_parse(argc, argv, &options))
        return EXIT_USAGE;
    if (options.list || options.help) {
        options.list ? list_scenarios() : stress_options_help();
        return 0;
    }
    stress_options_environment(&options, wanted);
    if (wanted[0] != '\0')
        start_with(wanted, argv);
    prepare_libc();
    (void)signal(SIGCHLD, SIG_DFL); /* whoever ignores it has no children to wait for */
    kit_violation_catch_signals();
    return run(&options, argv[0]);
}
