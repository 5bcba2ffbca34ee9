/*
 * How much a cache holds: its bins begin with one block, grow with use, put away what is too much, and give back what
 * is not used.
 */
#include "cache_table.h"

#include <unistd.h>

#include "options.h"

/* ---- slow start, growth, flush ----------------------------------------------------------------------------------- */

static void use_each_class_once(void *context)
{
    struct heapster_stats before, after;
    uint64_t used_bytes = 0, others_bytes;

    (void)context;
    heapster_free(heapster_malloc(LARGEST_REQUEST)); /* makes the cache */
    REQUIRE(heapster_trim(SIZE_MAX));
    others_bytes = stats_now().cached_bytes;
    for (unsigned i = HS_CLASSES; i-- > HS_CLASS_FIRST;) {
        before = stats_now();
        payloads[i] = heapster_malloc(hs_class_bytes(i) - HS_TAG_BYTES);
        after = stats_now();
        REQUIRE(after.used_blocks == before.used_blocks + 1);
        REQUIRE(after.used_bytes - before.used_bytes - hs_class_bytes(i) <= HS_ALIGNMENT);
        REQUIRE(count_in_bin(hs_cache_self, hs_class_bytes(i) - HS_TAG_BYTES) == 0);
        used_bytes += hs_class_bytes(i);
        /* From an eighth of the run on, nothing; below, a run that is no longer than what was used so far. */
        if (hs_class_bytes(i) > 64 * 1024 / 8)
            REQUIRE(after.cached_bytes == others_bytes);
        REQUIRE(after.cached_bytes - others_bytes <= 2048 + 2 * used_bytes);
    }
    for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++)
        heapster_free(payloads[i]);
}

static void a_class_used_once_takes_one_block(void **state)
{
    (void)state;
    run_in_thread(use_each_class_once, NULL);
}

/* Free blocks of 1008 bytes, each between used ones, in the arena of whoever comes next: the thread ends. */
static void leave_holes(void *context)
{
    struct hs_block *holes[MANY];
    unsigned count = *(const unsigned *)context;
    struct hs_arena *arena;

    heapster_free(heapster_malloc(LARGEST_REQUEST));
    arena = hs_cache_self->arena;
    for (unsigned i = 0; i < count; i++) {
        holes[i] = hs_arena_allocate(arena, 1008, 16);
        REQUIRE(holes[i] != NULL && hs_arena_allocate(arena, 32, 16) != NULL);
    }
    for (unsigned i = 0; i < count; i++)
        (void)hs_arena_release(arena, holes[i]);
}

static void count_refills(void *context)
{
    unsigned refills = 0, most = 0;

    (void)context;
    for (unsigned i = 0; i < MANY / 2; i++) {
        unsigned left = count_in_bin(hs_cache_self, 1000);
        uint64_t locks = locks_taken();

        payloads[i] = heapster_malloc(1000);
        REQUIRE(block_bytes_of(payloads[i]) == 1008);
        if (left != 0)
            continue;
        if (refills != 0) /* the first one makes the cache, too */
            REQUIRE(locks_taken_since(locks) == 1);
        left = count_in_bin(hs_cache_self, 1000);
        REQUIRE(left + 1 >= most && left + 1 <= 2 * (most + 1));
        most = left + 1;
        refills++;
        REQUIRE(left + 1 == 1U << (refills <= 6 ? refills - 1 : 5));
    }
    give(MANY / 2);
}

static void refill_of_holes(void *context)
{
    unsigned count = MANY / 2 + 64;

    (void)context;
    be_a_thread(leave_holes, &count);
    (void)hs_cache_empty_idle(NULL, UINT64_MAX);
    be_a_thread(count_refills, NULL);
}

/* One block, then two, four, ... 32 KiB of them: each time under one lock, whatever their number. */
static void refills_double(void **state)
{
    (void)state;
    run_in_thread(refill_of_holes, NULL);
}

/* In the arena of whoever comes next: the thread ends. */
static void leave_blocks_of_100(void *context)
{
    (void)context;
    take(300, 100);
}

