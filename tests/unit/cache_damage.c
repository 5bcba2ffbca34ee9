/*
 * What a program does wrong with blocks that caches hold: it frees them again, by the same thread or another one,
 * writes to them, or has written past their end before it freed them. Each in a child, as in misuse.c.
 */
#include "misuse.h"

#include <stdlib.h>

#include "cache_support.h"
#include "options.h"

enum { MANY = 300, BATCH = 64 };

static void *payloads[MANY];
static struct blocks all = {payloads, BATCH, 100};

/* Bytes that are not what was there before; the compiler is not to know whose. */
static void spoil(const void *at, size_t bytes)
{
    char *to = (char *)unforeseen((uintptr_t)at);

    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(to[i] ^ 0x3A);
}

static void overwrite(const void *at, int byte, size_t bytes)
{
    memset((char *)unforeseen((uintptr_t)at), byte, bytes);
}

/* ---- freed twice ------------------------------------------------------------------------------------------------- */

struct second_free {
    size_t bytes;
    bool first_elsewhere, second_elsewhere;
    unsigned others; /* freed in between */
    bool defers;     /* as in a large heap */
};

static void free_one(void *payload)
{
    heapster_free(payload);
}

static void free_by(struct worker *other, bool elsewhere, void *payload)
{
    if (elsewhere)
        let(other, free_one, payload);
    else
        heapster_free(payload);
}

static void free_twice(void *context)
{
    const struct second_free *second = context;
    struct blocks between = {payloads + 1, second->others, second->bytes};
    struct worker other = {0};

    start_worker(&other);
    payloads[0] = heapster_malloc(second->bytes);
    take_blocks(&between);
    hs_cache_self->defers = second->defers;
    free_by(&other, second->first_elsewhere, payloads[0]);
    free_blocks(&between);
    free_by(&other, second->second_elsewhere, payloads[0]);
    end_worker(&other);
}

static void double_free_of_a_cached_block(void **state)
{
    static struct second_free table[] = {
        {24, false, false, 0, false},    {24, false, false, 3, false},   {1000, false, false, 0, false},
        {5000, false, false, 1, false},  {100, true, true, 0, false},    {100, true, false, 0, false},
        {100, false, true, 0, false},    {100, true, true, 70, false},   {100, true, false, 70, false},
        {20000, false, true, 0, false},  {20000, true, false, 0, false}, {100, false, false, 250, false},
        {65536, false, false, 0, false}, {100, false, false, 3, true},   {100, false, false, 15, true},
        {100, false, false, 40, true},   {1000, false, true, 3, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        expect_misuse("double free", free_twice, &table[i]);
}

static void resize_after_free(void *context)
{
    void *payload = heapster_malloc(*(const size_t *)context), *moved;

    heapster_free(payload);
    moved = heapster_realloc(payload, 50);
    REQUIRE(moved == NULL);
}

static void measure_after_free(void *context)
{
    void *payload = heapster_malloc(*(const size_t *)context);

    heapster_free(payload);
    REQUIRE(heapster_usable_size(payload) == 0);
}

static void size_after_free(void *context)
{
    size_t bytes = *(const size_t *)context;
    void *payload = heapster_malloc(bytes);

    heapster_free(payload);
    heapster_free_sized(payload, bytes);
}

static void other_calls_with_a_cached_block(void **state)
{
    static size_t sizes[] = {24, 1000, 5000, 65536};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        expect_misuse("realloc of a freed block", resize_after_free, &sizes[i]);
        expect_misuse("usable_size of a freed block", measure_after_free, &sizes[i]);
        expect_misuse("double free", size_after_free, &sizes[i]);
    }
}

static void free_what_was_not_cut_yet(void *context)
{
    char *block = heapster_malloc(*(const size_t *)context), *run = (char *)hs_cache_self->run;

    REQUIRE(hs_load_relaxed(&hs_cache_self->run_bytes) > 512);
    overwrite(run + 16, 0, 300);
    heapster_free(run + HS_TAG_BYTES + 256);
    heapster_free(run + HS_TAG_BYTES);
    heapster_free(block);
}

static void free_of_what_was_not_cut_yet(void **state)
{
    static size_t bytes = 100;
    struct outcome outcome;

    (void)state;
    run_child(&outcome, free_what_was_not_cut_yet, &bytes);
    assert_true(is_misuse_report(outcome.text, "double free") && lines_of(outcome.text) == 1);
}

/* ---- overflows --------------------------------------------------------------------------------------------------- */

/* Two neighbours, of which the left one overflows into the tag of the right one. */
static void overflow_into(char **left, char **right, size_t bytes)
{
    *right = heapster_malloc(bytes);
    *left = heapster_malloc(bytes);
    while (hs_block_right(hs_block_of(*left)) != hs_block_of(*right)) {
        *right = *left;
        *left = heapster_malloc(bytes);
    }
    spoil(*left + heapster_usable_size(*left), 4);
}

static void find_by_trim(void *context)
{
    char *left, *right;

    overflow_into(&left, &right, *(const size_t *)context);
    heapster_free(left);
    (void)heapster_trim(SIZE_MAX);
}

static void find_by_overflow_of_the_bin(void *context)
{
    struct blocks others = {payloads, MANY, *(const size_t *)context};
    char *left, *right;

    take_blocks(&others);
    overflow_into(&left, &right, others.bytes);
    heapster_free(left);
    free_blocks(&others);
    (void)heapster_trim(SIZE_MAX);
}

static void find_at_exit(void *context)
{
    char *left, *right;

    overflow_into(&left, &right, *(const size_t *)context);
    heapster_free(left);
    exit(0);
}

static void find_by_the_neighbour(void *context)
{
    char *left, *right;

    overflow_into(&left, &right, *(const size_t *)context);
    heapster_free(left);
    heapster_free(right);
}

static void find_elsewhere(void *context)
{
    struct worker other = {0};
    char *left, *right;

    overflow_into(&left, &right, *(const size_t *)context);
    start_worker(&other);
    let(&other, free_one, left);
    end_worker(&other);
    (void)heapster_trim(SIZE_MAX);
}

static void an_overflow_is_found_later(void **state)
{
    static size_t sizes[] = {24, 104, 200};
    static child_body *const ways[] = {find_by_trim, find_by_overflow_of_the_bin, find_at_exit, find_by_the_neighbour,
                                       find_elsewhere};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t k = 0; k < COUNT_OF(ways); k++)
            expect_damage("overwritten tag", ways[k], &sizes[i]);
}

