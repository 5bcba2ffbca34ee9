/*
 * HEAPSTER_OPTIONS: what each option takes, and the one line about what it does not take. Texts are parsed in a child,
 * whose options are its own.
 */
#include "support.h"

#include <stdio.h>

#include "options.h"

/* ---- what is taken --------------------------------------------------------------------------------------------- */

static uint64_t value_of(const char *name)
{
    if (strcmp(name, "strategy") == 0)
        return hs_options.strategy;
    if (strcmp(name, "arenas") == 0)
        return hs_options.arenas;
    if (strcmp(name, "cache") == 0)
        return hs_options.cache;
    if (strcmp(name, "large_cache") == 0)
        return hs_options.large_cache;
    if (strcmp(name, "hugepages") == 0)
        return hs_options.hugepages;
    if (strcmp(name, "populate") == 0)
        return hs_options.populate;
    if (strcmp(name, "mmap_threshold") == 0)
        return hs_options.mmap_threshold;
    if (strcmp(name, "decay_ms") == 0)
        return hs_options.decay_ms;
    if (strcmp(name, "fill") == 0)
        return hs_options.fill;
    if (strcmp(name, "abort") == 0)
        return hs_options.abort_on_misuse;
    if (strcmp(name, "stats") == 0)
        return hs_options.stats_at_exit;
    REQUIRE(strcmp(name, "check") == 0);
    return hs_options.check_every;
}

struct good {
    const char *text, *name;
    uint64_t value;
};

static void parse_good(void *context)
{
    const struct good *good = context;

    hs_options_parse(good->text);
    REQUIRE(value_of(good->name) == good->value);
}

