/*
 * What a program does wrong with memory: it writes past the end of a block, before its beginning, into a block that it
 * has freed; and it gives a block back with another size. Each in a child, as in misuse.c.
 *
 * The blocks come from a fresh first-class arena, where they stand side by side: left, middle, right, and a guard.
 */
#include "misuse.h"

#include "freelist.h"
#include "options.h"

enum { BLOCK_BYTES = 104, BLOCKS = 4 }; /* usable bytes of a block of 112 */

static char *blocks[BLOCKS];

static void take_blocks(size_t bytes)
{
    heapster_arena *arena = heapster_arena_create(NULL);

    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = heapster_arena_malloc(arena, bytes);
        REQUIRE(blocks[i] != NULL);
        REQUIRE(i == 0 || blocks[i] == blocks[i - 1] + bytes + HS_TAG_BYTES);
    }
}

/* Bytes that are not what was there before; the compiler is not to know whose. */
static void spoil(const char *at, size_t bytes)
{
    char *to = (char *)unforeseen((uintptr_t)at);

    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(to[i] ^ 0x3A);
}

/* ---- overflows ------------------------------------------------------------------------------------------------- */

static void overflow_into_a_used_block(void *context)
{
    take_blocks(BLOCK_BYTES);
    spoil(blocks[0] + BLOCK_BYTES, *(const size_t *)context);
    heapster_free(blocks[0]);
}

static void overflow_into_a_free_block(void *context)
{
    take_blocks(BLOCK_BYTES);
    heapster_free(blocks[1]);
    spoil(blocks[0] + BLOCK_BYTES, *(const size_t *)context);
    heapster_free(blocks[0]);
}

/* The owner of the overwritten tag finds it, too. */
static void overflow_found_by_the_neighbour(void *context)
{
    take_blocks(BLOCK_BYTES);
    spoil(blocks[0] + BLOCK_BYTES, *(const size_t *)context);
    heapster_free(blocks[1]);
}

static void overflow_found_by_realloc(void *context)
{
    char *moved;

    take_blocks(BLOCK_BYTES);
    spoil(blocks[0] + BLOCK_BYTES, *(const size_t *)context);
    moved = heapster_realloc(blocks[0], 1000);
    REQUIRE(moved == NULL);
}

static void overflow(void **state)
{
    static size_t lengths[] = {1, 2, 4, 6, 7, 8, 16};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        expect_damage("overwritten tag", overflow_into_a_used_block, &lengths[i]);
        expect_damage("overwritten tag", overflow_into_a_free_block, &lengths[i]);
        expect_damage("overwritten tag", overflow_found_by_the_neighbour, &lengths[i]);
        expect_damage("overwritten tag", overflow_found_by_realloc, &lengths[i]);
    }
}

static void overflow_of_the_last_block(void *context)
{
    static _Alignas(16) char buffer[1024 + 16];
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};
    char *block = heapster_arena_malloc(heapster_arena_create(&config), 1016);

    (void)context;
    spoil(block + 1016, 1);
    heapster_free(block);
}

static void overflow_into_the_end_of_a_region(void **state)
{
    (void)state;
    expect_damage("overwritten tag", overflow_of_the_last_block, NULL);
}

/* ---- underflows ------------------------------------------------------------------------------------------------ */

/* One byte of the block's own tag, at this distance before the payload. */
static void spoil_own_tag(void *context)
{
    take_blocks(BLOCK_BYTES);
    spoil(blocks[1] - *(const size_t *)context, 1);
    heapster_free(blocks[1]);
}

static void spoil_whole_own_tag(void *context)
{
    take_blocks(BLOCK_BYTES);
    memset(blocks[1] - HS_TAG_BYTES, *(const int *)context, HS_TAG_BYTES);
    heapster_free(blocks[1]);
}

static void underflow(void **state)
{
    static size_t distances[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static int fillings[] = {0x00, 0xFF, 'A'};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(distances); i++)
        expect_damage("overwritten tag", spoil_own_tag, &distances[i]);
    for (size_t i = 0; i < COUNT_OF(fillings); i++)
        expect_damage("overwritten tag", spoil_whole_own_tag, &fillings[i]);
}

/* `left` says that the left neighbour is free on some list, and it is not. */
static void claim_a_left_neighbour_that_is_used(void *context)
{
    take_blocks(BLOCK_BYTES);
    memset(blocks[0], 0x11, BLOCK_BYTES);
    hs_block_set_left(hs_block_of(blocks[1]), *(const uint8_t *)context);
    heapster_free(blocks[1]);
}

