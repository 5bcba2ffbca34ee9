/*
 * What the kernel says: the pages that the process holds before, with, and after a million blocks. Not built with
 * sanitizers, whose own pages are most of them.
 */
#include "support.h"

#include <sys/mman.h>

#include "options.h"

enum { MILLION = 1000000, BLOCK_BYTES = 100 };

static void *blocks[MILLION];

static void come_and_go(void *context)
{
    size_t before, with, after;

    (void)context;
    memset(blocks, 0xFF, sizeof blocks); /* the table's own pages count before, too */
    heapster_free(heapster_malloc(1));
    before = process_bytes(RESIDENT_BYTES);
    for (unsigned i = 0; i < MILLION; i++) {
        blocks[i] = heapster_malloc(BLOCK_BYTES);
        REQUIRE(blocks[i] != NULL);
        memset(blocks[i], 1, BLOCK_BYTES);
    }
    with = process_bytes(RESIDENT_BYTES);
    REQUIRE(with > before + (size_t)MILLION * BLOCK_BYTES);
    for (unsigned step = 0; step < 2; step++)
        for (unsigned i = step; i < MILLION; i += 2)
            heapster_free(blocks[i]);
    (void)heapster_trim(0);
    after = process_bytes(RESIDENT_BYTES);
    REQUIRE(after <= before + before / 10);
}

static void process_is_as_small_as_before(void **state)
{
    (void)state;
    run_child_quietly(come_and_go, NULL);
}

/* A block in the midst of used ones: its inner pages leave the memory. */
static void free_block_holds_no_pages(void **state)
{
    size_t bytes = (size_t)200 << 10, page = hs_os_page_bytes();
    heapster_arena *arena = heapster_arena_create(NULL);
    char *before = heapster_arena_malloc(arena, 100), *block = heapster_arena_malloc(arena, bytes);
    char *after = heapster_arena_malloc(arena, 100);
    char *inner = block + hs_bytes_to_multiple((uintptr_t)block, page) + page;
    unsigned char residency[8] = {0};

    (void)state;
    assert_true(before != NULL && after != NULL);
    memset(block, 1, bytes);
    assert_int_equal(mincore(inner, 8 * page, residency), 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(residency[i] & 1, 1);
    hs_options.decay_ms = 0;
    heapster_free(block);
    assert_int_equal(mincore(inner, 8 * page, residency), 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(residency[i] & 1, 0);
    heapster_arena_destroy(arena);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_is_as_small_as_before),
        cmocka_unit_test(free_block_holds_no_pages),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
