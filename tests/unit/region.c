/*
 * The region map and the list of overlays. The map never looks at the memory it leads to, so most addresses here are
 * made up, far from where a process has anything.
 */
#include "support.h"

#include "region.h"

#define LEAF_BYTES ((uintptr_t)1 << 32)

/* Made-up addresses: each test has a range of its own, so that leaves made by one are none of another's. */
static char *made_up(unsigned range)
{
    return (char *)(UINT64_C(0x100000000000) + (uintptr_t)range * 4 * LEAF_BYTES); // NOLINT(performance-no-int-to-ptr)
}

static struct hs_region *take_region(char *base, size_t bytes)
{
    struct hs_region *region = hs_region_take();

    assert_non_null(region);
    region->base = base;
    region->bytes = bytes;
    region->kind = HS_REGION_MAPPED;
    return region;
}

static void descriptors_are_zeroed_and_used_again(void **state)
{
    struct hs_region *first = take_region(made_up(0), 1), *second;

    (void)state;
    assert_non_null(first);
    hs_region_give(first);
    second = hs_region_take();
    assert_ptr_equal(second, first);
    assert_true(is_zero(second, sizeof *second));
    hs_region_give(second);
}

static void every_granule_leads_to_the_region(void **state)
{
    char *base = made_up(1);
    size_t bytes = 5 * HS_GRANULE_BYTES;
    struct hs_region *region = take_region(base, bytes);

    (void)state;
    assert_null(hs_region_find(base));
    assert_true(hs_region_enter(region, base, bytes));
    for (size_t offset = 0; offset < bytes; offset += 4096)
        assert_ptr_equal(hs_region_find(base + offset), region);
    assert_ptr_equal(hs_region_find(base + bytes - 1), region);
    assert_null(hs_region_find(base - 1));
    assert_null(hs_region_find(base + bytes));
    assert_false(hs_region_was_released(base));
    hs_region_leave(base, bytes);
    hs_region_give(region);
}

static void released_granules_are_remembered(void **state)
{
    char *base = made_up(2);
    struct hs_region *region = take_region(base, 3 * HS_GRANULE_BYTES);

    (void)state;
    assert_true(hs_region_enter(region, base, 3 * HS_GRANULE_BYTES));
    hs_region_leave(base + HS_GRANULE_BYTES, 2 * HS_GRANULE_BYTES);
    assert_ptr_equal(hs_region_find(base), region);
    assert_false(hs_region_was_released(base));
    assert_null(hs_region_find(base + HS_GRANULE_BYTES));
    assert_true(hs_region_was_released(base + HS_GRANULE_BYTES));
    assert_true(hs_region_was_released(base + 3 * HS_GRANULE_BYTES - 1));
    assert_false(hs_region_was_released(base + 3 * HS_GRANULE_BYTES));
    assert_true(hs_region_enter(region, base + HS_GRANULE_BYTES, HS_GRANULE_BYTES));
    assert_false(hs_region_was_released(base + HS_GRANULE_BYTES));
    hs_region_leave(base, 2 * HS_GRANULE_BYTES);
    hs_region_give(region);
}

static void region_may_span_two_leaves(void **state)
{
    char *base = made_up(3) + LEAF_BYTES - 2 * HS_GRANULE_BYTES;
    struct hs_region *region = take_region(base, 4 * HS_GRANULE_BYTES);

    (void)state;
    assert_true(hs_region_enter(region, base, 4 * HS_GRANULE_BYTES));
    for (unsigned i = 0; i < 4; i++)
        assert_ptr_equal(hs_region_find(base + (size_t)i * HS_GRANULE_BYTES), region);
    hs_region_leave(base, 4 * HS_GRANULE_BYTES);
    hs_region_give(region);
}

static void addresses_that_no_process_has(void **state)
{
    static const uintptr_t addresses[] = {UINT64_C(1) << 48, UINT64_C(0xFFFF800000000000), UINTPTR_MAX - 15};
    struct hs_region *region = take_region(NULL, HS_GRANULE_BYTES);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        char *address = (char *)addresses[i]; // NOLINT(performance-no-int-to-ptr)

        assert_null(hs_region_find(address));
        assert_false(hs_region_was_released(address));
        assert_false(hs_region_enter(region, address, HS_GRANULE_BYTES));
    }
    assert_null(hs_region_find(NULL));
    assert_null(hs_region_find((char *)(UINT64_C(1) << 48) - 1)); // NOLINT(performance-no-int-to-ptr)
    hs_region_give(region);
}

static void enter_fails_where_no_leaf_can_be_mapped(void **state)
{
    char *base = made_up(4) + LEAF_BYTES - 2 * HS_GRANULE_BYTES;
    struct hs_region *region = take_region(base, 4 * HS_GRANULE_BYTES), *reserve = hs_region_take();
    bool entered, entered_across, entered_later;

    (void)state;
    fail_os_calls(1U << HS_OS_MMAP);
    entered = hs_region_enter(region, base, HS_GRANULE_BYTES);
    fail_os_calls(0);
    assert_false(entered);
    assert_null(hs_region_find(base));
    /* The first leaf is there now, the second is not. */
    assert_true(hs_region_enter(reserve, base - HS_GRANULE_BYTES, HS_GRANULE_BYTES));
    fail_os_calls(1U << HS_OS_MMAP);
    entered_across = hs_region_enter(region, base, 4 * HS_GRANULE_BYTES);
    fail_os_calls(0);
    assert_false(entered_across);
    for (unsigned i = 0; i < 4; i++)
        assert_null(hs_region_find(base + (size_t)i * HS_GRANULE_BYTES));
    assert_ptr_equal(hs_region_find(base - HS_GRANULE_BYTES), reserve);
    entered_later = hs_region_enter(region, base, 4 * HS_GRANULE_BYTES);
    assert_true(entered_later);
    hs_region_leave(base - HS_GRANULE_BYTES, 5 * HS_GRANULE_BYTES);
    hs_region_give(region);
    hs_region_give(reserve);
}