/* As the bin's room is used up it doubles; at the most that there can be, about half of the blocks leave the bin. */
static void free_them_one_by_one(void *context)
{
    unsigned kept;

    (void)context;
    for (unsigned i = 0, room = HS_BIN_SLOTS_LEAST; i < HS_BIN_SLOTS_MOST; i++) {
        heapster_free(payloads[i]);
        REQUIRE(count_in_bin(hs_cache_self, 100) == i + 1);
        if (i == room)
            room = room * 2 + 1;
        REQUIRE(room_of_bin(hs_cache_self, 100) == room);
    }
    require_cached(0, HS_BIN_SLOTS_MOST, 300);
    heapster_free(payloads[HS_BIN_SLOTS_MOST]);
    kept = count_in_bin(hs_cache_self, 100);
    REQUIRE(room_of_bin(hs_cache_self, 100) == HS_BIN_SLOTS_MOST);
    REQUIRE(kept >= HS_BIN_SLOTS_MOST / 2 && kept <= HS_BIN_SLOTS_MOST / 2 + 5);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->depot->blocks) == HS_BIN_SLOTS_MOST + 1 - kept);
    /* Those that stayed are the newest, in the order in which they came. */
    for (unsigned i = 0; i < kept; i++)
        REQUIRE(heapster_malloc(100) == payloads[HS_BIN_SLOTS_MOST - i]);
    for (unsigned i = HS_BIN_SLOTS_MOST - kept + 1; i < 300; i++)
        heapster_free(payloads[i]);
}

static void fill_a_bin(void *context)
{
    (void)context;
    be_a_thread(leave_blocks_of_100, NULL);
    (void)hs_cache_empty_idle(NULL, UINT64_MAX);
    be_a_thread(free_them_one_by_one, NULL);
}

static void a_full_bin_puts_its_oldest_half_away(void **state)
{
    (void)state;
    run_in_thread(fill_a_bin, NULL);
}

struct crowd {
    unsigned threads; /* of the arena */
    size_t bytes;     /* that each of them may hold */
};

/* Bins of one class and of all together. */
static void fill_all_bins(void *context)
{
    const struct crowd *crowd = context;
    _Atomic unsigned *threads;
    size_t most = 0;

    heapster_free(heapster_malloc(1));
    threads = &hs_cache_self->arena->threads;
    REQUIRE(hs_load_relaxed(threads) == 1);
    hs_store_relaxed(threads, crowd->threads);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
            size_t block_bytes = hs_class_bytes(i), bytes;

            take(300, block_bytes - HS_TAG_BYTES);
            give(300);
            bytes = count_in_bin(hs_cache_self, block_bytes - HS_TAG_BYTES) * block_bytes;
            REQUIRE(bytes <= HS_BIN_BYTES_MOST || bytes <= 2 * block_bytes);
            bytes = bytes_in_bins(hs_cache_self);
            REQUIRE(bytes <= crowd->bytes);
            if (bytes > most)
                most = bytes;
        }
    REQUIRE(most > crowd->bytes / 2);
    hs_store_relaxed(threads, 1);
}

static void a_cache_holds_so_much_at_the_most(void **state)
{
    static struct crowd crowds[] = {{1, HS_CACHE_BYTES_MOST},
                                    {4, HS_CACHES_BYTES_MOST / 4},
                                    {8, HS_CACHES_BYTES_MOST / 8},
                                    {1000, HS_CACHE_BYTES_LEAST}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(crowds); i++)
        run_in_thread(fill_all_bins, &crowds[i]);
}

