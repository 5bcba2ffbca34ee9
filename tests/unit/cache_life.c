/*
 * Caches come and go with their threads: what one held goes on to the next thread, or back; a thread that has none is
 * served all the same; and where memory ends, what caches hold is given back first.
 */
#include "cache_support.h"

#include <unistd.h>

#include "compiler.h"
#include "options.h"

enum { MANY = 500, THREADS = 20000, HELD = 40 };

static void *payloads[MANY];

/* ---- the end of a thread ----------------------------------------------------------------------------------------- */

static struct hs_arena *seen_arena;

static void use_all_classes(void *context)
{
    (void)context;
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = HS_CLASS_FIRST; i < HS_CLASSES; i++) {
            struct blocks blocks = {payloads, 12, hs_class_bytes(i) - HS_TAG_BYTES};

            take_blocks(&blocks);
            free_blocks(&blocks);
        }
    seen_arena = hs_cache_self->arena;
}

/* Nothing is the program's any more, and nothing is kept once memory is trimmed. */
static void end_with_a_full_cache(void *context)
{
    struct heapster_stats before, after;

    (void)context;
    be_a_thread(use_all_classes, NULL);
    (void)heapster_trim(0);
    before = stats_now();
    be_a_thread(use_all_classes, NULL);
    after = stats_now();
    REQUIRE(after.used_blocks == before.used_blocks && after.used_bytes == before.used_bytes);
    require_sound();
    (void)heapster_trim(0);
    after = stats_now();
    REQUIRE(after.cached_blocks <= before.cached_blocks && after.region_bytes <= before.region_bytes);
}

static void a_thread_that_ends_gives_all_back(void **state)
{
    (void)state;
    run_in_thread(end_with_a_full_cache, NULL);
}

static void follow_each_other(void *context)
{
    const struct hs_arena *arena;

    (void)context;
    heapster_free(heapster_malloc(1)); /* this thread's arena is another one */
    be_a_thread(use_all_classes, NULL);
    arena = seen_arena;
    for (unsigned i = 0; i < 20; i++) {
        be_a_thread(use_all_classes, NULL);
        REQUIRE(seen_arena == arena && arena != hs_cache_self->arena);
    }
}

static void the_next_thread_gets_the_arena(void **state)
{
    (void)state;
    run_in_thread(follow_each_other, NULL);
}

static void take_two_and_free_one(void *context)
{
    void **taken = context;

    for (unsigned i = 0; i < 2; i++)
        taken[i] = heapster_malloc(5000);
    heapster_free(taken[0]);
}

static void free_and_go(void *context)
{
    void *first[2], *second[2]; /* one of them keeps the region */

    (void)context;
    heapster_free(heapster_malloc(1));
    be_a_thread(take_two_and_free_one, first);
    be_a_thread(take_two_and_free_one, second);
    REQUIRE(first[0] == second[0]);
    hs_options.decay_ms = 0;
    for (unsigned round = 0; round < 4; round++) { /* slow paths, that look at what is due */
        for (unsigned i = 0; i < MANY; i++)
            payloads[i] = heapster_malloc(3000);
        for (unsigned i = 0; i < MANY; i++)
            heapster_free(payloads[i]);
    }
    REQUIRE(state_of(first[0]) != HS_STATE_CACHED);
    heapster_free(first[1]);
    heapster_free(second[1]);
}

/* As the last thread left it; but after decay_ms, nothing is left. */
static void the_next_thread_gets_the_cache(void **state)
{
    (void)state;
    run_in_thread(free_and_go, NULL);
}

static void live_shortly(void *context)
{
    unsigned number = *(const unsigned *)context;

    for (unsigned i = 0; i < HELD; i++) {
        payloads[i] = heapster_malloc((number * 7 + i * 61) % 3000);
        REQUIRE(payloads[i] != NULL);
    }
    for (unsigned i = 0; i < HELD; i++)
        heapster_free(payloads[i]);
}

static void start_many_threads(void *context)
{
    struct heapster_stats early = {0}, late;
    size_t early_bytes = 0;

    (void)context;
    for (unsigned i = 0; i < THREADS; i++) {
        be_a_thread(live_shortly, &i);
        if (i == THREADS / 10) {
            early = stats_now();
            early_bytes = process_bytes(RESIDENT_BYTES);
        }
    }
    late = stats_now();
    REQUIRE(late.region_bytes == early.region_bytes && late.region_count == early.region_count);
    REQUIRE(late.used_blocks <= early.used_blocks && late.arena_count == early.arena_count);
    REQUIRE(late.cached_bytes <= early.cached_bytes + HS_CACHE_BYTES_MOST);
    REQUIRE(TOOL_HAS_MEMORY || process_bytes(RESIDENT_BYTES) <= early_bytes + ((size_t)1 << 20));
}

static void twenty_thousand_threads_do_not_grow_the_heap(void **state)
{
    (void)state;
    run_in_thread(start_many_threads, NULL);
}

