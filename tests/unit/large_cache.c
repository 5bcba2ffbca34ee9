/*
 * Mappings that were freed and are kept: which one serves a request, what they hold, how many there may be, when they
 * go back. What becomes of them where the kernel refuses: large_cache_refused.c.
 *
 * Nothing here waits: the option decay_ms is longer than any run, and decay is told what time it is.
 */
#include "large_cache_support.h"

#include <sys/mman.h>

static size_t page_bytes(void)
{
    return hs_os_page_bytes();
}

/* Mappings and unmappings so far. */
static uint64_t calls_made(void)
{
    return os_calls_made(HS_OS_MMAP) + os_calls_made(HS_OS_MUNMAP) + os_calls_made(HS_OS_MREMAP);
}

/* ---- what serves a request ------------------------------------------------------------------------------------- */

static void freed_mapping_serves_again(void **state)
{
    char *block = take(MEBIBYTE);
    uint64_t calls;

    (void)state;
    memset(block, 0xEE, MEBIBYTE);
    calls = calls_made();
    for (unsigned i = 0; i < 100; i++) {
        heapster_free(block);
        assert_int_equal(hs_heap_large.cached_bytes, MEBIBYTE + page_bytes());
        assert_int_equal(hs_large_all_cached_bytes(), MEBIBYTE + page_bytes());
        assert_sound();
        assert_ptr_equal(heapster_malloc(MEBIBYTE), block);
        assert_int_equal(hs_heap_large.cached_runs, 0);
    }
    assert_int_equal(calls_made(), calls);
    heapster_free(block);
}

static void calloc_of_a_cached_mapping_is_zero(void **state)
{
    char *block = take(MEBIBYTE);

    (void)state;
    memset(block, 0xEE, MEBIBYTE);
    heapster_free(block);
    assert_ptr_equal(heapster_calloc(1, MEBIBYTE - 5000), block);
    assert_true(is_zero(block, MEBIBYTE - 5000));
    heapster_free(block);
}

/* Neither the mapping in the cache nor a new one is to be had: the arena serves, whose memory is not zero. */
static void calloc_after_a_refused_mapping_is_zero(void **state)
{
    char *block, *room;

    (void)state;
    heapster_set_mmap_threshold(8 * MEBIBYTE);
    room = take(4 * MEBIBYTE);
    memset(room, 0xEE, 4 * MEBIBYTE);
    heapster_set_mmap_threshold(HS_MMAP_THRESHOLD_DEFAULT);
    heapster_free(room);
    fail_os_calls(~0U);
    block = heapster_calloc(1, MEBIBYTE);
    fail_os_calls(0);
    assert_non_null(block);
    assert_true(is_zero(block, MEBIBYTE));
    heapster_free(block);
}

static void request_takes_the_beginning_of_a_run(void **state)
{
    char *block = take(4 * MEBIBYTE), *first, *second;
    uint64_t calls;

    (void)state;
    fill_pattern(block, MEBIBYTE, 1);
    calls = calls_made();
    heapster_free(block);
    first = take(MEBIBYTE);
    second = take(MEBIBYTE);
    assert_ptr_equal(first, block);
    assert_ptr_equal(second, block + MEBIBYTE + page_bytes());
    assert_int_equal(heapster_usable_size(first), MEBIBYTE);
    assert_int_equal(hs_heap_large.cached_bytes, 4 * MEBIBYTE + page_bytes() - 2 * (MEBIBYTE + page_bytes()));
    memset(first, 1, MEBIBYTE);
    memset(second, 2, MEBIBYTE);
    assert_sound();
    heapster_free(first);
    assert_int_equal(hs_heap_large.cached_runs, 2);
    heapster_free(second);
    assert_int_equal(hs_heap_large.cached_runs, 1);
    assert_int_equal(hs_heap_large.cached_bytes, 4 * MEBIBYTE + page_bytes());
    assert_int_equal(calls_made(), calls);
    assert_sound();
}

static void shortest_run_that_fits_serves(void **state)
{
    size_t sizes[] = {8 * MEBIBYTE, 3 * MEBIBYTE, 5 * MEBIBYTE};
    char *blocks[3], *walls[3];

    (void)state;
    heapster_free(take(32 * MEBIBYTE));
    /* All cut from that one, so that they stand in this order. */
    for (unsigned i = 0; i < 3; i++) {
        blocks[i] = take(sizes[i]);
        walls[i] = take(MEBIBYTE);
    }
    for (unsigned i = 0; i < 3; i++)
        heapster_free(blocks[i]);
    assert_int_equal(hs_heap_large.cached_runs, 4);
    assert_ptr_equal(heapster_malloc(4 * MEBIBYTE), blocks[2]);
    assert_ptr_equal(heapster_malloc(2 * MEBIBYTE), blocks[1]);
    assert_sound();
    heapster_free(blocks[2]);
    heapster_free(blocks[1]);
    for (unsigned i = 0; i < 3; i++)
        heapster_free(walls[i]);
}

