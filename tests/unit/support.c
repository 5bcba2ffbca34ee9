#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block.h"
#include "faults.h"
#include "options.h"
#include "pattern.h"
#include "rng.h"

int run_named(const struct CMUnitTest *tests, size_t count, int argc, char **argv)
{
    return run_named_with(tests, count, argc, argv, NULL, NULL);
}

int run_named_with(const struct CMUnitTest *tests, size_t count, int argc, char **argv, CMFixtureFunction begin,
                   CMFixtureFunction end)
{
    int failures = 0;
    bool found = false;

    (void)heapster_get_strategy(); /* makes the heap ready */
    for (size_t i = 0; i < count; i++) {
        struct CMUnitTest one[] = {tests[i]};

        if (argc > 1 && strcmp(argv[1], tests[i].name) != 0)
            continue;
        found = true;
        one[0].setup_func = begin;
        one[0].teardown_func = end;
        failures += cmocka_run_group_tests(one, NULL, NULL);
    }
    if (!found)
        (void)fprintf(stderr, "no test of this name: %s\n", argc > 1 ? argv[1] : "");
    return found && failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- children -------------------------------------------------------------------------------------------------- */

/* cmocka's handlers would go on with the tests in the child. */
static void default_signals(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGABRT, SIGALRM};

    for (size_t i = 0; i < COUNT_OF(fatal); i++)
        (void)signal(fatal[i], SIG_DFL);
}

static void read_all(int fd, char *text, size_t room)
{
    size_t length = 0;
    ssize_t got;

    do {
        char discarded[512];
        bool full = length + 1 >= room;

        got = full ? read(fd, discarded, sizeof discarded) : read(fd, text + length, room - 1 - length);
        if (got > 0 && !full)
            length += (size_t)got;
    } while (got > 0 || (got < 0 && errno == EINTR));
    text[length] = '\0';
}

/* qemu adds a line of its own where a signal ends the program. */
static void drop_emulators_line(char *text)
{
    char *line = strstr(text, "qemu: uncaught target signal ");

    if (line != NULL)
        *line = '\0';
}

void run_child(struct outcome *outcome, child_body *body, void *context)
{
    int ends[2];
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        default_signals();
        (void)alarm(CHILD_SECONDS);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        body(context);
        _exit(0);
    }
    (void)close(ends[1]);
    read_all(ends[0], outcome->text, sizeof outcome->text);
    drop_emulators_line(outcome->text);
    (void)close(ends[0]);
    while (waitpid(child, &outcome->status, 0) < 0)
        assert_int_equal(errno, EINTR);
}

struct again {
    const char *argument, *options;
};

static void execute_again(void *context)
{
    const struct again *again = context;
    char name[PATH_MAX], argument[64], options[256];
    char *const argv[] = {name, argument, NULL};
    /* What is read is right under Valgrind, too, which is itself what the link leads to. */
    ssize_t name_length = readlink("/proc/self/exe", name, sizeof name - 1);
    int length = snprintf(options, sizeof options, "cache=%s,%s", has_cache() ? "on" : "off",
                          again->options != NULL ? again->options : "");

    REQUIRE(name_length > 0);
    name[name_length] = '\0';
    REQUIRE(strlen(again->argument) < sizeof argument && length > 0 && (size_t)length < sizeof options);
    memcpy(argument, again->argument, strlen(again->argument) + 1);
    (void)setenv("HEAPSTER_OPTIONS", options, 1);
    (void)execv(name, argv);
    require_failed(__FILE__, __LINE__, "execv came back");
}

void run_again(struct outcome *outcome, const char *argument, const char *options)
{
    struct again again = {argument, options};

    run_child(outcome, execute_again, &again);
}

void assert_exits_with(const struct outcome *outcome, int code)
{
    if (!WIFEXITED(outcome->status) || WEXITSTATUS(outcome->status) != code)
        fail_msg("status %#x, expected exit code %d; standard error: %s", (unsigned)outcome->status, code,
                 outcome->text);
}

void assert_quiet_success(const struct outcome *outcome)
{
    assert_exits_with(outcome, 0);
    assert_string_equal(outcome->text, "");
}

void run_child_quietly(child_body *body, void *context)
{
    struct outcome outcome;

    run_child(&outcome, body, context);
    assert_quiet_success(&outcome);
}

