/*
 * Blocks that are freed by a thread of another arena: outbox, inbox, and back into a bin of their own arena.
 */
#include "cache_support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "options.h"

enum { MANY = 4000, BATCH = 64, ARENAS = 36, EACH = 40, SWAPPERS = 4, SLOTS = 64, SWAPS = 20000 / TOOL_SLOWNESS };

static void *payloads[MANY];

static struct hs_arena *own_arena(void)
{
    return hs_cache_self->arena;
}

static uint64_t inbox_blocks(void)
{
    return hs_load_relaxed(&own_arena()->inbox_blocks);
}

static uint64_t inbox_bytes(const struct hs_arena *arena)
{
    return hs_load_relaxed(&arena->inbox_bytes);
}

/* Unsent, and in all outboxes of a cache. */
static uint64_t sent_blocks(const struct hs_cache *cache)
{
    uint64_t blocks = hs_load_relaxed(&cache->unsent.count);

    for (unsigned i = 0; i < HS_OUTBOXES; i++)
        blocks += hs_load_relaxed(&cache->outboxes[i].blocks);
    return blocks;
}

static bool is_among(const void *payload, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (payloads[i] == payload)
            return true;
    return false;
}

/* ---- outbox, inbox, bin ------------------------------------------------------------------------------------------ */

static void free_a_few_elsewhere(void *context)
{
    struct blocks blocks = {payloads, 10, 100};
    struct heapster_stats before, after;
    struct worker other = {0};

    (void)context;
    start_worker(&other);
    let(&other, take_blocks, &(struct blocks){payloads + 10, 1, 100});
    let(&other, free_blocks, &(struct blocks){payloads + 10, 1, 100});
    take_blocks(&blocks);
    before = stats_now();
    let(&other, free_blocks, &blocks);
    after = stats_now();
    REQUIRE(other.cache->arena != own_arena());
    REQUIRE(sent_blocks(other.cache) == 10 && inbox_blocks() == 0);
    for (unsigned i = 0; i < 10; i++)
        REQUIRE(state_of(payloads[i]) == HS_STATE_SENT);
    REQUIRE(after.used_blocks == before.used_blocks - 10);
    REQUIRE(after.used_bytes == before.used_bytes - 10 * (uint64_t)112);
    require_sound();
    end_worker(&other);
    REQUIRE(inbox_blocks() == 10);
}

static void a_remote_free_waits_in_an_outbox(void **state)
{
    (void)state;
    run_in_thread(free_a_few_elsewhere, NULL);
}

/* Makes its cache, whose first block of another arena would otherwise come before there is one. */
static void start_caching_worker(struct worker *other)
{
    struct blocks one = {payloads + MANY - 1, 1, 100};

    start_worker(other);
    let(other, take_blocks, &one);
    let(other, free_blocks, &one);
}

static void free_less_than_are_sent(void *context)
{
    struct blocks blocks = {payloads, HS_WAITING_MOST - 1, 100}, one = {payloads + HS_WAITING_MOST, 1, 100};
    struct worker other = {0};

    (void)context;
    start_caching_worker(&other);
    take_blocks_inside_pages(&blocks);
    take_blocks_inside_pages(&one);
    let(&other, free_blocks, &blocks);
    REQUIRE(hs_load_relaxed(&other.cache->unsent.count) == HS_WAITING_MOST - 1);
    for (unsigned i = 0; i < HS_OUTBOXES; i++)
        REQUIRE(other.cache->outboxes[i].newest == NULL);
    require_sound();
    let(&other, free_blocks, &one);
    REQUIRE(hs_load_relaxed(&other.cache->unsent.count) == 0 && sent_blocks(other.cache) == HS_WAITING_MOST);
    require_sound();
    end_worker(&other);
    REQUIRE(inbox_blocks() == HS_WAITING_MOST);
}

static void remote_frees_are_sent_many_at_a_time(void **state)
{
    (void)state;
    run_in_thread(free_less_than_are_sent, NULL);
}

/* Tiny and longer ones, of the thread's arena and of a first-class one: only the tiny foreign ones wait. */
static void free_what_does_not_wait(void *context)
{
    struct blocks medium = {payloads, 3, 5000}, own = {payloads + 3, 3, 100};
    heapster_arena *arena = heapster_arena_create(NULL);
    struct worker other = {0};

    (void)context;
    REQUIRE(arena != NULL);
    start_caching_worker(&other);
    take_blocks(&medium);
    let(&other, take_blocks, &own);
    payloads[6] = heapster_arena_malloc(arena, 100);
    let(&other, free_blocks, &(struct blocks){payloads, 7, 0});
    REQUIRE(hs_load_relaxed(&other.cache->unsent.count) == 0 && sent_blocks(other.cache) == 3);
    require_sound();
    end_worker(&other);
    heapster_arena_destroy(arena);
}