static void aligned_request_takes_what_is_aligned(void **state)
{
    size_t alignment = (size_t)1 << 24;
    /* In this order, so that the wall lies between the two that are kept, which would become one run. */
    char *other = take(MEBIBYTE), *wall = take(4 * MEBIBYTE), *block = heapster_aligned_alloc(alignment, MEBIBYTE);

    (void)state;
    heapster_free(block);
    heapster_free(other);
    assert_ptr_equal(heapster_aligned_alloc(alignment, MEBIBYTE), block);
    heapster_free(wall);
    other = heapster_aligned_alloc(alignment, MEBIBYTE);
    assert_non_null(other);
    assert_int_equal((uintptr_t)other % alignment, 0);
    assert_sound();
    heapster_free(block);
    heapster_free(other);
}

static void longest_run_is_lengthened(void **state)
{
    char *block = take(4 * MEBIBYTE), *longer;
    uint64_t mapped, remapped;

    (void)state;
    heapster_free(block);
    mapped = os_calls_made(HS_OS_MMAP);
    remapped = os_calls_made(HS_OS_MREMAP);
    longer = take(5 * MEBIBYTE);
    assert_int_equal(os_calls_made(HS_OS_MMAP), mapped);
    assert_int_equal(os_calls_made(HS_OS_MREMAP), remapped + 1);
    assert_int_equal(hs_heap_large.cached_runs, 0);
    assert_int_equal(heapster_usable_size(longer), 5 * MEBIBYTE);
    memset(longer, 1, 5 * MEBIBYTE);
    assert_sound();
    heapster_free(longer);
}

static void growth_takes_the_run_behind_it(void **state)
{
    char *block = take(4 * MEBIBYTE), *first, *second;
    uint64_t calls;

    (void)state;
    heapster_free(block);
    first = take(MEBIBYTE);
    fill_pattern(first, MEBIBYTE, 3);
    calls = calls_made();
    second = heapster_realloc(first, 2 * MEBIBYTE);
    assert_ptr_equal(second, first);
    assert_int_equal(calls_made(), calls);
    assert_int_equal(heapster_usable_size(second), 2 * MEBIBYTE);
    assert_int_equal(hs_heap_large.cached_bytes, 2 * MEBIBYTE);
    assert_true(holds_pattern(second, MEBIBYTE, 3));
    memset(second, 1, 2 * MEBIBYTE);
    assert_sound();
    second = heapster_realloc(second, 4 * MEBIBYTE);
    assert_int_equal(hs_heap_large.cached_bytes, 0);
    assert_sound();
    heapster_free(second);
}

/* ---- how much stays -------------------------------------------------------------------------------------------- */

enum { BLOCKS = 80 };

static char *wished;
static unsigned placed;

/* Asked for each mapping of a block, new or moved, and for none of the allocator's own, as leaves of the region map,
 * one of which another 4 GiB of addresses take. */
static char *place(size_t bytes)
{
    char *here = wished;

    (void)bytes;
    placed++;
    wished = NULL;
    return here;
}

/* The kernel moves no pages that lie side by side in two mappings of its own, as they do where one was moved there.
 * What the cache makes one run of has to be moved by one call. */