/* As many classes as there is room for, each as wide as it may be; then one more. */
static void widen_all_and_one_more(void *context)
{
    struct hs_cache *cache;
    size_t next_bytes;
    unsigned i = HS_CLASS_FIRST + 30; /* 512 bytes */
    uint64_t locks;

    (void)context;
    heapster_free(heapster_malloc(1));
    cache = hs_cache_self;
    for (; cache->bin_bytes + HS_BIN_SLOTS_LEAST * hs_class_bytes(i) <= HS_CACHE_BYTES_MOST; i++) {
        take(300, hs_class_bytes(i) - HS_TAG_BYTES);
        give(300);
    }
    REQUIRE(room_of_bin(cache, 512 - HS_TAG_BYTES) == HS_BIN_BYTES_MOST / 512);
    next_bytes = hs_class_bytes(i) - HS_TAG_BYTES;
    REQUIRE(room_of_bin(cache, next_bytes) == 0);
    take(HS_BIN_SLOTS_LEAST, next_bytes);
    give(HS_BIN_SLOTS_LEAST);
    hs_cache_sort(cache); /* by now the heap is large enough to leave them unsorted */
    REQUIRE(room_of_bin(cache, next_bytes) == HS_BIN_SLOTS_LEAST);
    REQUIRE(room_of_bin(cache, 512 - HS_TAG_BYTES) <= HS_BIN_BYTES_MOST / 512 / 2);
    REQUIRE(cache->bin_bytes <= HS_CACHE_BYTES_MOST && bytes_in_bins(cache) <= cache->bin_bytes);
    /* From here on the class lives in its bin. */
    locks = locks_taken();
    for (unsigned round = 0; round < 20; round++) {
        take(HS_BIN_SLOTS_LEAST, next_bytes);
        give(HS_BIN_SLOTS_LEAST);
    }
    REQUIRE(locks_taken_since(locks) == 0);
    require_sound();
}

static void a_class_without_room_gets_it_from_others(void **state)
{
    (void)state;
    run_in_thread(widen_all_and_one_more, NULL);
}

/* ---- the way back ------------------------------------------------------------------------------------------------ */

static void use_another_class(void)
{
    static void *others[64];
    struct blocks blocks = {others, 64, 4000};

    take_blocks(&blocks);
    free_blocks(&blocks);
    (void)usleep(100);
}

/* Uses another class. True as soon as this one has no block any more. */
static bool is_given_back(size_t bytes, unsigned rounds)
{
    for (unsigned round = 0; round < rounds && count_in_bin(hs_cache_self, bytes) != 0; round++)
        use_another_class();
    return count_in_bin(hs_cache_self, bytes) == 0;
}

static void leave_a_class_unused(void *context)
{
    (void)context;
    hs_options.decay_ms = UINT32_MAX;
    take(100, 100);
    give(100);
    REQUIRE(count_in_bin(hs_cache_self, 100) >= 100);
    REQUIRE(!is_given_back(100, 200));
    hs_options.decay_ms = 2;
    REQUIRE(is_given_back(100, UINT32_MAX));
    REQUIRE(room_of_bin(hs_cache_self, 100) <= HS_BIN_SLOTS_LEAST);
    require_cached(0, 0, 100);
}

static void bins_that_lie_unused_are_given_back(void **state)
{
    (void)state;
    run_in_thread(leave_a_class_unused, NULL);
}

enum { BUSY_CLASSES = 60, LIVE_BLOCKS = 70 };

/* Many bins become wide and are then empty, since all their blocks are in use. */
static void widen_and_empty(void **blocks)
{
    for (unsigned i = 0; i < BUSY_CLASSES; i++) {
        size_t bytes = hs_class_bytes(HS_CLASSES - 1 - i) - HS_TAG_BYTES;

        take(LIVE_BLOCKS, bytes);
        give(LIVE_BLOCKS);
        while (count_in_bin(hs_cache_self, bytes) != 0)
            *blocks++ = heapster_malloc(bytes);
    }
}

static void leave_wide_bins_empty(void *context)
{
    static void *live[BUSY_CLASSES * LIVE_BLOCKS];

    (void)context;
    hs_options.decay_ms = 2;
    widen_and_empty(live);
    take(8, 900);
    for (unsigned round = 0; round < 10; round++) {
        (void)usleep(5000);
        for (unsigned i = 0; i < 20; i++)
            use_another_class();
    }
    give(8);
    REQUIRE(count_in_bin(hs_cache_self, 900) != 0);
    for (size_t i = 0; i < COUNT_OF(live); i++)
        heapster_free(live[i]);
}

static void empty_bins_make_room_for_others(void **state)
{
    (void)state;
    run_in_thread(leave_wide_bins_empty, NULL);
}