/* Found before malloc hands the block out again, or the bin gives it back. */
static void spoil_the_tag_of_a_cached_block(void *context)
{
    char *block = heapster_malloc(100);

    heapster_free(block);
    spoil(block - *(const size_t *)context, 1);
    (void)heapster_trim(SIZE_MAX);
}

static void underflow_of_a_cached_block(void **state)
{
    static size_t distances[] = {3, 4, 5, 6, 7, 8};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(distances); i++)
        expect_damage("overwritten tag", spoil_the_tag_of_a_cached_block, &distances[i]);
}

static void spoil_the_state_of_a_cached_block(void *context)
{
    char *block = heapster_malloc(100), *again;

    (void)context;
    heapster_free(block);
    hs_block_set_state(hs_block_of(block), HS_STATE_USED);
    again = heapster_malloc(100);
    REQUIRE(again != NULL && again != block);
}

static void a_block_that_is_not_as_free_left_it(void **state)
{
    (void)state;
    expect_damage("double free", spoil_the_state_of_a_cached_block, NULL);
}

/* ---- written after free ------------------------------------------------------------------------------------------ */

static void write_to_cached_blocks(void *context)
{
    static const size_t sizes[] = {24, 100, 1000, 5000, 40000};

    (void)context;
    for (unsigned round = 0; round < 100; round++)
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            struct blocks blocks = {payloads, 2 + (round % 2 == 0 && i < 3 ? 100 : 0), sizes[i]};

            take_blocks(&blocks);
            free_blocks(&blocks);
            overwrite(payloads[blocks.count - 1], 0x41, sizes[i]);
            overwrite(payloads[blocks.count - 2], 0x00, sizes[i]);
        }
    require_sound();
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        REQUIRE(is_zero(heapster_calloc(1, sizes[i]), sizes[i]));
}