static void runs_that_the_kernel_keeps_apart_stay_apart(void **state)
{
    size_t room_bytes = 64 * MEBIBYTE;
    char *room = mmap(NULL, room_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *moved, *after, *block;
    uint64_t moves;

    (void)state;
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(munmap(room, room_bytes), 0);
    hs_os_place = place;
    moved = take(2 * MEBIBYTE);
    memset(moved, 1, 2 * MEBIBYTE);
    wished = room;
    moved = heapster_realloc(moved, 8 * MEBIBYTE);
    /* The kernel may have lengthened it where it stood: then there is nothing to show. */
    if (moved != room + page_bytes()) {
        hs_os_place = NULL;
        heapster_free(moved);
        skip();
    }
    memset(moved, 2, 8 * MEBIBYTE);
    wished = room + 8 * MEBIBYTE + page_bytes();
    after = take(8 * MEBIBYTE);
    assert_ptr_equal(after, room + 8 * MEBIBYTE + 2 * page_bytes());
    memset(after, 3, 8 * MEBIBYTE);
    heapster_free(moved);
    heapster_free(after);
    assert_sound();
    block = take(12 * MEBIBYTE);
    placed = 0;
    moves = os_calls_made(HS_OS_MREMAP);
    block = heapster_realloc(block, 40 * MEBIBYTE);
    assert_non_null(block);
    assert_int_equal(os_calls_made(HS_OS_MREMAP), moves + 1);
    assert_int_equal(placed, 1); /* it was not copied */
    hs_os_place = NULL;
    heapster_free(block);
    assert_sound();
}

static void blocks_and_cache_stay_near_the_peak(void **state)
{
    char *blocks[BLOCKS];
    uint64_t peak, held;

    (void)state;
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = take(MEBIBYTE);
    peak = hs_heap_large.bytes;
    for (unsigned i = 0; i < BLOCKS; i += 2) {
        heapster_free(blocks[i]);
        held = hs_heap_large.bytes + hs_heap_large.cached_bytes;
        assert_true(held <= peak + peak / 4);
    }
    /* No run is as long as this. */
    blocks[0] = take(40 * MEBIBYTE);
    assert_true(hs_heap_large.bytes + hs_heap_large.cached_bytes <= peak + peak / 4);
    assert_sound();
    heapster_free(blocks[0]);
    for (unsigned i = 1; i < BLOCKS; i += 2)
        heapster_free(blocks[i]);
    assert_true(hs_heap_large.cached_bytes <= HS_LARGE_CACHE_BYTES_MOST);
    assert_sound();
}

/* What is too much is cut off a run; the rest of it stays. */
static void long_run_is_cut_to_the_bound(void **state)
{
    char *block = take(HS_LARGE_CACHE_BYTES_MOST + 8 * MEBIBYTE);

    (void)state;
    heapster_free(block);
    assert_int_equal(hs_heap_large.cached_bytes, HS_LARGE_CACHE_BYTES_MOST);
    assert_int_equal(hs_heap_large.cached_runs, 1);
    assert_sound();
}

static void number_of_runs_is_bounded(void **state)
{
    enum { MANY = 2 * HS_LARGE_CACHE_RUNS_MOST + 20 };
    static char *blocks[MANY];

    (void)state;
    heapster_set_mmap_threshold(HS_MMAP_THRESHOLD_LEAST);
    for (unsigned i = 0; i < MANY; i++)
        blocks[i] = take(HS_MMAP_THRESHOLD_LEAST);
    /* Every second one, so that no two of them touch. */
    for (unsigned i = 0; i < MANY; i += 2)
        heapster_free(blocks[i]);
    assert_int_equal(hs_heap_large.cached_runs, HS_LARGE_CACHE_RUNS_MOST);
    assert_sound();
    for (unsigned i = 1; i < MANY; i += 2)
        heapster_free(blocks[i]);
    assert_sound();
    heapster_set_mmap_threshold(HS_MMAP_THRESHOLD_DEFAULT);
}

static void assert_nothing_is_kept(void)
{
    uint64_t unmapped = os_calls_made(HS_OS_MUNMAP);

    heapster_free(take(MEBIBYTE));
    assert_int_equal(os_calls_made(HS_OS_MUNMAP), unmapped + 1);
    assert_int_equal(hs_heap_large.cached_runs, 0);
    assert_sound();
}

static void nothing_is_kept_when_switched_off(void **state)
{
    (void)state;
    hs_options.large_cache = false;
    assert_nothing_is_kept();
    hs_options.large_cache = true;
    hs_options.decay_ms = 0;
    assert_nothing_is_kept();
}

/* ---- when it goes back ----------------------------------------------------------------------------------------- */

static void trim_empties_the_cache(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    const struct hs_large_set *set = inside(arena)->large;
    uint64_t unmapped;

    (void)state;
    heapster_free(take(MEBIBYTE));
    heapster_free(heapster_arena_malloc(arena, MEBIBYTE));
    assert_true(hs_heap_large.cached_runs == 1 && set->cached_runs == 1);
    unmapped = os_calls_made(HS_OS_MUNMAP);
    assert_true(heapster_trim(0));
    assert_int_equal(os_calls_made(HS_OS_MUNMAP), unmapped + 2);
    assert_true(hs_heap_large.cached_bytes == 0 && set->cached_bytes == 0);
    assert_int_equal(hs_large_all_cached_bytes(), 0);
    assert_sound();
    heapster_arena_destroy(arena);
}

static void destroy_empties_the_cache(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    uint64_t unmapped;
    void *kept = heapster_arena_malloc(arena, 2 * MEBIBYTE);

    (void)state;
    assert_non_null(kept);
    heapster_free(heapster_arena_malloc(arena, MEBIBYTE));
    unmapped = os_calls_made(HS_OS_MUNMAP);
    heapster_arena_destroy(arena);
    assert_true(os_calls_made(HS_OS_MUNMAP) > unmapped);
    assert_int_equal(hs_large_all_cached_bytes(), 0);
    assert_sound();
}

static void old_runs_decay(void **state)
{
    char *old = take(MEBIBYTE), *wall = take(MEBIBYTE), *young = take(2 * MEBIBYTE);
    uint64_t now_ms = hs_os_now_ms();

    (void)state;
    heapster_free(old);
    assert_int_equal(hs_heap_large.cached_runs, 1);
    hs_heap_large.cached->cached_since_ms = 0;
    heapster_free(young);
    assert_int_equal(hs_heap_large.cached_runs, 2);
    hs_large_decay(&hs_heap_large, DECAY_MS - 1 < now_ms ? now_ms : DECAY_MS);
    assert_int_equal(hs_heap_large.cached_runs, 1);
    assert_int_equal(hs_heap_large.cached_bytes, 2 * MEBIBYTE + page_bytes());
    assert_sound();
    heapster_free(wall);
}

/* Two periods after a peak the bound follows what is in use now. */
static void peak_is_forgotten(void **state)
{
    char *block = take(16 * MEBIBYTE), *small = take(MEBIBYTE);
    uint64_t now_ms = hs_os_now_ms() + DECAY_MS;

    (void)state;
    heapster_free(block);
    assert_true(hs_heap_large.cached_bytes > 16 * MEBIBYTE);
    hs_heap_large.cached->cached_since_ms = now_ms + 2 * DECAY_MS;
    hs_large_decay(&hs_heap_large, now_ms);
    assert_true(hs_heap_large.cached_bytes > 16 * MEBIBYTE);
    hs_large_decay(&hs_heap_large, now_ms + DECAY_MS);
    assert_true(hs_heap_large.cached_bytes <= MEBIBYTE / 4 + page_bytes());
    heapster_free(small);
    assert_sound();
}

/* The clock is read before the lock is taken: a thread may come with an older time than the one before it. */
static void older_time_ends_no_period(void **state)
{
    char *block = take(16 * MEBIBYTE), *small = take(MEBIBYTE);
    uint64_t now_ms = hs_os_now_ms() + DECAY_MS;

    (void)state;
    heapster_free(block);
    hs_heap_large.cached->cached_since_ms = now_ms + 2 * DECAY_MS;
    hs_large_decay(&hs_heap_large, now_ms);
    assert_int_equal(hs_heap_large.period_began_ms, now_ms);
    hs_large_decay(&hs_heap_large, now_ms - 1);
    assert_int_equal(hs_heap_large.period_began_ms, now_ms);
    hs_large_decay(&hs_heap_large, now_ms + DECAY_MS - 1);
    assert_true(hs_heap_large.cached_bytes > 16 * MEBIBYTE);
    heapster_free(small);
    assert_sound();
}

static void cache_gives_way_to_arenas(void **state)
{
    char *block = take(16 * MEBIBYTE);
    size_t before;

    (void)state;
    hs_large_decay(&hs_heap_large, hs_os_now_ms());
    heapster_free(block);
    before = hs_heap_large.cached_bytes;
    (void)hs_add_relaxed(&hs_arena_all_region_bytes, 4 * MEBIBYTE);
    hs_large_decay(&hs_heap_large, hs_os_now_ms());
    (void)hs_subtract_relaxed(&hs_arena_all_region_bytes, 4 * MEBIBYTE);
    assert_int_equal(hs_heap_large.cached_bytes, before - 4 * MEBIBYTE);
    assert_sound();
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(freed_mapping_serves_again),
        cmocka_unit_test(calloc_of_a_cached_mapping_is_zero),
        cmocka_unit_test(calloc_after_a_refused_mapping_is_zero),
        cmocka_unit_test(request_takes_the_beginning_of_a_run),
        cmocka_unit_test(shortest_run_that_fits_serves),
        cmocka_unit_test(aligned_request_takes_what_is_aligned),
        cmocka_unit_test(longest_run_is_lengthened),
        cmocka_unit_test(growth_takes_the_run_behind_it),
        cmocka_unit_test(runs_that_the_kernel_keeps_apart_stay_apart),
        cmocka_unit_test(blocks_and_cache_stay_near_the_peak),
        cmocka_unit_test(long_run_is_cut_to_the_bound),
        cmocka_unit_test(number_of_runs_is_bounded),
        cmocka_unit_test(nothing_is_kept_when_switched_off),
        cmocka_unit_test(trim_empties_the_cache),
        cmocka_unit_test(destroy_empties_the_cache),
        cmocka_unit_test(old_runs_decay),
        cmocka_unit_test(peak_is_forgotten),
        cmocka_unit_test(older_time_ends_no_period),
        cmocka_unit_test(cache_gives_way_to_arenas),
    };

    return run_named_with(tests, COUNT_OF(tests), argc, argv, begin, NULL);
}
