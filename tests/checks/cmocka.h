/*
 * The part of cmocka's interface that the tests use, for builds for which there is no cmocka that fits: another libc,
 * another processor, or MemorySanitizer, which reports falsely what a library that was not compiled for it has written.
 *
 * An assertion that fails says where and ends its test; the next one goes on. A signal ends the program: each test
 * is a program run of its own (tests/unit/CMakeLists.txt). Like cmocka.h it comes after <setjmp.h>, <stdarg.h>,
 * <stddef.h> and <stdint.h>.
 */
#ifndef CMOCKA_H
#define CMOCKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    CMUnitTestFunction test_func;
    CMFixtureFunction setup_func;
    CMFixtureFunction teardown_func;
    void *initial_state;
};

/* clang-format off */
#define cmocka_unit_test(function) { .name = #function, .test_func = (function) }
#define cmocka_unit_test_prestate(function, state) \
    { .name = #function, .test_func = (function), .initial_state = (state) }
/* clang-format on */

#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    checks_run(tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

/* The number of tests that failed; with a setup that failed, all. */
int checks_run(const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup, CMFixtureFunction teardown);

__attribute__((format(printf, 1, 2))) void print_message(const char *format, ...);
__attribute__((format(printf, 1, 2))) void print_error(const char *format, ...);

/* ---- assertions -------------------------------------------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 3, 4))) void checks_fail(const char *file, int line, const char *format, ...);
void checks_true(bool holds, const char *text, const char *file, int line);
void checks_equal(uint64_t found, uint64_t expected, const char *text, const char *file, int line);
void checks_text(const char *found, const char *expected, const char *file, int line);
void checks_bytes(const void *found, const void *expected, size_t bytes, const char *file, int line);

/* Integers of any type, as cmocka takes them. */
#define CHECKS_INTEGER(value) ((uint64_t)(value))

#define fail() checks_fail(__FILE__, __LINE__, "fail()")
#define fail_msg(...) checks_fail(__FILE__, __LINE__, __VA_ARGS__)
#define assert_true(condition) checks_true((condition) ? true : false, #condition, __FILE__, __LINE__)
#define assert_false(condition) checks_true((condition) ? false : true, "not " #condition, __FILE__, __LINE__)
#define assert_null(pointer) checks_true((pointer) == NULL, #pointer " is NULL", __FILE__, __LINE__)
#define assert_non_null(pointer) checks_true((pointer) != NULL, #pointer " is not NULL", __FILE__, __LINE__)
#define assert_ptr_equal(found, expected)                                                                              \
    checks_equal((uintptr_t)(const void *)(found), (uintptr_t)(const void *)(expected), #found " == " #expected,       \
                 __FILE__, __LINE__)
#define assert_ptr_not_equal(found, other)                                                                             \
    checks_true((const void *)(found) != (const void *)(other), #found " != " #other, __FILE__, __LINE__)
#define assert_int_equal(found, expected)                                                                              \
    checks_equal(CHECKS_INTEGER(found), CHECKS_INTEGER(expected), #found " == " #expected, __FILE__, __LINE__)
#define assert_in_range(value, least, most)                                                                            \
    checks_true(CHECKS_INTEGER(value) - CHECKS_INTEGER(least) <= CHECKS_INTEGER(most) - CHECKS_INTEGER(least),         \
                #value " is within " #least " and " #most, __FILE__, __LINE__)
#define assert_string_equal(found, expected) checks_text((found), (expected), __FILE__, __LINE__)
#define assert_memory_equal(found, expected, bytes) checks_bytes((found), (expected), (bytes), __FILE__, __LINE__)

#endif