static void trim_a_full_cache(void *context)
{
    struct worker other = {0};
    struct blocks blocks = {payloads, 70, 100};
    struct heapster_stats stats, before = stats_now();

    (void)context;
    take_blocks(&blocks);
    start_worker(&other);
    let(&other, free_blocks, &blocks);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->inbox) != NULL);
    take(300, 200);
    give(300);
    stats = stats_now();
    REQUIRE(stats.cached_blocks > before.cached_blocks + 200 && hs_cache_self->run != NULL);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->depot->blocks) > 100);
    (void)heapster_trim(SIZE_MAX);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->inbox) == NULL);
    REQUIRE(count_in_bins(hs_cache_self) == 0 && hs_cache_self->run == NULL);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->depot->blocks) == 0);
    end_worker(&other);
    (void)heapster_trim(SIZE_MAX); /* what was in its outbox */
    stats = stats_now();
    REQUIRE(stats.cached_blocks == before.cached_blocks && stats.cached_bytes == before.cached_bytes);
}

static void trim_empties_cache_depot_and_inbox(void **state)
{
    (void)state;
    run_in_thread(trim_a_full_cache, NULL);
}

/* More blocks than the magazines of one slab hold, so that slabs go back as well. */
enum { MORE_THAN_A_SLAB = 60000 };

static void fill_and_empty_the_depot(void)
{
    static void *many[MORE_THAN_A_SLAB];

    for (unsigned i = 0; i < MORE_THAN_A_SLAB; i++)
        many[i] = heapster_malloc(40);
    for (unsigned i = 0; i < MORE_THAN_A_SLAB; i++)
        heapster_free(many[i]);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->depot->blocks) > MORE_THAN_A_SLAB / 2);
    (void)heapster_trim(SIZE_MAX);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->depot->blocks) == 0);
}

static void empty_the_depot_while_nothing_is_taken_back(void *context)
{
    size_t mapped_bytes;

    (void)context;
    hs_options.decay_ms = UINT32_MAX; /* how long the rounds take does not matter */
    fill_and_empty_the_depot();
    fail_os_calls(1U << HS_OS_MUNMAP);
    fill_and_empty_the_depot();
    mapped_bytes = process_bytes(ADDRESS_SPACE_BYTES);
    for (unsigned round = 0; round < 10; round++)
        fill_and_empty_the_depot();
    REQUIRE(TOOL_HAS_MEMORY || process_bytes(ADDRESS_SPACE_BYTES) == mapped_bytes);
    fail_os_calls(0);
}

static void a_depot_whose_memory_is_not_taken_back_uses_it_again(void **state)
{
    (void)state;
    run_in_thread(empty_the_depot_while_nothing_is_taken_back, NULL);
}

/* Who asks read the clock before the lock: one may come with an older time than the one before. */
static void ask_whether_the_depot_is_unused(void *context)
{
    uint64_t now_ms = hs_os_now_ms() + 100000, decay_ms = 1000;
    struct hs_depot *depot;

    (void)context;
    heapster_free(heapster_malloc(LARGEST_REQUEST)); /* makes the cache */
    depot = hs_cache_self->arena->depot;
    (void)hs_depot_is_unused(depot, now_ms, decay_ms);
    REQUIRE(!hs_depot_is_unused(depot, now_ms - 1, decay_ms));
    REQUIRE(!hs_depot_is_unused(depot, now_ms + decay_ms - 1, decay_ms));
    REQUIRE(hs_depot_is_unused(depot, now_ms + decay_ms, decay_ms));
}

static void an_older_time_makes_no_depot_unused(void **state)
{
    (void)state;
    run_in_thread(ask_whether_the_depot_is_unused, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_class_used_once_takes_one_block),
        cmocka_unit_test(refills_double),
        cmocka_unit_test(a_full_bin_puts_its_oldest_half_away),
        cmocka_unit_test(a_cache_holds_so_much_at_the_most),
        cmocka_unit_test(a_class_without_room_gets_it_from_others),
        cmocka_unit_test(bins_that_lie_unused_are_given_back),
        cmocka_unit_test(empty_bins_make_room_for_others),
        cmocka_unit_test(trim_empties_cache_depot_and_inbox),
        cmocka_unit_test(a_depot_whose_memory_is_not_taken_back_uses_it_again),
        cmocka_unit_test(an_older_time_makes_no_depot_unused),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