static void wrong_left_byte(void **state)
{
    static uint8_t values[] = {1, 2, 6, 30, 63, 64, 200, 255};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++)
        expect_damage("overwritten tag", claim_a_left_neighbour_that_is_used, &values[i]);
}

static void spoil_a_large_tag(void *context)
{
    char *block = heapster_malloc((size_t)1 << 20);

    spoil(block - *(const size_t *)context, 1);
    heapster_free(block);
}

static void underflow_of_a_large_block(void **state)
{
    static size_t distances[] = {2, 3, 4, 5, 6, 7, 8};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(distances); i++)
        expect_damage("overwritten tag", spoil_a_large_tag, &distances[i]);
}

/* ---- written after free ---------------------------------------------------------------------------------------- */

struct write_after_free {
    size_t block_bytes, offset, bytes;
};

/* The next request for this size would get the block. */
static void find_by_malloc(void *context)
{
    const struct write_after_free *write = context;
    heapster_arena *arena = heapster_arena_create(NULL);
    char *block = heapster_arena_malloc(arena, write->block_bytes), *guard = heapster_arena_malloc(arena, 16);
    char *again;

    REQUIRE(guard == block + write->block_bytes + HS_TAG_BYTES);
    heapster_free(block);
    spoil(block + write->offset, write->bytes);
    again = heapster_arena_malloc(arena, write->block_bytes);
    REQUIRE(again != NULL && again != block);
}

/* Freeing the neighbour would merge the two. */
static void find_by_free(void *context)
{
    const struct write_after_free *write = context;
    heapster_arena *arena = heapster_arena_create(NULL);
    char *block = heapster_arena_malloc(arena, write->block_bytes), *right = heapster_arena_malloc(arena, 16);
    char *guard = heapster_arena_malloc(arena, 16);

    REQUIRE(guard == right + 24 + HS_TAG_BYTES);
    heapster_free(block);
    spoil(block + write->offset, write->bytes);
    heapster_free(right);
}

static void write_after_free(void **state)
{
    static struct write_after_free table[] = {
        {24, 0, 8},                      /* next */
        {24, 8, 8},                      /* previous */
        {24, 16, 8},                     /* the footer */
        {24, 0, 24},                     /* all of it */
        {104, 0, 1},                     /* one byte of a pointer */
        {1000, 0, 8},                    /* a range list: next */
        {1000, 8, 8},    {1000, 16, 24}, /* the tree */
        {1000, 0, 1000}, {40008, 0, 40000},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        expect_damage("overwritten tag", find_by_malloc, &table[i]);
        expect_damage("overwritten tag", find_by_free, &table[i]);
    }
}

static _Alignas(16) char buffer[65536];

struct wrong_largest {
    enum heapster_strategy strategy;
    uint32_t largest_below;
    size_t request;
};

/* In an arena that cannot grow, the one free block of a range list says of itself that it is larger or smaller. */
static void find_a_wrong_largest(void *context)
{
    const struct wrong_largest *wrong = context;
    struct heapster_arena_config config = {
        .strategy = wrong->strategy, .buffer = buffer, .buffer_bytes = sizeof buffer};
    heapster_arena *arena = heapster_arena_create(&config);
    char *block = heapster_arena_malloc(arena, 1100), *guard = heapster_arena_malloc(arena, 1000);

    REQUIRE(guard != NULL);
    while (heapster_arena_malloc(arena, 1000) != NULL)
        ;
    while (heapster_arena_malloc(arena, 1) != NULL)
        ;
    heapster_free(block);
    ((struct hs_free_block *)hs_block_of(block))->largest_below = wrong->largest_below;
    REQUIRE(heapster_arena_malloc(arena, wrong->request) == NULL);
}

static void wrong_largest_in_a_full_arena(void **state)
{
    (void)state;
    for (unsigned strategy = HEAPSTER_FIRST_FIT; strategy <= HEAPSTER_WORST_FIT; strategy++) {
        struct wrong_largest too_large = {(enum heapster_strategy)strategy, UINT32_MAX, 1250};
        struct wrong_largest zero = {(enum heapster_strategy)strategy, 0, 1080};

        expect_damage("overwritten tag", find_a_wrong_largest, &too_large);
        expect_damage("overwritten tag", find_a_wrong_largest, &zero);
    }
}