static void only_tiny_foreign_blocks_wait(void **state)
{
    (void)state;
    run_in_thread(free_what_does_not_wait, NULL);
}

struct load {
    unsigned count;
    size_t bytes;
};

static void free_many_elsewhere(void *context)
{
    const struct load *load = context;
    struct blocks blocks = {payloads, load->count, load->bytes};
    struct worker other = {0};

    take_blocks(&blocks);
    start_worker(&other);
    let(&other, free_blocks, &blocks);
    REQUIRE(inbox_blocks() >= 4 && inbox_blocks() <= load->count);
    REQUIRE(inbox_blocks() + sent_blocks(other.cache) == load->count);
    REQUIRE(inbox_bytes(own_arena()) == inbox_blocks() * block_bytes_of(payloads[0]));
    require_sound();
    end_worker(&other);
}

/* By their number, and by their bytes. */
static void a_full_outbox_goes_to_the_inbox(void **state)
{
    struct load small = {BATCH + 3, 100}, large = {5, 8000};

    (void)state;
    run_in_thread(free_many_elsewhere, &small);
    run_in_thread(free_many_elsewhere, &large);
}

static void take_back_what_came(void *context)
{
    struct blocks blocks = {payloads, 10 * BATCH, 100};
    struct worker other = {0};

    (void)context;
    take_blocks(&blocks);
    start_worker(&other);
    let(&other, free_blocks, &blocks);
    end_worker(&other);
    REQUIRE(inbox_blocks() == (uint64_t)10 * BATCH);
    for (unsigned i = 0; i < 10 * BATCH; i++) {
        void *again = heapster_malloc(100);

        REQUIRE(is_among(again, 10 * BATCH) && state_of(again) == HS_STATE_USED);
        payloads[MANY / 2 + i] = again;
    }
    REQUIRE(inbox_blocks() == 0 && hs_load_relaxed(&own_arena()->inbox) == NULL);
    require_sound();
    blocks.payloads = payloads + MANY / 2;
    free_blocks(&blocks);
}

