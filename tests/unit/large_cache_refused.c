/*
 * Mappings that were freed and are kept, in bad times: where the kernel refuses, where a program frees or resizes them
 * once more, and where the cache itself is broken.
 */
#include "large_cache_support.h"

/* ---- a kernel that refuses ------------------------------------------------------------------------------------- */

/* The new mapping is refused while the cache holds something. */
static bool refuse_first_mapping(enum hs_os_call call)
{
    return call == HS_OS_MREMAP || (call == HS_OS_MMAP && hs_large_all_cached_bytes() > 0);
}

static void cache_is_emptied_before_no_is_said(void **state)
{
    char *block = take(2 * MEBIBYTE), *larger;

    (void)state;
    heapster_free(block);
    hs_os_fault = refuse_first_mapping;
    larger = heapster_malloc(4 * MEBIBYTE);
    hs_os_fault = NULL;
    assert_non_null(larger);
    assert_int_equal(hs_heap_large.cached_runs, 0);
    assert_sound();
    heapster_free(larger);
}

static void arena_that_cannot_grow_empties_the_cache(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    void *small;

    (void)state;
    heapster_free(heapster_arena_malloc(arena, 2 * MEBIBYTE));
    assert_int_equal(inside(arena)->large->cached_runs, 1);
    hs_os_fault = refuse_first_mapping;
    small = heapster_arena_malloc(arena, 1000);
    hs_os_fault = NULL;
    assert_non_null(small);
    assert_int_equal(hs_large_all_cached_bytes(), 0);
    heapster_arena_destroy(arena);
    assert_sound();
}

static bool refuse_first_remapping(enum hs_os_call call)
{
    return call == HS_OS_MREMAP && hs_large_all_cached_bytes() > 0;
}

static void growth_empties_the_cache_before_it_fails(void **state)
{
    char *other = take(2 * MEBIBYTE), *block = take(MEBIBYTE), *wall = take(MEBIBYTE), *grown;

    (void)state;
    heapster_free(other);
    fill_pattern(block, MEBIBYTE, 4);
    hs_os_fault = refuse_first_remapping;
    grown = heapster_realloc(block, 8 * MEBIBYTE);
    hs_os_fault = NULL;
    assert_non_null(grown);
    assert_int_equal(hs_large_all_cached_bytes(), 0);
    assert_true(holds_pattern(grown, MEBIBYTE, 4));
    assert_sound();
    heapster_free(grown);
    heapster_free(wall);
}

/* A run that can be neither lengthened nor replaced stays where it was. */
static void run_that_cannot_be_lengthened_stays(void **state)
{
    char *block = take(2 * MEBIBYTE);
    size_t bytes;

    (void)state;
    heapster_free(block);
    bytes = hs_heap_large.cached_bytes;
    fail_os_calls(~0U);
    block = heapster_malloc(unforeseen((size_t)8 << 20));
    fail_os_calls(0);
    assert_null(block);
    assert_true(hs_heap_large.cached_bytes == bytes || hs_heap_large.idle != NULL);
    assert_sound();
}

/* What the kernel will not take back is emptied, and serves later. */
static void refused_runs_become_idle(void **state)
{
    char *block = take(MEBIBYTE), *again;

    (void)state;
    memset(block, 0xEE, MEBIBYTE);
    heapster_free(block);
    fail_os_calls(1U << HS_OS_MUNMAP);
    (void)heapster_trim(0);
    fail_os_calls(0);
    assert_int_equal(hs_heap_large.cached_runs, 0);
    assert_non_null(hs_heap_large.idle);
    assert_sound();
    again = heapster_calloc(1, MEBIBYTE);
    assert_ptr_equal(again, block);
    assert_true(is_zero(again, MEBIBYTE));
    heapster_free(again);
    assert_true(heapster_trim(0));
}

