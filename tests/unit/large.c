/*
 * Blocks with a mapping of their own: when a request gets one, how it is resized, and what happens where the kernel
 * refuses to unmap or to move. Without the cache of freed mappings, which has tests of its own (large_cache.c).
 */
#include "support.h"

#include "heap.h"
#include "options.h"

#define MEBIBYTE ((size_t)1 << 20)

static bool is_large(const void *block)
{
    struct hs_region *region = hs_region_find(block);

    return region != NULL && region->kind == HS_REGION_LARGE && hs_large_payload(region) == block;
}

/* ---- threshold and shape --------------------------------------------------------------------------------------- */

static void threshold_decides(void **state)
{
    size_t threshold = heapster_get_mmap_threshold();
    void *below = heapster_malloc(threshold - 1), *at = heapster_malloc(threshold);

    (void)state;
    assert_int_equal(threshold, HS_MMAP_THRESHOLD_DEFAULT);
    assert_false(is_large(below));
    assert_true(is_large(at));
    heapster_free(below);
    heapster_free(at);
    heapster_set_mmap_threshold(8 * MEBIBYTE);
    at = heapster_malloc(threshold);
    assert_false(is_large(at));
    heapster_free(at);
    at = heapster_malloc(8 * MEBIBYTE);
    assert_true(is_large(at));
    heapster_free(at);
    heapster_set_mmap_threshold(threshold);
}

static void threshold_has_a_least_value(void **state)
{
    (void)state;
    heapster_set_mmap_threshold(1);
    assert_int_equal(heapster_get_mmap_threshold(), HS_MMAP_THRESHOLD_LEAST);
    heapster_set_mmap_threshold(HS_MMAP_THRESHOLD_DEFAULT);
}

static void what_no_arena_can_hold_is_always_large(void **state)
{
    void *block;

    (void)state;
    heapster_set_mmap_threshold(SIZE_MAX);
    block = heapster_malloc(256 * MEBIBYTE);
    assert_true(is_large(block));
    heapster_free(block);
    heapster_set_mmap_threshold(HS_MMAP_THRESHOLD_DEFAULT);
}

static void payload_is_whole_pages(void **state)
{
    size_t page = hs_os_page_bytes();

    (void)state;
    for (size_t bytes = 300000; bytes < 400000; bytes += 1111) {
        char *block = heapster_malloc(bytes);

        assert_int_equal((uintptr_t)block % page, 0);
        assert_int_equal(heapster_usable_size(block), (bytes + page - 1) / page * page);
        assert_true(is_zero(block, bytes));
        fill_whole_block(block, 1);
        heapster_free(block);
    }
    assert_sound();
}

static void alignments_up_to_a_gibibyte(void **state)
{
    (void)state;
    for (size_t alignment = hs_os_page_bytes(); alignment <= (size_t)1 << 30; alignment *= 2) {
        char *block = heapster_aligned_alloc(alignment, MEBIBYTE);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
        block[0] = block[MEBIBYTE - 1] = 1;
        assert_sound();
        heapster_free(block);
    }
}

static void set_counts_its_mappings(void **state)
{
    uint64_t blocks = hs_heap_large.blocks, bytes = hs_heap_large.bytes, frees = hs_heap_large.frees;
    void *block = heapster_malloc(MEBIBYTE);

    (void)state;
    assert_int_equal(hs_heap_large.blocks, blocks + 1);
    assert_int_equal(hs_heap_large.bytes, bytes + MEBIBYTE + hs_os_page_bytes());
    heapster_free(block);
    assert_int_equal(hs_heap_large.blocks, blocks);
    assert_int_equal(hs_heap_large.bytes, bytes);
    assert_int_equal(hs_heap_large.frees, frees + 1);
}

/* ---- resizing -------------------------------------------------------------------------------------------------- */