static void malloc_takes_what_came_back(void **state)
{
    (void)state;
    run_in_thread(take_back_what_came, NULL);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

struct flood {
    const struct hs_arena *arena;
    uint64_t most_bytes;
};

static void free_and_measure(void *context)
{
    struct flood *flood = context;

    for (unsigned i = 0; i < MANY; i++) {
        heapster_free(payloads[i]);
        if (inbox_bytes(flood->arena) > flood->most_bytes)
            flood->most_bytes = inbox_bytes(flood->arena);
    }
}

static void sleep_while_others_free(void *context)
{
    struct blocks blocks = {payloads, MANY, 2000};
    struct heapster_stats before, after;
    struct worker other = {0};
    struct flood flood = {0};
    uint64_t most_bytes;

    (void)context;
    take_blocks(&blocks);
    flood.arena = own_arena();
    before = stats_now();
    start_worker(&other);
    let(&other, free_and_measure, &flood);
    after = stats_now();
    REQUIRE(flood.most_bytes > HS_INBOX_BYTES_MOST / 2);
    REQUIRE(flood.most_bytes <= HS_INBOX_BYTES_MOST + (size_t)64 * 1024);
    /* What was beyond the bound is free again, for any size of request. */
    most_bytes = hs_depot_sent_bytes_most(flood.arena->depot);
    REQUIRE(most_bytes < MANY * (uint64_t)2048 / 2);
    REQUIRE(flood.arena->depot->sent_bytes > 0 && flood.arena->depot->sent_bytes <= most_bytes + 2048);
    REQUIRE(after.free_bytes >
            before.free_bytes + MANY * (uint64_t)2048 - most_bytes - HS_INBOX_BYTES_MOST - (size_t)128 * 1024);
    require_sound();
    end_worker(&other);
}

static void the_sender_gives_back_what_inbox_and_depot_cannot_hold(void **state)
{
    (void)state;
    run_in_thread(sleep_while_others_free, NULL);
}

/* More than an inbox holds, but no more than the depot takes for an owner that sleeps. */
static void take_what_others_put_into_the_depot(void *context)
{
    struct blocks blocks = {payloads, 900, 2000};
    struct worker other = {0};
    struct hs_depot *depot;
    void *taken;

    (void)context;
    take_blocks(&blocks);
    while (count_in_bin(hs_cache_self, 2000) != 0)
        REQUIRE(heapster_malloc(2000) != NULL);
    start_worker(&other);
    let(&other, free_blocks, &blocks);
    depot = own_arena()->depot;
    REQUIRE(hs_load_relaxed(&depot->blocks) > 200);
    REQUIRE(depot->sent_bytes == hs_load_relaxed(&depot->bytes));
    require_sound();
    /* The inbox comes first; then malloc takes from the depot, which is from then on no sleeper's any more. */
    for (unsigned i = 0; depot->sent_bytes != 0; i++) {
        REQUIRE(i < 900);
        taken = heapster_malloc(2000);
        REQUIRE(is_among(taken, 900));
    }
    require_sound();
    end_worker(&other);
}

static void what_an_inbox_cannot_hold_is_kept_for_its_owner(void **state)
{
    (void)state;
    run_in_thread(take_what_others_put_into_the_depot, NULL);
}

/* Somebody frees blocks of a third arena, and nothing of this one. */
static void free_elsewhere(void *context)
{
    struct blocks *blocks = context;

    for (unsigned i = 0; i < blocks->count; i++)
        heapster_free(blocks->payloads[i]);
}

static void sleep_for_long(void *context)
{
    struct blocks mine = {payloads, 900, 2000}, yours = {payloads + 900, 2000, 100};
    struct worker other = {0}, third = {0};
    struct hs_depot *depot;

    (void)context;
    hs_options.decay_ms = 2;
    start_worker(&third);
    take_blocks(&mine);
    depot = own_arena()->depot;
    start_worker(&other);
    let(&other, free_blocks, &mine);
    REQUIRE(hs_load_relaxed(&depot->blocks) != 0);
    /* It only frees, and for others; twice the time passes, since the first look sees that there was use. */
    for (unsigned round = 0; round < 1000 && hs_load_relaxed(&depot->blocks) != 0; round++) {
        let(&third, take_blocks, &yours);
        (void)usleep(5000);
        let(&other, free_elsewhere, &yours);
    }
    REQUIRE(hs_load_relaxed(&depot->blocks) == 0 && inbox_bytes(own_arena()) == 0);
    require_sound();
    end_worker(&other);
    end_worker(&third);
}

static void who_only_frees_gives_back_what_a_sleeper_does_not_use(void **state)
{
    (void)state;
    run_in_thread(sleep_for_long, NULL);
}

/* One thread only allocates, another one only frees. */
static void produce_and_consume(void *context)
{
    struct worker other = {0};
    uint64_t early_bytes = 0;

    (void)context;
    start_worker(&other);
    for (unsigned round = 0; round < 400; round++) {
        struct blocks blocks = {payloads, 1000, 50 + round % 10 * 90};

        take_blocks(&blocks);
        let(&other, free_blocks, &blocks);
        if (round == 60)
            early_bytes = stats_now().region_bytes;
    }
    REQUIRE(stats_now().region_bytes <= early_bytes + ((uint64_t)1 << 20));
    end_worker(&other);
}

static void memory_does_not_pile_up_between_two_threads(void **state)
{
    (void)state;
    run_in_thread(produce_and_consume, NULL);
}

/* ---- more arenas than outboxes, and none that anybody serves ----------------------------------------------------- */

static void *of_arenas[ARENAS][EACH];

/* In an order in which arenas that share an outbox follow each other. */
static void free_of_all_arenas(void *context)
{
    (void)context;
    for (unsigned i = 0; i < EACH; i++)
        for (unsigned first = 0; first < HS_OUTBOXES; first++)
            for (unsigned arena = first; arena < ARENAS; arena += HS_OUTBOXES)
                heapster_free(of_arenas[arena][i]);
}

static void serve_many_arenas(void *context)
{
    static struct worker workers[ARENAS];
    struct heapster_stats before = stats_now();

    (void)context;
    for (unsigned i = 0; i < ARENAS; i++) {
        start_worker(&workers[i]);
        let(&workers[i], take_blocks, &(struct blocks){of_arenas[i], EACH, 200});
    }
    for (unsigned i = 1; i < ARENAS; i++)
        REQUIRE(workers[i].cache->arena != workers[i - 1].cache->arena);
    free_of_all_arenas(NULL);
    REQUIRE(stats_now().arena_count >= ARENAS);
    require_sound();
    for (unsigned i = 0; i < ARENAS; i++)
        end_worker(&workers[i]);
    require_sound();
    (void)heapster_trim(0);
    REQUIRE(stats_now().used_blocks <= before.used_blocks + 2 * (uint64_t)ARENAS); /* what libc keeps of threads */
}

static void more_arenas_than_outboxes(void **state)
{
    struct outcome outcome;

    (void)state;
    run_again(&outcome, "--many-arenas", "arenas=40");
    assert_quiet_success(&outcome);
}

static void free_after_the_owner(void *context)
{
    struct blocks blocks = {payloads, 10 * BATCH + 5, 100};
    struct heapster_stats stats;

    (void)context;
    heapster_free(heapster_malloc(100));
    be_a_thread(take_blocks, &blocks);
    blocks.count--; /* the last one keeps the region */
    free_blocks(&blocks);
    require_sound();
    (void)heapster_trim(SIZE_MAX);
    stats = stats_now();
    for (unsigned i = 0; i < blocks.count; i++)
        REQUIRE(state_of(payloads[i]) != HS_STATE_SENT && state_of(payloads[i]) != HS_STATE_CACHED);
    REQUIRE(stats.free_bytes + stats.used_bytes + stats.cached_bytes - stats.large_bytes ==
            stats.region_bytes - stats.region_count * HS_REGION_OVERHEAD_BYTES);
    heapster_free(payloads[blocks.count]);
}

static void blocks_of_a_thread_that_ended_are_given_back(void **state)
{
    (void)state;
    run_in_thread(free_after_the_owner, NULL);
}

/* ---- all at once ------------------------------------------------------------------------------------------------- */

/* Handed over by the operations of sync.h: helgrind and drd know no others. */
static _Atomic(unsigned char *) slots[SLOTS];

/* Each block begins with its size and is filled by it. */
static unsigned char *make_block(size_t bytes)
{
    unsigned char *block = heapster_malloc(bytes);

    REQUIRE(block != NULL);
    memcpy(block, &bytes, sizeof bytes);
    fill_pattern(block + sizeof bytes, bytes - sizeof bytes, (unsigned)bytes);
    return block;
}

static void free_block(unsigned char *block)
{
    size_t bytes;

    if (block == NULL)
        return;
    memcpy(&bytes, block, sizeof bytes);
    REQUIRE(holds_pattern(block + sizeof bytes, bytes - sizeof bytes, (unsigned)bytes));
    heapster_free_sized(block, bytes);
}

/* Where another thread was faster, the block does not even get into the slot. */
static void swap_block(_Atomic(unsigned char *) *slot, unsigned char *block)
{
    unsigned char *empty = NULL;

    free_block(hs_exchange_acquire(slot, NULL));
    if (!hs_compare_exchange_release(slot, &empty, block))
        free_block(block);
}

static void *swap_blocks(void *context)
{
    uint64_t random = (uintptr_t)context;

    for (unsigned i = 0; i < SWAPS; i++) {
        size_t bytes = sizeof(size_t) + (size_t)(next_random(&random) % (next_random(&random) % 16 == 0 ? 9000 : 300));

        swap_block(&slots[next_random(&random) % SLOTS], make_block(bytes));
    }
    return NULL;
}

static void swap_among_threads(void *context)
{
    struct heapster_stats before = stats_now();
    pthread_t threads[SWAPPERS];

    (void)context;
    for (unsigned i = 0; i < SWAPPERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, swap_blocks, (void *)(uintptr_t)(i + 1)) == 0);
    for (unsigned i = 0; i < SWAPPERS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < SLOTS; i++)
        free_block(hs_load_acquire(&slots[i]));
    require_sound();
    REQUIRE(stats_now().used_blocks <= before.used_blocks + SWAPPERS);
}