/* Each kind of call refused in turn, and all together, while blocks come and go. */
static void blocks_come_and_go_without(unsigned kinds)
{
    char *blocks[16] = {NULL};
    uint64_t random = 4711 + kinds;

    for (unsigned i = 0; i < 100; i++) {
        unsigned slot = (unsigned)(next_random(&random) % COUNT_OF(blocks));
        size_t bytes = 300000 + (size_t)(next_random(&random) % 600000);

        fail_os_calls(next_random(&random) % 4 == 0 ? kinds : 0);
        if (next_random(&random) % 3 == 0 && blocks[slot] != NULL) {
            char *resized = heapster_realloc(blocks[slot], bytes);

            blocks[slot] = resized != NULL ? resized : blocks[slot];
        } else {
            heapster_free(blocks[slot]);
            blocks[slot] = heapster_calloc(1, bytes);
            REQUIRE(blocks[slot] == NULL || is_zero(blocks[slot], bytes));
        }
        fail_os_calls(0);
        if (blocks[slot] != NULL)
            fill_whole_block(blocks[slot], 0xC5);
        if (i % 10 == 0)
            REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
    }
    for (unsigned slot = 0; slot < COUNT_OF(blocks); slot++)
        heapster_free(blocks[slot]);
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void come_and_go(void *context)
{
    blocks_come_and_go_without(*(const unsigned *)context);
}

static void any_call_may_fail_now_and_then(void **state)
{
    (void)state;
    for (unsigned kinds = 0; kinds < 1U << HS_OS_CALL_KINDS; kinds++)
        run_child_quietly(come_and_go, &kinds);
}

/* ---- misuse ---------------------------------------------------------------------------------------------------- */

static void free_twice(void *context)
{
    void *block = heapster_malloc(MEBIBYTE);

    (void)context;
    heapster_free(block);
    REQUIRE(hs_heap_large.cached_runs > 0);
    heapster_free(block);
}

static void double_free_of_a_cached_mapping(void **state)
{
    struct outcome outcome;

    (void)state;
    run_child(&outcome, free_twice, NULL);
    assert_true(is_misuse_report(outcome.text, "double free"));
    assert_int_equal(lines_of(outcome.text), 1);
}

static void realloc_what_was_freed(void *context)
{
    void *block = heapster_malloc(MEBIBYTE);

    (void)context;
    heapster_free(block);
    REQUIRE(heapster_realloc(block, 2 * MEBIBYTE) == NULL);
}

static void realloc_of_a_cached_mapping(void **state)
{
    struct outcome outcome;

    (void)state;
    run_child(&outcome, realloc_what_was_freed, NULL);
    assert_true(is_misuse_report(outcome.text, "realloc of a freed block"));
}

/* ---- the checker ----------------------------------------------------------------------------------------------- */

static void L5(void **state)
{
    char *block = take(MEBIBYTE);
    struct complaints complaints[5];
    struct hs_region *run, neighbour;

    (void)state;
    heapster_free(block);
    run = hs_heap_large.cached;
    hs_heap_large.cached_runs++;
    complaints[0] = complaints_of(HEAPSTER_CHECK_RUNNING);
    hs_heap_large.cached_runs--;
    hs_heap_large.cached_bytes++;
    complaints[1] = complaints_of(HEAPSTER_CHECK_RUNNING);
    hs_heap_large.cached_bytes--;
    run->base++;
    complaints[2] = complaints_of(HEAPSTER_CHECK_RUNNING);
    run->base--;
    run->is_live = true;
    complaints[3] = complaints_of(HEAPSTER_CHECK_RUNNING);
    run->is_live = false;
    neighbour = *run;
    neighbour.base += run->bytes;
    hs_region_link(&hs_heap_large.cached, &neighbour);
    hs_heap_large.cached_runs++;
    hs_heap_large.cached_bytes += run->bytes;
    complaints[4] = complaints_of(HEAPSTER_CHECK_RUNNING);
    hs_region_unlink(&hs_heap_large.cached, &neighbour);
    hs_heap_large.cached_runs--;
    hs_heap_large.cached_bytes -= run->bytes;
    for (unsigned i = 0; i < COUNT_OF(complaints); i++)
        assert_true(complains_of(&complaints[i], "L5"));
    assert_sound();
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_is_emptied_before_no_is_said),
        cmocka_unit_test(arena_that_cannot_grow_empties_the_cache),
        cmocka_unit_test(growth_empties_the_cache_before_it_fails),
        cmocka_unit_test(run_that_cannot_be_lengthened_stays),
        cmocka_unit_test(refused_runs_become_idle),
        cmocka_unit_test(any_call_may_fail_now_and_then),
        cmocka_unit_test(double_free_of_a_cached_mapping),
        cmocka_unit_test(realloc_of_a_cached_mapping),
        cmocka_unit_test(L5),
    };

    return run_named_with(tests, COUNT_OF(tests), argc, argv, begin, NULL);
}