/* Nothing in it is believed. */
static void a_write_to_a_cached_block_does_no_harm(void **state)
{
    (void)state;
    run_in_thread(write_to_cached_blocks, NULL);
}

/* ---- links of chains --------------------------------------------------------------------------------------------- */

enum link { ZEROED, TEXT, ONES, SHIFTED, TO_A_CACHED_BLOCK, TO_THE_CHAIN, TO_A_USED_BLOCK, LINKS };

static void *elsewhere; /* allocated before: malloc would take what is in the inbox */

static void spoil_link(enum link link, unsigned index)
{
    void **word = (void **)unforeseen((uintptr_t)payloads[index]);

    switch (link) {
    case TEXT:
        memset(word, 'A', sizeof *word);
        break;
    case ONES:
        memset(word, 0xFF, sizeof *word);
        break;
    case SHIFTED:
        spoil((char *)word, 1);
        break;
    case TO_A_CACHED_BLOCK:
        heapster_free(elsewhere);
        *word = elsewhere;
        break;
    case TO_THE_CHAIN:
        *word = payloads[index + 1];
        break;
    case TO_A_USED_BLOCK:
        *word = elsewhere;
        break;
    default:
        memset(word, 0, sizeof *word);
    }
}

/* Blocks of this thread that another one frees; one of them is written to while it is on its way. */
static void write_to_sent_blocks(void *context)
{
    struct worker other = {0};

    start_worker(&other);
    elsewhere = heapster_malloc(100);
    take_blocks(&all);
    let(&other, free_blocks, &all);
    spoil_link(*(const enum link *)context, BATCH / 2);
    for (unsigned i = 0; i < 2 * BATCH; i++)
        payloads[BATCH + i] = heapster_malloc(100);
    end_worker(&other);
    (void)heapster_trim(SIZE_MAX);
    for (unsigned i = 0; i < 2 * BATCH; i++)
        for (unsigned k = 0; k < i; k++)
            REQUIRE(payloads[BATCH + i] != payloads[BATCH + k]);
}

static void write_to_an_outbox(void *context)
{
    struct worker other = {0};

    all.count = BATCH / 2 + HS_WAITING_MOST + 2;
    start_worker(&other);
    elsewhere = heapster_malloc(100);
    take_blocks(&all);
    let(&other, free_blocks, &all);
    spoil_link(*(const enum link *)context, BATCH / 2);
    end_worker(&other);
    (void)heapster_trim(SIZE_MAX);
}

static void an_overwritten_link_is_reported(void **state)
{
    static enum link link;

    (void)state;
    for (link = ZEROED; link < LINKS; link++) {
        expect_damage("overwritten tag", write_to_sent_blocks, &link);
        expect_damage("overwritten tag", write_to_an_outbox, &link);
    }
}

/* What is not in a chain yet has no link that could be lost; its tag may be. */
static void write_to_unsent_blocks(void *context)
{
    bool hits_tag = *(const bool *)context;
    struct worker other = {0};

    all.count = HS_WAITING_MOST - 2;
    start_worker(&other);
    let(&other, take_blocks, &(struct blocks){&elsewhere, 1, 100});
    take_blocks_inside_pages(&all);
    let(&other, free_blocks, &all);
    REQUIRE(hs_load_relaxed(&other.cache->unsent.count) == all.count);
    overwrite(hits_tag ? (char *)payloads[3] - HS_TAG_BYTES : payloads[3], 0x41, HS_TAG_BYTES);
    end_worker(&other);
    REQUIRE(hs_load_relaxed(&hs_cache_self->arena->inbox_blocks) == all.count - (hits_tag ? 1 : 0));
}

static void verify_cache(void *context)
{
    (void)context;
    hs_cache_verify();
}

/* As at the end of the process. */
static void verify_unsent_blocks(void *context)
{
    struct worker other = {0};
    uint64_t tag;

    (void)context;
    all.count = HS_WAITING_MOST - 2;
    start_worker(&other);
    let(&other, take_blocks, &(struct blocks){&elsewhere, 1, 100});
    take_blocks_inside_pages(&all);
    let(&other, free_blocks, &all);
    memcpy(&tag, (char *)payloads[3] - HS_TAG_BYTES, sizeof tag);
    overwrite((char *)payloads[3] - HS_TAG_BYTES, 0x41, HS_TAG_BYTES);
    let(&other, verify_cache, NULL);
    memcpy((char *)payloads[3] - HS_TAG_BYTES, &tag, sizeof tag);
    end_worker(&other);
}

