/*
 * fork where threads have caches: in the child, what vanished threads held is free again, wherever they had it and
 * whatever they were about to do with it.
 */
#include "cache_support.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "options.h"

enum { MANY = 300, KEPT = 50, THREADS = 6, FORKS = 150, SLOTS = 64 };

static void *payloads[MANY], *sent[MANY], *kept[KEPT];

static void require_every_byte(void)
{
    struct heapster_stats stats = stats_now();

    REQUIRE(stats.free_bytes + stats.used_bytes + stats.cached_bytes - stats.large_bytes ==
            stats.region_bytes - stats.region_count * HS_REGION_OVERHEAD_BYTES);
}

static void use_the_heap(void *context)
{
    static void *blocks[1000];

    (void)context;
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = heapster_malloc(i * 7 % 3000);
        fill_pattern(blocks[i], i * 7 % 3000, i);
    }
    for (unsigned i = 0; i < COUNT_OF(blocks); i++) {
        REQUIRE(holds_pattern(blocks[i], i * 7 % 3000, i));
        heapster_free(blocks[i]);
    }
}

static void live_in_the_child(void)
{
    (void)alarm(CHILD_SECONDS);
    require_sound();
    require_every_byte();
    use_the_heap(NULL);
    if (THREADS_IN_CHILD)
        be_a_thread(use_the_heap, NULL); /* in an arena of a thread that vanished */
    require_sound();
    require_every_byte();
    (void)heapster_trim(0);
    require_sound();
}

/* ---- what lies where --------------------------------------------------------------------------------------------- */

static void keep_some(void *context)
{
    struct blocks blocks = {payloads, MANY, 100};

    (void)context;
    take_blocks(&blocks);
    free_blocks(&blocks);
    for (unsigned i = 0; i < KEPT; i++) {
        kept[i] = heapster_malloc(100 + i);
        fill_pattern(kept[i], 100 + i, i);
    }
    REQUIRE(hs_cache_self->run != NULL && count_in_bins(hs_cache_self) > 50);
}

/* What the thread had freed, but for what lies in its arena's depot. */
static void require_free(const struct hs_depot *depot)
{
    unsigned cached = 0;

    for (unsigned i = 0; i < MANY; i++) {
        REQUIRE(state_of(payloads[i]) != HS_STATE_RUN);
        cached += state_of(payloads[i]) == HS_STATE_CACHED;
    }
    REQUIRE(cached == hs_load_relaxed(&depot->blocks));
}

/* The others hold bins, runs, outboxes, and what was sent to them; so does this thread. */
static void fork_beside_caches(void *context)
{
    struct blocks of_mine = {sent, 70, 200};
    struct worker others[2] = {{0}};
    struct heapster_stats before, after;
    const struct hs_depot *depot;
    unsigned in_bins;
    pid_t child;

    (void)context;
    for (unsigned i = 0; i < 2; i++)
        start_worker(&others[i]);
    let(&others[0], keep_some, NULL);
    take_blocks(&of_mine);
    let(&others[1], free_blocks, &of_mine);                        /* 64 in the inbox, 6 unsent or in an outbox */
    let(&others[1], take_blocks, &(struct blocks){sent, 70, 300}); /* and back */
    free_blocks(&of_mine);
    depot = others[0].cache->arena->depot;
    before = stats_now();
    in_bins = count_in_bins(hs_cache_self);
    child = fork();
    if (child == 0) {
        after = stats_now();
        REQUIRE(after.used_blocks == before.used_blocks && after.used_bytes == before.used_bytes);
        REQUIRE(after.cached_blocks < before.cached_blocks && after.free_bytes > before.free_bytes);
        REQUIRE(count_in_bins(hs_cache_self) == in_bins);
        require_free(depot);
        for (unsigned i = 0; i < KEPT; i++)
            REQUIRE(holds_pattern(kept[i], 100 + i, i));
        live_in_the_child();
        for (unsigned i = 0; i < KEPT; i++)
            heapster_free(kept[i]);
        require_sound();
        _exit(0);
    }
    require_exit(child);
    require_sound();
    for (unsigned i = 0; i < 2; i++)
        end_worker(&others[i]);
}

static void blocks_of_vanished_threads_are_free_again(void **state)
{
    (void)state;
    run_in_thread(fork_beside_caches, NULL);
}

/* As a thread stands that vanishes while it sorts: one block is in its bin already, and unsorted still. */
static void stop_amid_sorting(void *context)
{
    struct hs_cache *cache;

    (void)context;
    keep_some(NULL);
    cache = hs_cache_self;
    cache->unsorted.payloads[0] = payloads[0];
    hs_store_relaxed(&cache->unsorted.classes[0], (uint8_t)hs_class_of_block(hs_block_of(payloads[0])));
    hs_store_relaxed(&cache->unsorted.count, 1);
    REQUIRE(state_of(payloads[0]) == HS_STATE_CACHED);
}

static void go_on_sorting(void *context)
{
    (void)context;
    hs_store_relaxed(&hs_cache_self->unsorted.count, 0);
}

/* The child sends what is unsent; that fills an outbox and is the slow path at which unused caches are given back. What
 * vanished threads' caches hold is not to be believed then. */