static void growth_moves_pages_and_keeps_their_content(void **state)
{
    uint64_t remapped = os_calls_made(HS_OS_MREMAP);
    char *block = heapster_malloc(MEBIBYTE);

    (void)state;
    fill_pattern(block, MEBIBYTE, 1);
    for (size_t bytes = 2 * MEBIBYTE; bytes <= 64 * MEBIBYTE; bytes *= 2) {
        block = heapster_realloc(block, bytes);
        assert_non_null(block);
        assert_true(is_large(block));
        assert_true(heapster_usable_size(block) >= bytes);
        block[bytes - 1] = 1;
        assert_sound();
    }
    assert_true(os_calls_made(HS_OS_MREMAP) > remapped);
    assert_true(holds_pattern(block, MEBIBYTE, 1));
    heapster_free(block);
    assert_sound();
}

static void shrinking_stays_in_place(void **state)
{
    char *block = heapster_malloc(16 * MEBIBYTE), *shrunk;

    (void)state;
    fill_pattern(block, MEBIBYTE, 2);
    shrunk = heapster_realloc(block, MEBIBYTE);
    assert_ptr_equal(shrunk, block);
    assert_int_equal(heapster_usable_size(shrunk), MEBIBYTE);
    assert_true(holds_pattern(shrunk, MEBIBYTE, 2));
    assert_sound();
    heapster_free(shrunk);
}

static void shrinking_far_moves_into_an_arena_and_back(void **state)
{
    char *block = heapster_malloc(MEBIBYTE);

    (void)state;
    fill_pattern(block, 1000, 3);
    block = heapster_realloc(block, 1000);
    assert_false(is_large(block));
    assert_true(holds_pattern(block, 1000, 3));
    block = heapster_realloc(block, 300 * MEBIBYTE);
    assert_true(is_large(block));
    assert_true(holds_pattern(block, 1000, 3));
    heapster_free(block);
    assert_sound();
}

/* ---- a kernel that refuses ------------------------------------------------------------------------------------- */

static void mapping_that_stays_is_used_again(void **state)
{
    char *block = heapster_malloc(MEBIBYTE), *again;
    uint64_t mapped;

    (void)state;
    memset(block, 0xEE, MEBIBYTE);
    fail_os_calls(1U << HS_OS_MUNMAP);
    heapster_free(block);
    fail_os_calls(0);
    assert_non_null(hs_heap_large.idle);
    assert_sound();
    mapped = os_calls_made(HS_OS_MMAP);
    again = heapster_calloc(1, MEBIBYTE - 8192);
    assert_ptr_equal(again, block);
    assert_int_equal(os_calls_made(HS_OS_MMAP), mapped);
    assert_null(hs_heap_large.idle);
    assert_true(is_zero(again, MEBIBYTE));
    assert_sound();
    heapster_free(again);
}

/* Neither unmapped nor purged: emptied by hand. */
static void mapping_that_cannot_be_purged_is_zeroed(void **state)
{
    char *block = heapster_malloc(MEBIBYTE), *again;

    (void)state;
    memset(block, 0xEE, MEBIBYTE);
    fail_os_calls(1U << HS_OS_MUNMAP | 1U << HS_OS_MADVISE);
    heapster_free(block);
    fail_os_calls(0);
    again = heapster_calloc(1, MEBIBYTE);
    assert_ptr_equal(again, block);
    assert_true(is_zero(again, MEBIBYTE));
    heapster_free(again);
    assert_sound();
}

static void idle_mapping_that_does_not_fit_is_left(void **state)
{
    char *block = heapster_malloc(MEBIBYTE), *larger, *aligned;

    (void)state;
    fail_os_calls(1U << HS_OS_MUNMAP);
    heapster_free(block);
    fail_os_calls(0);
    larger = heapster_malloc(2 * MEBIBYTE);
    assert_ptr_not_equal(larger, block);
    aligned = heapster_aligned_alloc((size_t)1 << 30, 65536);
    assert_int_equal((uintptr_t)aligned % ((size_t)1 << 30), 0);
    heapster_free(larger);
    heapster_free(aligned);
    block = heapster_malloc(MEBIBYTE);
    heapster_free(block);
    assert_sound();
}

static void growth_without_mremap_copies(void **state)
{
    char *block = heapster_malloc(MEBIBYTE), *grown;

    (void)state;
    fill_pattern(block, MEBIBYTE, 4);
    fail_os_calls(1U << HS_OS_MREMAP);
    grown = heapster_realloc(block, 4 * MEBIBYTE);
    fail_os_calls(0);
    assert_non_null(grown);
    assert_true(is_large(grown));
    assert_true(holds_pattern(grown, MEBIBYTE, 4));
    assert_sound();
    heapster_free(grown);
}