static void threads_free_what_others_allocated(void **state)
{
    (void)state;
    run_in_thread(swap_among_threads, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_remote_free_waits_in_an_outbox),
        cmocka_unit_test(remote_frees_are_sent_many_at_a_time),
        cmocka_unit_test(only_tiny_foreign_blocks_wait),
        cmocka_unit_test(a_full_outbox_goes_to_the_inbox),
        cmocka_unit_test(malloc_takes_what_came_back),
        cmocka_unit_test(the_sender_gives_back_what_inbox_and_depot_cannot_hold),
        cmocka_unit_test(what_an_inbox_cannot_hold_is_kept_for_its_owner),
        cmocka_unit_test(who_only_frees_gives_back_what_a_sleeper_does_not_use),
        cmocka_unit_test(memory_does_not_pile_up_between_two_threads),
        cmocka_unit_test(more_arenas_than_outboxes),
        cmocka_unit_test(blocks_of_a_thread_that_ended_are_given_back),
        cmocka_unit_test(threads_free_what_others_allocated),
    };

    if (argc == 2 && strcmp(argv[1], "--many-arenas") == 0) {
        be_a_thread(serve_many_arenas, NULL);
        return EXIT_SUCCESS;
    }
    return run_named(tests, COUNT_OF(tests), argc, argv);
}
