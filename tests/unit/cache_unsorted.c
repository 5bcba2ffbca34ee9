/*
 * What free leaves unsorted in a large heap: where it stands, when it is sorted into bins, and that nothing forgets it.
 */
#include "cache_table.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"

enum { BYTES = 100 };

static unsigned unsorted_count(const struct hs_cache *cache)
{
    return hs_load_relaxed(&cache->unsorted.count);
}

/* As in a thread of a large heap; what malloc gave last is none of the table. */
static void begin(unsigned count)
{
    hs_options.decay_ms = UINT32_MAX; /* nothing is due meanwhile */
    take(count, BYTES);
    heapster_free(heapster_malloc(BYTES));
    hs_cache_self->defers = true;
    REQUIRE(unsorted_count(hs_cache_self) == 0);
}

static void grow_large(void *context)
{
    unsigned blocks = 0;

    (void)context;
    heapster_free(heapster_malloc(1));
    REQUIRE(!hs_cache_self->defers);
    take(2, BYTES);
    give(2);
    REQUIRE(unsorted_count(hs_cache_self) == 0);
    for (; !hs_cache_self->defers && blocks < 10000; blocks++)
        REQUIRE(heapster_malloc(1000) != NULL);
    REQUIRE(hs_cache_self->defers && (uint64_t)blocks * 1000 > HS_COLD_ARENA_BYTES_LEAST / 2);
}

static void a_small_heap_sorts_at_once(void **state)
{
    (void)state;
    run_in_thread(grow_large, NULL);
}

static void free_a_few(void *context)
{
    struct heapster_stats before, after;
    unsigned in_bin;

    (void)context;
    begin(5);
    before = stats_now();
    in_bin = count_in_bin(hs_cache_self, BYTES);
    give(5);
    REQUIRE(unsorted_count(hs_cache_self) == 5 && count_in_bin(hs_cache_self, BYTES) == in_bin);
    require_cached(0, 5, 5);
    after = stats_now();
    REQUIRE(after.cached_blocks == before.cached_blocks + 5 && after.used_blocks == before.used_blocks - 5);
    REQUIRE(after.cached_bytes - before.cached_bytes == before.used_bytes - after.used_bytes);
    require_sound();
    /* What was handed out last goes into its bin. */
    payloads[0] = heapster_malloc(BYTES);
    heapster_free(payloads[0]);
    REQUIRE(count_in_bin(hs_cache_self, BYTES) >= in_bin);
    REQUIRE(heapster_malloc(BYTES) == payloads[0]);
}

static void blocks_stay_unsorted(void **state)
{
    (void)state;
    run_in_thread(free_a_few, NULL);
}

static void free_sixteen(void *context)
{
    unsigned in_bin;

    (void)context;
    begin(HS_WAITING_MOST);
    in_bin = count_in_bin(hs_cache_self, BYTES);
    give(HS_WAITING_MOST - 1);
    REQUIRE(unsorted_count(hs_cache_self) == HS_WAITING_MOST - 1);
    heapster_free(payloads[HS_WAITING_MOST - 1]);
    REQUIRE(unsorted_count(hs_cache_self) == 0);
    REQUIRE(count_in_bin(hs_cache_self, BYTES) == in_bin + HS_WAITING_MOST);
    require_cached(0, HS_WAITING_MOST, HS_WAITING_MOST);
    for (unsigned i = HS_WAITING_MOST; i > 0; i--)
        REQUIRE(heapster_malloc(BYTES) == payloads[i - 1]);
    require_sound();
}

static void many_are_sorted_into_their_bins(void **state)
{
    (void)state;
    run_in_thread(free_sixteen, NULL);
}

static void empty_a_bin(void *context)
{
    (void)context;
    begin(3);
    while (count_in_bin(hs_cache_self, BYTES) > 0)
        REQUIRE(heapster_malloc(BYTES) != NULL);
    REQUIRE(hs_cache_self->defers);
    give(3);
    REQUIRE(unsorted_count(hs_cache_self) == 3);
    for (unsigned i = 3; i > 0; i--)
        REQUIRE(heapster_malloc(BYTES) == payloads[i - 1]);
    REQUIRE(unsorted_count(hs_cache_self) == 0);
    require_sound();
}