static void shrinking_without_mremap_keeps_the_mapping(void **state)
{
    char *block = heapster_malloc(4 * MEBIBYTE), *shrunk;

    (void)state;
    fill_pattern(block, MEBIBYTE, 5);
    fail_os_calls(1U << HS_OS_MREMAP);
    shrunk = heapster_realloc(block, MEBIBYTE);
    fail_os_calls(0);
    assert_ptr_equal(shrunk, block);
    assert_true(holds_pattern(shrunk, MEBIBYTE, 5));
    assert_sound();
    heapster_free_sized(shrunk, MEBIBYTE);
    assert_sound();
}

/* The smaller block would be the arena's, which has no memory for it. */
static char *shrink_without_memory(heapster_arena *arena, unsigned refused)
{
    char *block = heapster_arena_malloc(arena, MEBIBYTE), *shrunk;

    fill_pattern(block, 100000, 7);
    fail_os_calls(refused);
    shrunk = heapster_realloc(block, 100000);
    fail_os_calls(0);
    assert_ptr_equal(shrunk, block);
    assert_true(holds_pattern(shrunk, 100000, 7));
    assert_sound();
    return shrunk;
}

static void free_sized_after_a_shrink_that_stayed(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    char *block = shrink_without_memory(arena, ~0U);

    (void)state;
    assert_int_equal(heapster_usable_size(block), MEBIBYTE);
    heapster_free_sized(block, 100000);
    assert_int_equal(inside(arena)->large->blocks, 0);
    /* Where the kernel does shorten the mapping, the memory is the program's no longer. */
    block = shrink_without_memory(arena, ~(1U << HS_OS_MREMAP));
    assert_in_range(heapster_usable_size(block), 100000, 100000 + hs_os_page_bytes());
    heapster_free_sized(block, 100000);
    assert_int_equal(inside(arena)->large->blocks, 0);
    heapster_arena_destroy(arena);
    assert_sound();
}

static void free_sized_after_a_growth_that_was_refused(void **state)
{
    char *idle = heapster_malloc(4 * MEBIBYTE), *block, *grown;

    (void)state;
    fail_os_calls(1U << HS_OS_MUNMAP);
    heapster_free(idle);
    fail_os_calls(0);
    block = heapster_malloc(MEBIBYTE);
    assert_ptr_equal(block, idle); /* longer than asked for */
    fail_os_calls(~0U);
    grown = heapster_realloc(block, 64 * MEBIBYTE);
    fail_os_calls(0);
    assert_null(grown);
    heapster_free_sized(block, MEBIBYTE);
    assert_false(is_large(block));
    assert_sound();
}

static void trim_while_unmapping_is_refused(const struct hs_large_set *set)
{
    fail_os_calls(1U << HS_OS_MUNMAP);
    (void)heapster_trim(0);
    fail_os_calls(0);
    assert_non_null(set->idle);
}

static void expect_idle_mappings_to_leave(const struct hs_large_set *set, heapster_arena *arena)
{
    void *blocks[10];
    uint64_t unmapped;

    (void)heapster_trim(0);
    for (size_t k = 0; k < COUNT_OF(blocks); k++)
        blocks[k] = arena == NULL ? heapster_malloc(MEBIBYTE) : heapster_arena_malloc(arena, MEBIBYTE);
    fail_os_calls(1U << HS_OS_MUNMAP);
    for (size_t k = 0; k < COUNT_OF(blocks); k++)
        heapster_free(blocks[k]);
    fail_os_calls(0);
    trim_while_unmapping_is_refused(set);
    unmapped = os_calls_made(HS_OS_MUNMAP);
    assert_true(heapster_trim(0));
    assert_null(set->idle);
    assert_true(os_calls_made(HS_OS_MUNMAP) >= unmapped + COUNT_OF(blocks));
    assert_sound();
}

/* The kernel takes back later what it refused. */
static void trim_returns_idle_mappings(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);

    (void)state;
    expect_idle_mappings_to_leave(&hs_heap_large, NULL);
    expect_idle_mappings_to_leave(inside(arena)->large, arena);
    heapster_arena_destroy(arena);
}