/* ---- after damage ---------------------------------------------------------------------------------------------- */

enum { SMALL_BLOCKS = 64, SMALL_BYTES = 24 };

static void require_a_list_in_order(void)
{
    struct complaints complaints = complaints_of(HEAPSTER_CHECK_AT_REST);

    REQUIRE(!complains_of(&complaints, "A1") && !complains_of(&complaints, "F4") && !complains_of(&complaints, "F3"));
}

/* An exact list is abandoned; then a block goes back that stands between two blocks that were on it, and others do. */
static void go_on_after_an_abandoned_list(void *context)
{
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};
    heapster_arena *arena = heapster_arena_create(&config);
    char *small[SMALL_BLOCKS];
    unsigned freed = 0, found = 0;

    (void)context;
    hs_options.abort_on_misuse = false;
    for (unsigned i = 0; i < SMALL_BLOCKS; i++)
        small[i] = heapster_arena_malloc(arena, SMALL_BYTES);
    for (unsigned i = 0; i < 16; i += 2)
        heapster_free(small[i]);
    spoil(small[14], 16); /* the head of the list */
    REQUIRE(heapster_arena_malloc(arena, SMALL_BYTES) != NULL);
    require_a_list_in_order();
    heapster_free(small[7]);
    require_a_list_in_order();
    for (unsigned i = 21; i < 40; i += 4, freed++)
        heapster_free(small[i]);
    require_a_list_in_order();
    while (heapster_arena_malloc(arena, 2000) != NULL)
        ;
    while (heapster_arena_malloc(arena, 100) != NULL)
        ;
    while (heapster_arena_malloc(arena, SMALL_BYTES) != NULL)
        found++;
    REQUIRE(found >= freed);
    require_a_list_in_order();
}

static void abandoned_list_goes_on(void **state)
{
    struct outcome outcome;

    (void)state;
    run_child(&outcome, go_on_after_an_abandoned_list, NULL);
    assert_exits_with(&outcome, 0);
    assert_true(is_misuse_report(outcome.text, "overwritten tag"));
}

/* ---- wrong sizes ----------------------------------------------------------------------------------------------- */

struct wrong_size {
    size_t taken, alignment, given;
};

static void free_with_a_wrong_size(void *context)
{
    const struct wrong_size *wrong = context;

    heapster_free_sized(heapster_malloc(wrong->taken), wrong->given);
}

static void free_sized(void **state)
{
    static struct wrong_size table[] = {
        {100, 0, 0},     {100, 0, 50},          {100, 0, 200},          {100, 0, SIZE_MAX},
        {1000, 0, 100},  {5000, 0, 3700},       {24, 0, 100},           {1 << 20, 0, (1 << 20) + 1},
        {1 << 20, 0, 5}, {1 << 20, 0, 1 << 19}, {1 << 20, 0, SIZE_MAX},
    };

    static struct wrong_size not_rounded = {5000, 0, 4900};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        expect_misuse("wrong size", free_with_a_wrong_size, &table[i]);
    if (!has_cache())
        expect_misuse("wrong size", free_with_a_wrong_size, &not_rounded);
}

static void free_aligned_with_a_wrong_size(void *context)
{
    const struct wrong_size *wrong = context;

    heapster_free_aligned_sized(heapster_aligned_alloc(64, wrong->taken), wrong->alignment, wrong->given);
}

static void free_aligned_sized(void **state)
{
    static struct wrong_size sizes[] = {{100, 64, 10}, {100, 64, 1000}, {5000, 64, 0}};
    static struct wrong_size alignments[] = {{100, 0, 100}, {100, 3, 100}, {100, SIZE_MAX / 2 + 1, 100}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        expect_misuse("wrong size", free_aligned_with_a_wrong_size, &sizes[i]);
    for (size_t i = 0; i < COUNT_OF(alignments); i++)
        expect_misuse("wrong alignment", free_aligned_with_a_wrong_size, &alignments[i]);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(overflow),
        cmocka_unit_test(overflow_into_the_end_of_a_region),
        cmocka_unit_test(underflow),
        cmocka_unit_test(wrong_left_byte),
        cmocka_unit_test(underflow_of_a_large_block),
        cmocka_unit_test(write_after_free),
        cmocka_unit_test(wrong_largest_in_a_full_arena),
        cmocka_unit_test(abandoned_list_goes_on),
        cmocka_unit_test(free_sized),
        cmocka_unit_test(free_aligned_sized),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
