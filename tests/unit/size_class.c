/*
 * The sizes that caches keep blocks of: for every size of block up to the largest, which class serves it, and what that
 * rounds up.
 */
#include "support.h"

#include "size_class.h"

#define LARGEST_BYTES (HS_CLASS_UNITS_MOST * HS_ALIGNMENT)

/* Found by looking at all of them. */
static unsigned smallest_class_that_holds(size_t block_bytes)
{
    unsigned found = HS_CLASS_NONE;

    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++)
        if (hs_class_bytes(i) >= block_bytes && (found == HS_CLASS_NONE || hs_class_bytes(i) < hs_class_bytes(found)))
            found = i;
    return found;
}

static void classes_ascend(void **state)
{
    (void)state;
    assert_int_equal(hs_class_bytes(HS_CLASS_FIRST), HS_BLOCK_BYTES_LEAST);
    for (unsigned i = HS_CLASS_FIRST; i + 1 < HS_CLASSES; i++) {
        assert_int_equal(hs_class_bytes(i) % HS_ALIGNMENT, 0);
        assert_true(hs_class_bytes(i) < hs_class_bytes(i + 1));
    }
    assert_int_equal(hs_class_bytes(HS_CLASSES - 1), LARGEST_BYTES);
}

static void every_size_gets_the_smallest_class_that_holds_it(void **state)
{
    (void)state;
    for (size_t bytes = HS_BLOCK_BYTES_LEAST; bytes <= LARGEST_BYTES; bytes += HS_ALIGNMENT)
        assert_int_equal(hs_class_for(bytes), smallest_class_that_holds(bytes));
}

static void tiny_sizes_are_not_rounded(void **state)
{
    (void)state;
    assert_true(HS_TINY_BLOCK_BYTES_MOST > 1024);
    for (size_t bytes = HS_BLOCK_BYTES_LEAST; bytes <= HS_TINY_BLOCK_BYTES_MOST; bytes += HS_ALIGNMENT) {
        assert_int_equal(hs_class_bytes(hs_class_for(bytes)), bytes);
        assert_int_equal(hs_class_for(bytes), bytes / HS_ALIGNMENT);
    }
}

static void an_eighth_is_rounded_up_at_most(void **state)
{
    (void)state;
    for (size_t bytes = HS_BLOCK_BYTES_LEAST; bytes <= LARGEST_BYTES; bytes += HS_ALIGNMENT) {
        size_t rounded_up = hs_class_bytes(hs_class_for(bytes)) - bytes;

        assert_true(rounded_up * 8 <= bytes);
    }
}

static void powers_of_two_are_not_rounded(void **state)
{
    (void)state;
    for (size_t bytes = 32; bytes <= (size_t)64 << 10; bytes *= 2)
        assert_int_equal(hs_class_bytes(hs_class_for(hs_block_bytes_for(bytes))), bytes + HS_ALIGNMENT);
}

static void a_request_of_64_kib_has_a_class(void **state)
{
    (void)state;
    assert_true(hs_block_bytes_for((size_t)64 << 10) <= LARGEST_BYTES);
    assert_int_equal(hs_block_bytes_for(HS_CLASS_PAYLOAD_BYTES_MOST), LARGEST_BYTES);
    assert_true(hs_block_bytes_for(HS_CLASS_PAYLOAD_BYTES_MOST + 1) > LARGEST_BYTES);
}

/* A block may be longer than a class by what was too short to be cut off: it is of no class then, or of another one. */
static void blocks_of_exactly_its_size_are_of_a_class(void **state)
{
    (void)state;
    for (unsigned units = 0; units < 2 * HS_CLASS_UNITS_MOST; units++) {
        unsigned index = hs_class_of(units), exact = HS_CLASS_NONE;

        for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++)
            if (hs_class_bytes(i) == units * HS_ALIGNMENT)
                exact = i;
        assert_int_equal(index, exact);
    }
    assert_int_equal(hs_class_of((1U << 24) - 1), HS_CLASS_NONE);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_ascend),
        cmocka_unit_test(every_size_gets_the_smallest_class_that_holds_it),
        cmocka_unit_test(tiny_sizes_are_not_rounded),
        cmocka_unit_test(an_eighth_is_rounded_up_at_most),
        cmocka_unit_test(powers_of_two_are_not_rounded),
        cmocka_unit_test(a_request_of_64_kib_has_a_class),
        cmocka_unit_test(blocks_of_exactly_its_size_are_of_a_class),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