static void growth_without_memory_changes_nothing(void **state)
{
    char *block = heapster_malloc(MEBIBYTE), *grown;
    int error;

    (void)state;
    fill_pattern(block, MEBIBYTE, 6);
    fail_os_calls(~0U);
    errno = 0;
    grown = heapster_realloc(block, 512 * MEBIBYTE);
    error = errno;
    fail_os_calls(0);
    assert_null(grown);
    assert_int_equal(error, ENOMEM);
    assert_true(is_large(block));
    assert_true(holds_pattern(block, MEBIBYTE, 6));
    assert_sound();
    heapster_free(block);
}

/* Where no mapping is to be had, an arena that has room serves a request above the threshold. */
static void arena_serves_where_no_mapping_is_to_be_had(void **state)
{
    char *block, *room;

    (void)state;
    heapster_set_mmap_threshold(8 * MEBIBYTE);
    room = heapster_malloc(4 * MEBIBYTE);
    assert_false(is_large(room));
    heapster_set_mmap_threshold(HS_MMAP_THRESHOLD_DEFAULT);
    heapster_free(room);
    fail_os_calls(~0U);
    block = heapster_malloc(MEBIBYTE);
    fail_os_calls(0);
    assert_non_null(block);
    assert_false(is_large(block));
    heapster_free(block);
    assert_sound();
}

/* Two threads that free the same block both come here; the set decides which of them was first. */
static void second_release_is_refused(void **state)
{
    void *block = heapster_malloc(MEBIBYTE);
    struct hs_region *region = hs_region_find(block);
    uint64_t blocks = hs_heap_large.blocks;

    (void)state;
    assert_true(hs_large_release(region, block));
    assert_false(hs_large_release(region, block));
    assert_int_equal(hs_heap_large.blocks, blocks - 1);
    assert_sound();
}

static void absurd_request_does_not_trim_the_heap(void **state)
{
    struct heapster_stats before, after;
    void *block = heapster_malloc(200000), *wall = heapster_malloc(100);

    (void)state;
    heapster_free(block);
    heapster_stats(&before);
    assert_null(heapster_malloc((size_t)1 << 46 << 1));
    heapster_stats(&after);
    assert_int_equal(after.os_purged_bytes, before.os_purged_bytes);
    assert_int_equal(after.region_bytes, before.region_bytes);
    heapster_free(wall);
}

static int empty_and_switch_off_the_cache(void **state)
{
    (void)state;
    hs_options.large_cache = false;
    (void)heapster_trim(0);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(threshold_decides),
        cmocka_unit_test(threshold_has_a_least_value),
        cmocka_unit_test(what_no_arena_can_hold_is_always_large),
        cmocka_unit_test(payload_is_whole_pages),
        cmocka_unit_test(alignments_up_to_a_gibibyte),
        cmocka_unit_test(set_counts_its_mappings),
        cmocka_unit_test(growth_moves_pages_and_keeps_their_content),
        cmocka_unit_test(shrinking_stays_in_place),
        cmocka_unit_test(shrinking_far_moves_into_an_arena_and_back),
        cmocka_unit_test(mapping_that_stays_is_used_again),
        cmocka_unit_test(mapping_that_cannot_be_purged_is_zeroed),
        cmocka_unit_test(idle_mapping_that_does_not_fit_is_left),
        cmocka_unit_test(growth_without_mremap_copies),
        cmocka_unit_test(shrinking_without_mremap_keeps_the_mapping),
        cmocka_unit_test(free_sized_after_a_shrink_that_stayed),
        cmocka_unit_test(free_sized_after_a_growth_that_was_refused),
        cmocka_unit_test(trim_returns_idle_mappings),
        cmocka_unit_test(growth_without_memory_changes_nothing),
        cmocka_unit_test(arena_serves_where_no_mapping_is_to_be_had),
        cmocka_unit_test(second_release_is_refused),
        cmocka_unit_test(absurd_request_does_not_trim_the_heap),
    };

    return run_named_with(tests, COUNT_OF(tests), argc, argv, empty_and_switch_off_the_cache, NULL);
}
