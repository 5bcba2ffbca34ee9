#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cmocka.h"

/* Where a test that fails goes on: in checks_run, one test at a time, by one thread. */
static jmp_buf after_test;

static void print_line(FILE *stream, const char *format, va_list arguments)
{
    (void)vfprintf(stream, format, arguments);
    (void)fflush(stream);
}

void print_message(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(stdout, format, arguments);
    va_end(arguments);
}

void print_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(stderr, format, arguments);
    va_end(arguments);
}

/* ---- assertions -------------------------------------------------------------------------------------------------- */

void checks_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;

    print_error("%s:%d: ", file, line);
    va_start(arguments, format);
    print_line(stderr, format, arguments);
    va_end(arguments);
    print_error("\n");
    longjmp(after_test, 1);
}

void checks_true(bool holds, const char *text, const char *file, int line)
{
    if (!holds)
        checks_fail(file, line, "not so: %s", text);
}

void checks_equal(uint64_t found, uint64_t expected, const char *text, const char *file, int line)
{
    if (found != expected)
        checks_fail(file, line, "not so: %s: found 0x%llx, expected 0x%llx", text, (unsigned long long)found,
                    (unsigned long long)expected);
}

void checks_text(const char *found, const char *expected, const char *file, int line)
{
    if (strcmp(found, expected) != 0)
        checks_fail(file, line, "found \"%s\", expected \"%s\"", found, expected);
}

void checks_bytes(const void *found, const void *expected, size_t bytes, const char *file, int line)
{
    const unsigned char *left = found, *right = expected;

    for (size_t i = 0; i < bytes; i++)
        if (left[i] != right[i])
            checks_fail(file, line, "byte %zu of %zu is 0x%02x, expected 0x%02x", i, bytes, left[i], right[i]);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Where the jump comes back to: no variable of this function changes after setjmp. False where an assertion failed. */
static bool comes_through(CMUnitTestFunction test, void **state)
{
    if (setjmp(after_test) != 0)
        return false;
    test(state);
    return true;
}

/* The same of a fixture, which may say itself that it failed; where there is none, nothing did. */
static bool is_ready(CMFixtureFunction fixture, void **state)
{
    if (fixture == NULL)
        return true;
    if (setjmp(after_test) != 0)
        return false;
    return fixture(state) == 0;
}

static bool run_test(const struct CMUnitTest *test, void *group_state)
{
    void *state = test->initial_state != NULL ? test->initial_state : group_state;
    bool passed;

    print_message("[ RUN      ] %s\n", test->name);
    passed = is_ready(test->setup_func, &state) && comes_through(test->test_func, &state);
    passed = is_ready(test->teardown_func, &state) && passed;
    print_message(passed ? "[       OK ] %s\n" : "[  FAILED  ] %s\n", test->name);
    return passed;
}

int checks_run(const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup, CMFixtureFunction teardown)
{
    void *state = NULL;
    int failures = 0;

    if (!is_ready(setup, &state)) {
        print_error("the tests' setup failed\n");
        return (int)count;
    }
    for (size_t i = 0; i < count; i++)
        failures += run_test(&tests[i], state) ? 0 : 1;
    if (!is_ready(teardown, &state)) {
        print_error("the tests' teardown failed\n");
        failures++;
    }
    return failures;
}
