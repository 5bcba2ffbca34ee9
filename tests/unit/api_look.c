/*
 * Looking at the heap through its interface: statistics, the walk over all blocks, strategies.
 */
#include "support.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

enum { PRINT_BYTES = 4096 };

static const char *const field_names[] = {
    "allocations",      "frees",
    "used_bytes",       "used_blocks",
    "free_bytes",       "free_blocks",
    "largest_free",     "region_bytes",
    "region_count",     "large_bytes",
    "large_blocks",     "arena_count",
    "splits",           "coalesces",
    "retreats",         "os_sbrk_calls",
    "os_mmap_calls",    "os_munmap_calls",
    "os_mremap_calls",  "os_madvise_calls",
    "os_purged_bytes",  "lock_acquisitions",
    "lock_contentions", "cached_blocks",
    "cached_bytes",     "remote_frees",
    "remote_batches",   "shared_lines_written",
};

/* ---- statistics ------------------------------------------------------------------------------------------------ */

static void stats_follow_the_blocks(void **state)
{
    struct heapster_stats before, during, after;
    void *small, *large;

    (void)state;
    heapster_stats(&before);
    small = heapster_malloc(100);
    large = heapster_malloc((size_t)1 << 20);
    heapster_stats(&during);
    heapster_free(small);
    heapster_free(large);
    heapster_stats(&after);
    if (!has_cache()) {
        assert_int_equal(during.allocations, before.allocations + 2);
        assert_int_equal(after.frees, before.frees + 2);
        assert_int_equal(during.cached_blocks, 0);
    }
    assert_int_equal(during.used_blocks, before.used_blocks + 2);
    assert_int_equal(during.large_blocks, before.large_blocks + 1);
    assert_int_equal(during.large_bytes, before.large_bytes + ((size_t)1 << 20) + hs_os_page_bytes());
    assert_true(during.used_bytes >= before.used_bytes + 112 + ((size_t)1 << 20));
    assert_int_equal(after.used_bytes, before.used_bytes);
    assert_int_equal(after.used_blocks, before.used_blocks);
    assert_int_equal(after.large_bytes, before.large_bytes);
}

static void stats_add_up(void **state)
{
    struct heapster_stats stats;
    void *blocks[100];

    (void)state;
    for (size_t i = 0; i < 100; i++)
        blocks[i] = heapster_malloc(i * 50);
    for (unsigned i = 0; i < 100; i += 2)
        heapster_free(blocks[i]);
    heapster_stats(&stats);
    assert_int_equal(stats.used_blocks, stats.allocations - stats.frees - stats.cached_blocks);
    assert_int_equal(stats.free_bytes + stats.used_bytes + stats.cached_bytes - stats.large_bytes,
                     stats.region_bytes - stats.region_count * HS_REGION_OVERHEAD_BYTES);
    assert_true(stats.largest_free <= stats.free_bytes && stats.largest_free > 0);
    assert_true(stats.arena_count >= 1 && stats.splits > 0);
    assert_int_equal(stats.cached_blocks != 0, has_cache());
    for (unsigned i = 1; i < 100; i += 2)
        heapster_free(blocks[i]);
    (void)heapster_trim(0);
    heapster_stats(&stats);
    assert_true(stats.coalesces > 0);
}

static void stats_see_the_largest_free_block(void **state)
{
    static _Alignas(16) char buffer[32 << 20];
    struct heapster_arena_config config = {.buffer = buffer, .buffer_bytes = sizeof buffer};
    heapster_arena *arena = heapster_arena_create(&config);
    struct heapster_stats stats;

    (void)state;
    heapster_stats(&stats);
    assert_int_equal(stats.largest_free, sizeof buffer - HS_REGION_OVERHEAD_BYTES);
    heapster_arena_destroy(arena);
}

static void stats_count_os_calls(void **state)
{
    struct heapster_stats before, after;
    void *block;

    (void)state;
    heapster_stats(&before);
    block = heapster_malloc((size_t)1 << 20);
    block = heapster_realloc(block, (size_t)4 << 20);
    heapster_free(block);
    (void)heapster_trim(0); /* a mapping may be kept for the next large block */
    heapster_stats(&after);
    assert_int_equal(after.os_mmap_calls > before.os_mmap_calls, 1);
    assert_int_equal(after.os_mremap_calls > before.os_mremap_calls, 1);
    assert_int_equal(after.os_munmap_calls > before.os_munmap_calls, 1);
}

/* ---- printing -------------------------------------------------------------------------------------------------- */