static void good_values_are_taken(void **state)
{
    static struct good table[] = {
        {"strategy=first", "strategy", HEAPSTER_FIRST_FIT},
        {"strategy=next", "strategy", HEAPSTER_NEXT_FIT},
        {"strategy=best", "strategy", HEAPSTER_BEST_FIT},
        {"strategy=worst", "strategy", HEAPSTER_WORST_FIT},
        {"arenas=1", "arenas", 1},
        {"arenas=254", "arenas", 254},
        {"cache=off", "cache", 0},
        {"cache=off,cache=on", "cache", 1},
        {"large_cache=off", "large_cache", 0},
        {"large_cache=off,large_cache=on", "large_cache", 1},
        {"hugepages=on", "hugepages", 1},
        {"hugepages=on,hugepages=off", "hugepages", 0},
        {"populate=on", "populate", 1},
        {"populate=on,populate=off", "populate", 0},
        {"decay_ms=0", "decay_ms", 0},
        {"decay_ms=4294967295", "decay_ms", UINT32_MAX},
        {"fill=on", "fill", 1},
        {"fill=on,fill=off", "fill", 0},
        {"abort=off", "abort", 0},
        {"abort=off,abort=on", "abort", 1},
        {"stats=exit", "stats", 1},
        {"check=1", "check", 1},
        {"check=100,check=0", "check", 0},
        {"mmap_threshold=1000000", "mmap_threshold", 1000000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        run_child_quietly(parse_good, &table[i]);
}

static void sizes_have_units(void **state)
{
    static struct good table[] = {
        {"mmap_threshold=100K", "mmap_threshold", (uint64_t)100 << 10},
        {"mmap_threshold=100k", "mmap_threshold", (uint64_t)100 << 10},
        {"mmap_threshold=3M", "mmap_threshold", (uint64_t)3 << 20},
        {"mmap_threshold=3m", "mmap_threshold", (uint64_t)3 << 20},
        {"mmap_threshold=2G", "mmap_threshold", (uint64_t)2 << 30},
        {"mmap_threshold=2g", "mmap_threshold", (uint64_t)2 << 30},
        {"mmap_threshold=17179869183G", "mmap_threshold", UINT64_C(17179869183) << 30},
        {"mmap_threshold=18446744073709551606", "mmap_threshold", UINT64_MAX - 9},
        {"mmap_threshold=18446744073709551615", "mmap_threshold", UINT64_MAX},
        /* What is too small counts as the least. */
        {"mmap_threshold=0", "mmap_threshold", HS_MMAP_THRESHOLD_LEAST},
        {"mmap_threshold=65535", "mmap_threshold", HS_MMAP_THRESHOLD_LEAST},
        {"mmap_threshold=65537", "mmap_threshold", 65537},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        run_child_quietly(parse_good, &table[i]);
}

static void empty_items_are_nothing(void **state)
{
    static struct good table[] = {
        {"", "check", 0},
        {",", "check", 0},
        {",,check=3,,", "check", 3},
        {NULL, "check", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        run_child_quietly(parse_good, &table[i]);
}

/* ---- what is not ----------------------------------------------------------------------------------------------- */

static void parse(void *context)
{
    hs_options_parse(context);
}

/* One line for each item of the text, in their order. */
static void assert_line(const char *text, const char *line)
{
    struct outcome outcome;
    char copy[256];

    assert_true(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    run_child(&outcome, parse, copy);
    assert_exits_with(&outcome, 0);
    assert_string_equal(outcome.text, line);
}

static void assert_bad_value(const char *item, const char *expected)
{
    char line[512];

    (void)snprintf(line, sizeof line, "heapster: bad value of an option: %s (ignored, expected %s)\n", item, expected);
    assert_line(item, line);
}

static void bad_words_are_reported_once(void **state)
{
    static const char *const switches[] = {"cache", "fill", "abort"};

    (void)state;
    assert_bad_value("strategy=fastest", "first, next, best or worst");
    assert_bad_value("strategy=", "first, next, best or worst");
    assert_bad_value("strategy", "first, next, best or worst");
    assert_bad_value("strategy=first ", "first, next, best or worst");
    assert_bad_value("stats=on", "exit");
    for (size_t i = 0; i < COUNT_OF(switches); i++) {
        char item[32];

        (void)snprintf(item, sizeof item, "%s=1", switches[i]);
        assert_bad_value(item, "on or off");
    }
}

static void bad_numbers_are_reported_once(void **state)
{
    static const char *const sizes[] = {
        "", "K", "1T", "1KK", "-1", "+1", " 1", "0x10", "1.5M", "18446744073709551616", "G1", "1 K", "17179869184G"};
    static const char *const numbers[] = {"", "1K", "4294967296", "99999999999999999999", "-1", "one"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char item[64];

        (void)snprintf(item, sizeof item, "mmap_threshold=%s", sizes[i]);
        assert_bad_value(item, "a size");
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        char item[64];

        (void)snprintf(item, sizeof item, "decay_ms=%s", numbers[i]);
        assert_bad_value(item, "milliseconds");
        (void)snprintf(item, sizeof item, "check=%s", numbers[i]);
        assert_bad_value(item, "a number");
    }
    assert_bad_value("arenas=0", "1 to 254");
    assert_bad_value("arenas=255", "1 to 254");
    assert_bad_value("arenas=", "1 to 254");
}

static void unknown_names_are_reported_once(void **state)
{
    static const char *const items[] = {"colour=red", "Strategy=best", "strategies=best", "=1", "x"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        char line[256];

        (void)snprintf(line, sizeof line, "heapster: unknown option: %s (ignored, expected a name from the README)\n",
                       items[i]);
        assert_line(items[i], line);
    }
}

static void bad_values_change_nothing(void **state)
{
    static struct good table[] = {
        {"strategy=best,strategy=none", "strategy", HEAPSTER_BEST_FIT},
        {"arenas=7,arenas=1000", "arenas", 7},
        {"mmap_threshold=1M,mmap_threshold=1X", "mmap_threshold", (uint64_t)1 << 20},
        {"abort=off,abort=perhaps", "abort", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct outcome outcome;

        run_child(&outcome, parse_good, &table[i]);
        assert_exits_with(&outcome, 0);
        assert_int_equal(lines_of(outcome.text), 1);
    }
}

static void parse_mixed(void *context)
{
    (void)context;
    hs_options_parse("fill=on,bogus=1,check=7,arenas=0,decay_ms=5");
    REQUIRE(hs_options.fill && hs_options.check_every == 7 && hs_options.decay_ms == 5 && hs_options.arenas == 0);
}

static void good_items_beside_bad_ones_are_taken(void **state)
{
    struct outcome outcome;

    (void)state;
    run_child(&outcome, parse_mixed, NULL);
    assert_exits_with(&outcome, 0);
    assert_string_equal(outcome.text, "heapster: unknown option: bogus=1 (ignored, expected a name from the README)\n"
                                      "heapster: bad value of an option: arenas=0 (ignored, expected 1 to 254)\n");
}

static void long_and_unprintable_items_are_cut(void **state)
{
    char text[200], shown[81], line[256];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    text[1] = '\n';
    text[2] = '\x1b';
    memcpy(shown, text, 80);
    shown[80] = '\0';
    shown[1] = shown[2] = '?';
    (void)snprintf(line, sizeof line, "heapster: unknown option: %s (ignored, expected a name from the README)\n",
                   shown);
    assert_line(text, line);
}

/* ---- the environment ------------------------------------------------------------------------------------------- */

static void environment_is_read_at_the_start(void **state)
{
    struct outcome outcome;

    (void)state;
    run_again(&outcome, "--strategy", "strategy=worst");
    assert_exits_with(&outcome, 10 + HEAPSTER_WORST_FIT);
    assert_string_equal(outcome.text, "");
    run_again(&outcome, "--strategy", NULL);
    assert_exits_with(&outcome, 10 + HEAPSTER_FIRST_FIT);
    assert_string_equal(outcome.text, "");
}

static void environment_is_reported_once(void **state)
{
    struct outcome outcome;

    (void)state;
    run_again(&outcome, "--strategy", "bogus,strategy=best");
    assert_exits_with(&outcome, 10 + HEAPSTER_BEST_FIT);
    assert_string_equal(outcome.text, "heapster: unknown option: bogus (ignored, expected a name from the README)\n");
}

static void stats_are_printed_at_exit(void **state)
{
    struct outcome outcome;

    (void)state;
    run_again(&outcome, "--strategy", "stats=exit");
    assert_exits_with(&outcome, 10 + HEAPSTER_FIRST_FIT);
    assert_non_null(strstr(outcome.text, "heapster: allocations "));
    assert_non_null(strstr(outcome.text, "heapster: os_purged_bytes "));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values_are_taken),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(empty_items_are_nothing),
        cmocka_unit_test(bad_words_are_reported_once),
        cmocka_unit_test(bad_numbers_are_reported_once),
        cmocka_unit_test(unknown_names_are_reported_once),
        cmocka_unit_test(bad_values_change_nothing),
        cmocka_unit_test(good_items_beside_bad_ones_are_taken),
        cmocka_unit_test(long_and_unprintable_items_are_cut),
        cmocka_unit_test(environment_is_read_at_the_start),
        cmocka_unit_test(environment_is_reported_once),
        cmocka_unit_test(stats_are_printed_at_exit),
    };

    if (argc == 2 && strcmp(argv[1], "--strategy") == 0)
        return 10 + (int)heapster_get_strategy();
    return run_named(tests, COUNT_OF(tests), argc, argv);
}