static void overwritten_unsent_blocks_are_reported(void **state)
{
    static bool hits_tag = true;

    (void)state;
    expect_damage("overwritten tag", verify_unsent_blocks, NULL);
    expect_damage("overwritten tag", write_to_unsent_blocks, &hits_tag);
    hits_tag = false;
    run_in_thread(write_to_unsent_blocks, &hits_tag);
}

/* Hints lead anywhere; nothing believes them. */
static void write_to_hints(void *context)
{
    static const uintptr_t hints[] = {0, 1, 8, 0x4141414141414141, UINTPTR_MAX, UINTPTR_MAX / 2 + 1};
    struct worker other = {0};

    (void)context;
    all.count = BATCH;
    start_worker(&other);
    let(&other, take_blocks, &(struct blocks){&elsewhere, 1, 100});
    take_blocks(&all);
    let(&other, free_blocks, &all);
    for (unsigned i = 0; i < BATCH; i++)
        ((uintptr_t *)unforeseen((uintptr_t)payloads[i]))[1] = hints[i % COUNT_OF(hints)];
    take_blocks(&all);
    require_sound();
    end_worker(&other);
}

static void an_overwritten_hint_does_no_harm(void **state)
{
    (void)state;
    run_in_thread(write_to_hints, NULL);
}

/* Outboxes of the thread, and all inboxes. */
static void trim(void *context)
{
    (void)context;
    (void)heapster_trim(SIZE_MAX);
}

/* Of the chain, what stood before the damage comes back, and what follows is not lost with it. */
static void go_on_after_a_lost_link(void *context)
{
    struct worker other = {0};
    struct complaints complaints;
    unsigned back = 0;

    (void)context;
    hs_options.abort_on_misuse = false;
    start_worker(&other);
    elsewhere = heapster_malloc(100);
    take_blocks(&all);
    let(&other, free_blocks, &all);
    spoil_link(TEXT, BATCH / 4);
    let(&other, trim, NULL);
    for (unsigned i = 0; i < BATCH; i++)
        back += state_of(payloads[i]) != HS_STATE_SENT;
    REQUIRE(back == BATCH - BATCH / 4);
    for (unsigned round = 0; round < 5; round++) {
        struct blocks more = {payloads + BATCH, BATCH, 300};

        take_blocks(&more);
        let(&other, free_blocks, &more);
        let(&other, trim, NULL);
        for (unsigned i = 0; i < BATCH; i++)
            REQUIRE(state_of(payloads[BATCH + i]) != HS_STATE_SENT && state_of(payloads[BATCH + i]) != HS_STATE_USED);
    }
    complaints = complaints_of(HEAPSTER_CHECK_AT_REST);
    REQUIRE(complaints_of(HEAPSTER_CHECK_RUNNING).count == 0);
    REQUIRE(complains_of(&complaints, "C2"));
    end_worker(&other);
}

static void one_lost_link_loses_no_more_than_what_it_led_to(void **state)
{
    struct outcome outcome;

    (void)state;
    run_child(&outcome, go_on_after_a_lost_link, NULL);
    assert_exits_with(&outcome, 0);
    assert_true(is_misuse_report(outcome.text, "overwritten tag"));
    assert_int_equal(lines_of(outcome.text), 1);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_free_of_a_cached_block),
        cmocka_unit_test(other_calls_with_a_cached_block),
        cmocka_unit_test(free_of_what_was_not_cut_yet),
        cmocka_unit_test(an_overflow_is_found_later),
        cmocka_unit_test(underflow_of_a_cached_block),
        cmocka_unit_test(a_block_that_is_not_as_free_left_it),
        cmocka_unit_test(a_write_to_a_cached_block_does_no_harm),
        cmocka_unit_test(overwritten_unsent_blocks_are_reported),
        cmocka_unit_test(an_overwritten_hint_does_no_harm),
        cmocka_unit_test(an_overwritten_link_is_reported),
        cmocka_unit_test(one_lost_link_loses_no_more_than_what_it_led_to),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