/* ---- after the cache has ended ----------------------------------------------------------------------------------- */

static pthread_key_t key;
static unsigned destructors_run, destructors_without_cache;

/* Runs in each round that the library makes over the keys: later than the cache's own. */
static void allocate_in_a_destructor(void *value)
{
    destructors_run++;
    destructors_without_cache += !i_have_a_cache();
    for (unsigned i = 0; i < HELD; i++)
        payloads[i] = heapster_calloc(1, 10 + i * 400);
    for (unsigned i = 0; i < HELD; i++)
        heapster_free(payloads[i]);
    heapster_free(value);
    if (destructors_run % 3 != 0)
        (void)pthread_setspecific(key, heapster_malloc(200));
}

static void leave_a_value(void *context)
{
    (void)context;
    REQUIRE(pthread_setspecific(key, heapster_malloc(100)) == 0);
}

static void end_with_destructors(void *context)
{
    struct heapster_stats before, after;

    (void)context;
    heapster_free(heapster_malloc(1)); /* the key of caches comes first */
    REQUIRE(pthread_key_create(&key, allocate_in_a_destructor) == 0);
    be_a_thread(leave_a_value, NULL);
    before = stats_now();
    for (unsigned i = 0; i < 50; i++)
        be_a_thread(leave_a_value, NULL);
    after = stats_now();
    REQUIRE(destructors_run == 3 * 51 && destructors_without_cache >= 2 * 51);
    REQUIRE(after.used_blocks == before.used_blocks && after.used_bytes == before.used_bytes);
    (void)heapster_trim(0);
    REQUIRE(stats_now().cached_blocks <= before.cached_blocks);
    REQUIRE(pthread_key_delete(key) == 0);
}

static void destructors_after_the_cache_leak_nothing(void **state)
{
    (void)state;
    run_in_thread(end_with_destructors, NULL);
}

/* ---- no cache to be had ------------------------------------------------------------------------------------------ */

static void want_a_record(void *context)
{
    struct blocks blocks = {payloads, 100, 100};

    (void)context;
    fail_os_calls(1U << HS_OS_MMAP);
    take_blocks(&blocks);
    REQUIRE(!i_have_a_cache());
    fail_os_calls(0);
    free_blocks(&blocks);
    REQUIRE(i_have_a_cache());
}

/* As soon as there is memory, there is a cache. */
static void a_thread_without_memory_for_a_cache_has_none(void **state)
{
    (void)state;
    use_break();
    heapster_free(heapster_malloc(1)); /* the heap has a region, and what leads to it */
    run_in_thread(want_a_record, NULL);
}

/* ---- no memory --------------------------------------------------------------------------------------------------- */

static bool drain_arena(struct hs_arena *arena, void *context)
{
    (void)context;
    for (size_t bytes = (size_t)1 << 20; bytes >= HS_BLOCK_BYTES_LEAST; bytes /= 2)
        while (hs_arena_allocate(arena, bytes, HS_ALIGNMENT) != NULL)
            ;
    return true;
}

/* Blocks of 8000 bytes side by side: together they are enough, and each alone is not. */
static void run_out_of_memory(void *context)
{
    bool is_remote = *(const bool *)context;
    struct blocks blocks = {payloads, is_remote ? 16 : 4, 8000};
    struct worker other = {0};
    size_t wanted = (blocks.count - 1) * (size_t)8192;

    start_worker(&other);
    let(&other, take_blocks, &(struct blocks){payloads + 100, 1, 100});
    take_blocks(&blocks);
    fail_os_calls((1U << HS_OS_CALL_KINDS) - 1);
    (void)hs_heap_for_each_table_arena(drain_arena, NULL);
    if (is_remote)
        let(&other, free_blocks, &blocks);
    else
        free_blocks(&blocks);
    payloads[200] = heapster_malloc(wanted);
    REQUIRE(payloads[200] != NULL);
    heapster_free(payloads[200]);
    errno = 0;
    REQUIRE(heapster_malloc((size_t)1 << 20) == NULL && errno == ENOMEM);
    REQUIRE(count_in_bins(hs_cache_self) == 0 && hs_load_relaxed(&hs_cache_self->arena->inbox) == NULL);
    fail_os_calls(0);
    end_worker(&other);
}

static void caches_give_back_before_there_is_no_memory(void **state)
{
    bool is_remote = false;

    (void)state;
    run_in_thread(run_out_of_memory, &is_remote);
    is_remote = true;
    run_in_thread(run_out_of_memory, &is_remote);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_ends_gives_all_back),
        cmocka_unit_test(the_next_thread_gets_the_arena),
        cmocka_unit_test(the_next_thread_gets_the_cache),
        cmocka_unit_test(twenty_thousand_threads_do_not_grow_the_heap),
        cmocka_unit_test(destructors_after_the_cache_leak_nothing),
        cmocka_unit_test(a_thread_without_memory_for_a_cache_has_none),
        cmocka_unit_test(caches_give_back_before_there_is_no_memory),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