void require_exit(pid_t child)
{
    int status;

    REQUIRE(child > 0);
    while (waitpid(child, &status, 0) < 0)
        REQUIRE(errno == EINTR);
    REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

size_t lines_of(const char *text)
{
    size_t lines = 0;

    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

bool is_misuse_report(const char *text, const char *what)
{
    char pattern[256];
    regex_t regex;
    bool matches;

    (void)snprintf(pattern, sizeof pattern, "^(heapster: %s: 0x[0-9a-f]+ \\([^\n]+, expected [^\n]+\\)\n)+$", what);
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    matches = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}

void require_failed(const char *file, int line, const char *condition)
{
    char text[512];
    int length = snprintf(text, sizeof text, "%s:%d: %s\n", file, line, condition);

    (void)hs_os_write(STDERR_FILENO, text, length > 0 ? (size_t)length : 0);
    _exit(99);
}

/* ---- the heap -------------------------------------------------------------------------------------------------- */

bool has_cache(void)
{
    return hs_load_relaxed(&hs_options.cache);
}

static void collect(const char *invariant, const void *address, const char *text, void *context)
{
    struct complaints *complaints = context;
    size_t length = strlen(complaints->numbers);

    (void)address;
    (void)text;
    complaints->count++;
    if (length + strlen(invariant) + 2 <= sizeof complaints->numbers) {
        memcpy(complaints->numbers + length, invariant, strlen(invariant));
        complaints->numbers[length + strlen(invariant)] = ' ';
    }
}

struct complaints complaints_of(enum heapster_check_mode mode)
{
    struct complaints complaints = {0, ""};
    size_t broken = heapster_check(mode, collect, &complaints);

    if (broken != complaints.count)
        complaints.count = SIZE_MAX;
    return complaints;
}

bool complains_of(const struct complaints *complaints, const char *number)
{
    const char *found = strstr(complaints->numbers, number);

    return found != NULL && found[strlen(number)] == ' ';
}

void assert_sound(void)
{
    struct complaints at_rest = complaints_of(HEAPSTER_CHECK_AT_REST);
    struct complaints running = complaints_of(HEAPSTER_CHECK_RUNNING);

    assert_string_equal(at_rest.numbers, "");
    assert_int_equal(at_rest.count, 0);
    assert_int_equal(running.count, 0);
}

static char letter_of(uint8_t state)
{
    if (hs_state_is_free(state))
        return 'F';
    if (state == HS_STATE_CACHED)
        return 'C';
    return state == HS_STATE_USED ? 'U' : 'B';
}

struct layout layout_of(const struct hs_arena *arena)
{
    struct hs_block *block = hs_region_first_block(arena->regions), *end = hs_region_end_tag(arena->regions);
    struct layout layout = {""};
    size_t length = 0;

    while (block < end && length + 24 < sizeof layout.text) {
        int added = snprintf(layout.text + length, sizeof layout.text - length, "%s%c%zu", length > 0 ? " " : "",
                             letter_of(hs_block_state(block)), hs_block_bytes(block));

        length += added > 0 ? (size_t)added : 0;
        block = hs_block_right(block);
    }
    return layout;
}

void use_break(void)
{
    (void)heapster_get_strategy(); /* makes the heap ready */
    hs_store_relaxed(&hs_os_break_is_ours, true);
}

void fail_os_calls(unsigned kinds)
{
    static struct kit_fault_plan plan;

    kit_faults_remove();
    if (kinds == 0)
        return;
    plan = (struct kit_fault_plan){.kinds = kinds, .per_mille = KIT_FAULT_ALWAYS, .first = 1};
    kit_faults_arm_all(&plan);
    kit_faults_install();
}

uint64_t os_calls_made(enum hs_os_call call)
{
    return hs_load_relaxed(&hs_os_calls[call]);
}

size_t process_bytes(enum process_size which)
{
    char text[128] = "", *at = text;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    unsigned long pages = 0;

    REQUIRE(fd >= 0 && read(fd, text, sizeof text - 1) > 0 && close(fd) == 0);
    /* Both in pages, first the address space, then what is resident. */
    for (int i = 0; i <= (int)which; i++)
        pages = strtoul(at, &at, 10);
    return pages * hs_os_page_bytes();
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

uint64_t next_random(uint64_t *state)
{
    struct kit_rng rng = {*state};
    uint64_t bits = kit_rng_next(&rng);

    *state = rng.state;
    return bits;
}

void fill_pattern(void *block, size_t bytes, unsigned seed)
{
    kit_pattern_fill(block, 0, bytes, kit_pattern_key(0, seed));
}

bool holds_pattern(const void *block, size_t bytes, unsigned seed)
{
    return kit_pattern_mismatch(block, 0, bytes, kit_pattern_key(0, seed)) == KIT_INTACT;
}

void fill_whole_block(void *payload, int byte)
{
    memset(payload, byte, heapster_usable_size(payload));
}

bool is_zero(const void *block, size_t bytes)
{
    return kit_pattern_first_nonzero(block, bytes) == KIT_INTACT;
}

size_t unforeseen(size_t number)
{
    volatile size_t hidden = number;

    return hidden;
}
