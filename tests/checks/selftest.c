/*
 * The stand-in for cmocka: each assertion lets pass what holds and finds what does not; what fails is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static int here, there;
static bool beyond; /* a test that has failed went on */
static int torn_down;

static void all_that_holds(void **state)
{
    assert_ptr_equal(*state, &here);
    assert_true(2);
    assert_true(state);
    assert_false(0);
    assert_null(NULL);
    assert_non_null(&here);
    assert_ptr_equal(&here, &here);
    assert_ptr_not_equal(&here, &there);
    assert_int_equal(-1, -1);
    assert_int_equal((size_t)7, 7);
    assert_in_range(3, 3, 5);
    assert_in_range(5, 3, 5);
    assert_string_equal("heap", "heap");
    assert_memory_equal("heap", "hear", 3);
}

/* One function for each assertion that must not hold. */
#define FINDS(name, assertion)                                                                                         \
    static void name(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        assertion;                                                                                                     \
        beyond = true;                                                                                                 \
    }

FINDS(finds_untrue, assert_true(here))
FINDS(finds_true, assert_false(state))
FINDS(finds_null, assert_non_null(NULL))
FINDS(finds_not_null, assert_null(&here))
FINDS(finds_another_pointer, assert_ptr_equal(&here, &there))
FINDS(finds_the_same_pointer, assert_ptr_not_equal(&here, &here))
FINDS(finds_another_integer, assert_int_equal(1, 2))
FINDS(finds_a_high_bit, assert_int_equal(UINT64_C(1) << 63, 0))
FINDS(finds_too_little, assert_in_range(2, 3, 5))
FINDS(finds_too_much, assert_in_range(6, 3, 5))
FINDS(finds_another_text, assert_string_equal("heap", "heaps"))
FINDS(finds_another_byte, assert_memory_equal("heap", "hear", 4))
#undef FINDS

static void finds_fail(void **state)
{
    (void)state;
    fail();
}

static void finds_fail_msg(void **state)
{
    (void)state;
    fail_msg("%d of %d", 1, 2);
}

static int refuse(void **state)
{
    (void)state;
    return -1;
}

static int note_teardown(void **state)
{
    (void)state;
    torn_down++;
    return 0;
}

static int give_state(void **state)
{
    *state = &here;
    return 0;
}

int main(void)
{
    const struct CMUnitTest sound[] = {cmocka_unit_test(all_that_holds)};
    const struct CMUnitTest prestate[] = {cmocka_unit_test_prestate(all_that_holds, &here)};
    struct CMUnitTest wrong[] = {
        cmocka_unit_test(finds_untrue),
        cmocka_unit_test(finds_true),
        cmocka_unit_test(finds_null),
        cmocka_unit_test(finds_not_null),
        cmocka_unit_test(finds_another_pointer),
        cmocka_unit_test(finds_the_same_pointer),
        cmocka_unit_test(finds_another_integer),
        cmocka_unit_test(finds_a_high_bit),
        cmocka_unit_test(finds_too_little),
        cmocka_unit_test(finds_too_much),
        cmocka_unit_test(finds_another_text),
        cmocka_unit_test(finds_another_byte),
        cmocka_unit_test(finds_fail),
        cmocka_unit_test(finds_fail_msg),
    };
    struct CMUnitTest refused[] = {cmocka_unit_test_prestate(all_that_holds, &here)};
    bool as_expected;

    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        wrong[i].teardown_func = note_teardown;
    refused[0].setup_func = refuse;
    as_expected =
        cmocka_run_group_tests(sound, give_state, NULL) == 0 && cmocka_run_group_tests(prestate, NULL, NULL) == 0 &&
        cmocka_run_group_tests(wrong, NULL, NULL) == (int)COUNT_OF(wrong) && torn_down == (int)COUNT_OF(wrong) &&
        !beyond && cmocka_run_group_tests(refused, NULL, NULL) == 1 &&
        cmocka_run_group_tests(prestate, refuse, NULL) == 1 && cmocka_run_group_tests(prestate, NULL, refuse) == 1;
    (void)puts(as_expected ? "selftest: as expected" : "selftest: NOT as expected");
    return as_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}