static void print_to(char *text, enum heapster_format format)
{
    int ends[2];
    ssize_t got;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(heapster_stats_print(ends[1], format), 0);
    (void)close(ends[1]);
    got = read(ends[0], text, PRINT_BYTES - 1);
    (void)close(ends[0]);
    assert_true(got > 0);
    text[got] = '\0';
}

static const char *skip_spaces(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* An object of numbers: { "name": digits, ... }. Returns how many. */
static size_t parse_json(const char *text)
{
    const char *at = skip_spaces(text);
    size_t fields = 0;

    assert_int_equal(*at, '{');
    do {
        at = skip_spaces(at + 1);
        assert_int_equal(*at, '"');
        assert_true(fields < COUNT_OF(field_names));
        assert_memory_equal(at + 1, field_names[fields], strlen(field_names[fields]));
        at += 1 + strlen(field_names[fields]);
        assert_int_equal(*at, '"');
        at = skip_spaces(at + 1);
        assert_int_equal(*at, ':');
        at = skip_spaces(at + 1);
        assert_true(isdigit((unsigned char)*at));
        while (isdigit((unsigned char)*at))
            at++;
        at = skip_spaces(at);
        fields++;
    } while (*at == ',');
    assert_int_equal(*at, '}');
    assert_int_equal(*skip_spaces(at + 1), '\0');
    return fields;
}

static void json_can_be_parsed(void **state)
{
    char text[PRINT_BYTES];

    (void)state;
    print_to(text, HEAPSTER_JSON);
    assert_int_equal(parse_json(text), COUNT_OF(field_names));
}

static void text_has_a_line_for_each_number(void **state)
{
    char text[PRINT_BYTES], *line = text;

    (void)state;
    print_to(text, HEAPSTER_TEXT);
    assert_int_equal(lines_of(text), COUNT_OF(field_names));
    for (size_t i = 0; i < COUNT_OF(field_names); i++) {
        char name[64] = "", digits[32] = "", rest;

        assert_int_equal(sscanf(line, "heapster: %63s %31[0-9]%c", name, digits, &rest), 3);
        assert_string_equal(name, field_names[i]);
        assert_int_equal(rest, '\n');
        line = strchr(line, '\n') + 1;
    }
}

static void printing_says_why_it_failed(void **state)
{
    (void)state;
    errno = 77;
    assert_int_equal(heapster_stats_print(-1, HEAPSTER_TEXT), EBADF);
    assert_int_equal(heapster_stats_print(-1, HEAPSTER_JSON), EBADF);
    assert_int_equal(errno, 77);
}

static void printing_does_not_allocate(void **state)
{
    struct heapster_stats before, after;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    heapster_stats(&before);
    (void)heapster_stats_print(ends[1], HEAPSTER_JSON);
    heapster_stats(&after);
    assert_int_equal(after.allocations, before.allocations);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* ---- the walk -------------------------------------------------------------------------------------------------- */

struct visits {
    const void *wanted[3];
    struct heapster_block_info seen[3];
    size_t count, stop_after;
    uint64_t used_bytes, free_bytes, cached_bytes;
};

static bool note_visit(const struct heapster_block_info *block, void *context)
{
    struct visits *visits = context;

    visits->count++;
    if (block->state == HEAPSTER_BLOCK_FREE)
        visits->free_bytes += block->block_bytes;
    else if (block->state == HEAPSTER_BLOCK_CACHED)
        visits->cached_bytes += block->block_bytes;
    else
        visits->used_bytes += block->block_bytes;
    for (unsigned i = 0; i < 3; i++)
        if (block->payload == visits->wanted[i])
            visits->seen[i] = *block;
    return visits->count != visits->stop_after;
}

static void walk_visits_every_block(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    struct visits visits = {.stop_after = SIZE_MAX};
    struct heapster_stats stats;
    size_t visited;

    (void)state;
    visits.wanted[0] = heapster_malloc(100);
    visits.wanted[1] = heapster_malloc((size_t)1 << 20);
    visits.wanted[2] = heapster_arena_malloc(arena, 200);
    heapster_stats(&stats);
    visited = heapster_walk(note_visit, &visits);
    assert_int_equal(visited, visits.count);
    assert_int_equal(visited, stats.used_blocks + stats.free_blocks + stats.cached_blocks);
    assert_int_equal(visits.used_bytes, stats.used_bytes);
    assert_int_equal(visits.free_bytes, stats.free_bytes);
    assert_int_equal(visits.cached_bytes, stats.cached_bytes);
    assert_int_equal(visits.seen[0].state, HEAPSTER_BLOCK_USED);
    assert_true(visits.seen[0].usable_bytes >= 100 && visits.seen[0].arena < 254);
    assert_int_equal(visits.seen[1].state, HEAPSTER_BLOCK_LARGE);
    assert_int_equal(visits.seen[1].usable_bytes, (size_t)1 << 20);
    assert_int_equal(visits.seen[1].arena, 254);
    assert_int_equal(visits.seen[2].state, HEAPSTER_BLOCK_USED);
    assert_int_equal(visits.seen[2].block_bytes, 208);
    assert_int_equal(visits.seen[2].arena, 255);
    heapster_free((void *)(uintptr_t)visits.wanted[0]);
    heapster_free((void *)(uintptr_t)visits.wanted[1]);
    heapster_arena_destroy(arena);
}

static void walk_stops_where_it_is_told(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);
    void *large = heapster_malloc((size_t)1 << 20);
    struct heapster_stats stats;

    (void)state;
    assert_non_null(heapster_arena_malloc(arena, 100));
    assert_non_null(heapster_arena_malloc(arena, (size_t)1 << 20));
    heapster_stats(&stats);
    for (size_t stop = 1; stop <= stats.used_blocks + stats.free_blocks + stats.cached_blocks; stop++) {
        struct visits visits = {.stop_after = stop};

        assert_int_equal(heapster_walk(note_visit, &visits), stop);
        assert_int_equal(visits.count, stop);
    }
    heapster_free(large);
    heapster_arena_destroy(arena);
}

/* ---- strategies ------------------------------------------------------------------------------------------------ */

static void strategy_is_set_and_read(void **state)
{
    (void)state;
    assert_int_equal(heapster_get_strategy(), HEAPSTER_FIRST_FIT);
    for (int strategy = HEAPSTER_WORST_FIT; strategy >= HEAPSTER_FIRST_FIT; strategy--) {
        void *block;

        assert_int_equal(heapster_set_strategy((enum heapster_strategy)strategy), 0);
        assert_int_equal(heapster_get_strategy(), strategy);
        block = heapster_malloc(1000);
        assert_non_null(block);
        heapster_free(block);
        assert_sound();
    }
    assert_int_equal(heapster_set_strategy((enum heapster_strategy)4), EINVAL);
    assert_int_equal(heapster_set_strategy((enum heapster_strategy) - 1), EINVAL);
    assert_int_equal(heapster_get_strategy(), HEAPSTER_FIRST_FIT);
}

/* Free blocks of 512, 256 and 384 bytes, in the order in which they were freed, and a request for 256. */
static void each_strategy_chooses_its_block(void **state)
{
    static const unsigned chosen[] = {1, 1, 1, 3}; /* 3: the rest of the buffer */
    static const size_t sizes[] = {512, 256, 384};
    static _Alignas(16) char buffer[8192];

    (void)state;
    for (unsigned strategy = HEAPSTER_FIRST_FIT; strategy <= HEAPSTER_WORST_FIT; strategy++) {
        struct heapster_arena_config config = {(enum heapster_strategy)strategy, buffer, sizeof buffer, NULL};
        heapster_arena *arena = heapster_arena_create(&config);
        void *blocks[4];

        for (unsigned i = 0; i < 3; i++) {
            blocks[i] = heapster_arena_malloc(arena, sizes[i] - HS_TAG_BYTES);
            blocks[3] = heapster_arena_malloc(arena, 24);
        }
        blocks[3] = (char *)blocks[3] + 32;
        for (unsigned i = 0; i < 3; i++)
            heapster_free(blocks[i]);
        assert_ptr_equal(heapster_arena_malloc(arena, 256 - HS_TAG_BYTES), blocks[chosen[strategy]]);
        heapster_arena_destroy(arena);
    }
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(stats_follow_the_blocks),
        cmocka_unit_test(stats_add_up),
        cmocka_unit_test(stats_see_the_largest_free_block),
        cmocka_unit_test(stats_count_os_calls),
        cmocka_unit_test(json_can_be_parsed),
        cmocka_unit_test(text_has_a_line_for_each_number),
        cmocka_unit_test(printing_says_why_it_failed),
        cmocka_unit_test(printing_does_not_allocate),
        cmocka_unit_test(walk_visits_every_block),
        cmocka_unit_test(walk_stops_where_it_is_told),
        cmocka_unit_test(strategy_is_set_and_read),
        cmocka_unit_test(each_strategy_chooses_its_block),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