static void malloc_sorts_where_its_bin_is_empty(void **state)
{
    (void)state;
    run_in_thread(empty_a_bin, NULL);
}

/* Many more than a bin takes: all of them are somewhere, and the walker finds them. */
static void free_very_many(void *context)
{
    struct heapster_stats before, after;

    (void)context;
    begin(MANY);
    before = stats_now();
    give(MANY);
    after = stats_now();
    REQUIRE(after.used_blocks == before.used_blocks - MANY);
    REQUIRE(after.cached_blocks == before.cached_blocks + MANY);
    require_cached(0, MANY, MANY);
    require_sound();
}

static void what_finds_no_room_goes_to_the_depot(void **state)
{
    (void)state;
    run_in_thread(free_very_many, NULL);
}

static void free_and_trim(void *context)
{
    uint64_t others_blocks; /* in the cache of the thread that made this one */

    (void)context;
    heapster_free(heapster_malloc(1));
    (void)heapster_trim(0);
    others_blocks = stats_now().cached_blocks;
    begin(7);
    give(7);
    REQUIRE(unsorted_count(hs_cache_self) == 7);
    (void)heapster_trim(0);
    REQUIRE(unsorted_count(hs_cache_self) == 0 && count_in_bins(hs_cache_self) == 0);
    REQUIRE(stats_now().cached_blocks == others_blocks);
    require_sound();
}

static void trimming_gives_them_back(void **state)
{
    (void)state;
    run_in_thread(free_and_trim, NULL);
}

static void leave_some_unsorted(void *context)
{
    (void)context;
    begin(7);
    give(7);
}

static void end_with_some_unsorted(void *context)
{
    struct worker other = {0};

    (void)context;
    start_worker(&other);
    let(&other, leave_some_unsorted, NULL);
    REQUIRE(unsorted_count(other.cache) == 7);
    end_worker(&other);
    require_sound();
    REQUIRE(hs_cache_empty_idle(NULL, UINT64_MAX));
    require_cached(0, 0, 7);
    require_sound();
}

static void the_end_of_a_thread_keeps_them_for_the_next(void **state)
{
    (void)state;
    run_in_thread(end_with_some_unsorted, NULL);
}

/* Of the thread that forks they stay as they are; those of another one are free. */
static void fork_with_some_unsorted(void *context)
{
    struct worker other = {0};
    void *mine[3];
    pid_t child;

    (void)context;
    for (unsigned i = 0; i < 3; i++)
        mine[i] = heapster_malloc(BYTES);
    heapster_free(heapster_malloc(BYTES));
    hs_cache_self->defers = true;
    start_worker(&other);
    let(&other, leave_some_unsorted, NULL);
    for (unsigned i = 0; i < 3; i++)
        heapster_free(mine[i]);
    REQUIRE(unsorted_count(hs_cache_self) == 3);
    child = fork();
    if (child == 0) {
        REQUIRE(unsorted_count(hs_cache_self) == 3);
        for (unsigned i = 0; i < 3; i++)
            REQUIRE(state_of(mine[i]) == HS_STATE_CACHED);
        require_cached(0, 0, 7);
        require_sound();
        _exit(0);
    }
    require_exit(child);
    require_sound();
    end_worker(&other);
}

static void the_child_of_a_fork_has_those_of_its_thread(void **state)
{
    (void)state;
    run_in_thread(fork_with_some_unsorted, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_heap_sorts_at_once),
        cmocka_unit_test(blocks_stay_unsorted),
        cmocka_unit_test(many_are_sorted_into_their_bins),
        cmocka_unit_test(malloc_sorts_where_its_bin_is_empty),
        cmocka_unit_test(what_finds_no_room_goes_to_the_depot),
        cmocka_unit_test(trimming_gives_them_back),
        cmocka_unit_test(the_end_of_a_thread_keeps_them_for_the_next),
        cmocka_unit_test(the_child_of_a_fork_has_those_of_its_thread),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