/* A reserved leaf makes entering a place that has none safe from failing. */
static void reserved_leaf_goes_where_one_is_missing(void **state)
{
    char *base = made_up(5);
    struct hs_region *region = take_region(base, HS_GRANULE_BYTES);
    struct hs_region_leaf *reserved = hs_region_reserve_leaf();

    (void)state;
    assert_non_null(reserved);
    fail_os_calls(1U << HS_OS_MMAP);
    hs_region_enter_reserved(region, base, reserved);
    fail_os_calls(0);
    assert_ptr_equal(hs_region_find(base), region);
    hs_region_leave(base, HS_GRANULE_BYTES);
    hs_region_give(region);
}

static void reserved_leaf_that_is_not_needed_is_kept_or_unmapped(void **state)
{
    char *base = made_up(6);
    struct hs_region *region = take_region(base, HS_GRANULE_BYTES);
    struct hs_region_leaf *first = hs_region_reserve_leaf(), *second = hs_region_reserve_leaf(), *third;
    uint64_t mapped, unmapped;

    (void)state;
    assert_true(hs_region_enter(region, base, HS_GRANULE_BYTES));
    hs_region_enter_reserved(region, base, first); /* the spare one from now on */
    unmapped = os_calls_made(HS_OS_MUNMAP);
    hs_region_enter_reserved(region, base, second);
    assert_int_equal(os_calls_made(HS_OS_MUNMAP), unmapped + 1);
    mapped = os_calls_made(HS_OS_MMAP);
    third = hs_region_reserve_leaf();
    assert_ptr_equal(third, first);
    assert_int_equal(os_calls_made(HS_OS_MMAP), mapped);
    hs_region_enter_reserved(region, base, third);
    assert_ptr_equal(hs_region_find(base), region);
    hs_region_leave(base, HS_GRANULE_BYTES);
    hs_region_give(region);
}

static void reserving_fails_where_no_leaf_can_be_mapped(void **state)
{
    struct hs_region_leaf *reserved, *spare;

    (void)state;
    fail_os_calls(1U << HS_OS_MMAP);
    spare = hs_region_reserve_leaf(); /* one may be waiting */
    reserved = hs_region_reserve_leaf();
    fail_os_calls(0);
    (void)spare;
    assert_null(reserved);
}

static void holds_is_true_within_alone(void **state)
{
    char *base = made_up(7);
    struct hs_region *region = take_region(base, 100);

    (void)state;
    assert_true(hs_region_holds(region, base));
    assert_true(hs_region_holds(region, base + 99));
    assert_false(hs_region_holds(region, base + 100));
    assert_false(hs_region_holds(region, base - 1));
    hs_region_give(region);
}

static void innermost_overlay_is_found(void **state)
{
    char *base = made_up(8);
    struct hs_region *outer = take_region(base, 10000), *middle = take_region(base + 1000, 5000);
    struct hs_region *inner = take_region(base + 2000, 100), *beside = take_region(base + 20000, 16);

    (void)state;
    hs_region_overlay_add(middle);
    hs_region_overlay_add(inner);
    hs_region_overlay_add(outer);
    hs_region_overlay_add(beside);
    assert_ptr_equal(hs_region_overlay_find(base + 999), outer);
    assert_ptr_equal(hs_region_overlay_find(base + 1000), middle);
    assert_ptr_equal(hs_region_overlay_find(base + 2000), inner);
    assert_ptr_equal(hs_region_overlay_find(base + 2099), inner);
    assert_ptr_equal(hs_region_overlay_find(base + 2100), middle);
    assert_ptr_equal(hs_region_overlay_find(base + 20015), beside);
    assert_null(hs_region_overlay_find(base + 20016));
    hs_region_overlay_remove(inner);
    assert_ptr_equal(hs_region_overlay_find(base + 2000), middle);
    hs_region_overlay_remove(outer);
    assert_null(hs_region_overlay_find(base));
    hs_region_overlay_remove(beside);
    hs_region_overlay_remove(middle);
    assert_null(hs_region_overlay_find(base + 2000));
    hs_region_give(outer);
    hs_region_give(middle);
    hs_region_give(inner);
    hs_region_give(beside);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_zeroed_and_used_again),
        cmocka_unit_test(every_granule_leads_to_the_region),
        cmocka_unit_test(released_granules_are_remembered),
        cmocka_unit_test(region_may_span_two_leaves),
        cmocka_unit_test(addresses_that_no_process_has),
        cmocka_unit_test(enter_fails_where_no_leaf_can_be_mapped),
        cmocka_unit_test(reserved_leaf_goes_where_one_is_missing),
        cmocka_unit_test(reserved_leaf_that_is_not_needed_is_kept_or_unmapped),
        cmocka_unit_test(reserving_fails_where_no_leaf_can_be_mapped),
        cmocka_unit_test(holds_is_true_within_alone),
        cmocka_unit_test(innermost_overlay_is_found),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