static void fork_amid_everything(void *context)
{
    enum { SENT = 3 * HS_WAITING_MOST + 1, UNSENT = HS_WAITING_MOST - 1 };
    static void *medium[1];
    struct worker owner = {0}, sorter = {0};
    struct blocks blocks = {sent, SENT + UNSENT - 1, 100}, one = {medium, 1, 2000};
    pid_t child;

    (void)context;
    start_worker(&owner);
    start_worker(&sorter);
    use_the_heap(NULL);
    let(&owner, take_blocks_inside_pages, &blocks);
    let(&owner, take_blocks, &one);
    let(&sorter, stop_amid_sorting, NULL);
    free_blocks(&one);
    free_blocks(&blocks);
    REQUIRE(hs_load_relaxed(&hs_cache_self->unsent.count) == UNSENT);
    hs_store_relaxed(&hs_options.decay_ms, 0);
    for (unsigned i = 0; i < 256; i++) {
        hs_cache_self->slow_paths = i; /* the next one that looks for unused caches is among them */
        child = fork();
        if (child == 0) {
            (void)alarm(CHILD_SECONDS);
            require_sound();
            require_every_byte();
            _exit(0);
        }
        require_exit(child);
    }
    let(&sorter, go_on_sorting, NULL);
    require_sound();
    end_worker(&owner);
    end_worker(&sorter);
}

static void nothing_of_vanished_threads_is_given_back_before_the_sweep(void **state)
{
    (void)state;
    run_in_thread(fork_amid_everything, NULL);
}

/* A cache that ended before the fork, and one whose thread is the one that forks. */
static void fork_after_a_thread(void *context)
{
    pid_t child;

    (void)context;
    use_the_heap(NULL);
    be_a_thread(keep_some, NULL);
    child = fork();
    if (child == 0) {
        live_in_the_child();
        _exit(0);
    }
    require_exit(child);
    be_a_thread(use_the_heap, NULL);
}

static void fork_beside_a_cache_that_ended(void *context)
{
    struct worker other = {0};

    start_worker(&other); /* so that there is somebody who vanishes */
    let(&other, use_the_heap, NULL);
    fork_after_a_thread(context);
    end_worker(&other);
}

static void caches_that_had_ended(void **state)
{
    (void)state;
    run_in_thread(fork_after_a_thread, NULL);
    run_in_thread(fork_beside_a_cache_that_ended, NULL);
}

/* ---- at any moment ----------------------------------------------------------------------------------------------- */

static atomic_bool stop;
static _Atomic(void *) slots[SLOTS];

/* Many of a size at once, so that bins overflow and are refilled, and half of the frees are remote. */
static void *overflow_bins(void *context)
{
    uint64_t random = (uintptr_t)context;
    void *blocks[200];

    while (!atomic_load(&stop)) {
        size_t bytes = (size_t)(next_random(&random) % 400) * (next_random(&random) % 8 == 0 ? 16 : 1);

        for (unsigned i = 0; i < COUNT_OF(blocks); i++)
            blocks[i] = heapster_malloc(bytes);
        for (unsigned i = 0; i < COUNT_OF(blocks); i++)
            heapster_free(i % 2 == 0 ? blocks[i] : atomic_exchange(&slots[next_random(&random) % SLOTS], blocks[i]));
        if (next_random(&random) % 64 == 0)
            (void)heapster_trim(SIZE_MAX);
        (void)sched_yield();
    }
    return NULL;
}

static void fork_amid_flushes(void *context)
{
    pthread_t threads[THREADS];

    (void)context;
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, overflow_bins, (void *)(uintptr_t)(i + 1)) == 0);
    for (unsigned i = 0; i < FORKS; i++) {
        pid_t child = fork();

        if (child == 0) {
            live_in_the_child();
            _exit(0);
        }
        require_exit(child);
        heapster_free(heapster_malloc((size_t)i * 10));
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < SLOTS; i++)
        heapster_free(atomic_load(&slots[i]));
}

static void flushes_under_way(void **state)
{
    (void)state;
    run_in_thread(fork_amid_flushes, NULL);
}

/* ---- beside a thread that trims and has no cache ------------------------------------------------------------------
 */

enum { IN_INBOX = 6000, TRIMS = 100 };

static atomic_bool may_trim, has_trimmed;

static void *trim_without_a_cache(void *unused)
{
    while (!atomic_load(&stop)) {
        if (atomic_exchange(&may_trim, false)) {
            (void)heapster_trim(0);
            atomic_store(&has_trimmed, true);
        }
        (void)sched_yield();
    }
    return unused;
}

static void fork_amid_trims(void *context)
{
    static void *blocks[IN_INBOX];
    struct blocks sending = {blocks, IN_INBOX, 40};
    uint64_t random = 1;
    pthread_t trimmer;

    (void)context;
    REQUIRE(pthread_create(&trimmer, NULL, trim_without_a_cache, NULL) == 0);
    for (unsigned i = 0; i < TRIMS; i++) {
        pid_t child;

        take_blocks(&sending);
        be_a_thread(free_blocks, &sending);
        REQUIRE(hs_load_relaxed(&hs_cache_self->arena->inbox) != NULL);
        atomic_store(&has_trimmed, false);
        atomic_store(&may_trim, true);
        for (volatile uint64_t k = next_random(&random) % 60000; k > 0; k--)
            ;
        child = fork();
        if (child == 0) {
            live_in_the_child();
            _exit(0);
        }
        require_exit(child);
        while (!atomic_load(&has_trimmed))
            (void)sched_yield();
    }
    atomic_store(&stop, true);
    REQUIRE(pthread_join(trimmer, NULL) == 0);
}

static void an_inbox_on_its_way_to_the_arena(void **state)
{
    (void)state;
    run_child_quietly(fork_amid_trims, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_vanished_threads_are_free_again),
        cmocka_unit_test(nothing_of_vanished_threads_is_given_back_before_the_sweep),
        cmocka_unit_test(caches_that_had_ended),
        cmocka_unit_test(flushes_under_way),
        cmocka_unit_test(an_inbox_on_its_way_to_the_arena),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
