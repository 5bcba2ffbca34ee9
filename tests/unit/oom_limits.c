/*
 * No memory because of a limit of the process. Not built with sanitizers, whose shadow is beyond every limit.
 */
#include "support.h"

#include <sys/resource.h>
#include <unistd.h>

enum { BLOCKS = 4000, BLOCK_BYTES = 100000 };

#define ROOM ((size_t)64 << 20)

static unsigned char *blocks[BLOCKS];

/* glibc and musl have different types for what is limited. */
#define SET_LIMIT(resource, soft, hard) REQUIRE(setrlimit((resource), &(struct rlimit){(soft), (hard)}) == 0)

/* Takes blocks until there are no more; returns how many. */
static unsigned take_all(void)
{
    unsigned count = 0;

    while (count < BLOCKS) {
        errno = 0;
        blocks[count] = heapster_malloc(BLOCK_BYTES);
        if (blocks[count] == NULL)
            break;
        fill_pattern(blocks[count], 1000, count);
        count++;
    }
    REQUIRE(count == BLOCKS || errno == ENOMEM);
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
    return count;
}

static void give_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        REQUIRE(holds_pattern(blocks[i], 1000, i));
        heapster_free(blocks[i]);
    }
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void run_out_of_address_space(void *context)
{
    size_t bytes = process_bytes(ADDRESS_SPACE_BYTES) + ROOM;
    unsigned count, again;
    void *large;

    (void)context;
    SET_LIMIT(RLIMIT_AS, bytes, bytes);
    count = take_all();
    REQUIRE(count > ROOM / BLOCK_BYTES / 2 && count < BLOCKS);
    errno = 0;
    REQUIRE(heapster_malloc(unforeseen((size_t)1 << 30)) == NULL && errno == ENOMEM);
    give_all(count);
    /* What arenas hold serves a large request, too: it is given back to the OS before malloc says no. */
    large = heapster_malloc(ROOM / 2);
    REQUIRE(large != NULL);
    heapster_free(large);
    again = take_all();
    REQUIRE(again + 64 > count);
    give_all(again);
}

static void address_space_ends(void **state)
{
    (void)state;
    run_child_quietly(run_out_of_address_space, NULL);
}

/* The break cannot be raised any more; mappings serve. */
static void live_without_a_break(void *context)
{
    struct rlimit limit;
    unsigned count;
    char *large;

    (void)context;
    REQUIRE(getrlimit(RLIMIT_DATA, &limit) == 0);
    SET_LIMIT(RLIMIT_DATA, 0, limit.rlim_max);
    REQUIRE(sbrk((intptr_t)1 << 20) == (void *)-1);
    count = take_all();
    REQUIRE(count == BLOCKS);
    large = heapster_malloc(ROOM);
    REQUIRE(large != NULL);
    large = heapster_realloc(large, 2 * ROOM);
    REQUIRE(large != NULL);
    heapster_free(large);
    give_all(count);
    (void)heapster_trim(0);
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void break_ends(void **state)
{
    (void)state;
    run_child_quietly(live_without_a_break, NULL);
}

/* Neither break nor mapping: what the heap has is all there is. */
static void live_without_any_growth(void *context)
{
    unsigned count, again;
    char *large = heapster_malloc((size_t)1 << 20), *grown;
    heapster_arena *arena = heapster_arena_create(NULL);

    (void)context;
    REQUIRE(arena != NULL);
    fill_pattern(large, (size_t)1 << 20, 9);
    count = take_all();
    give_all(count);
    count = 0;
    while (count < 20) {
        blocks[count] = heapster_malloc(BLOCK_BYTES);
        fill_pattern(blocks[count], 1000, count);
        count++;
    }
    SET_LIMIT(RLIMIT_DATA, 0, 0);
    errno = 0;
    grown = heapster_realloc(large, (size_t)1 << 30);
    REQUIRE(grown == NULL && errno == ENOMEM && holds_pattern(large, (size_t)1 << 20, 9));
    errno = 0;
    REQUIRE(heapster_arena_malloc(arena, 1000) == NULL && errno == ENOMEM);
    give_all(count);
    again = take_all();
    REQUIRE(again >= 20 && again < BLOCKS);
    give_all(again);
}

static void all_growth_ends(void **state)
{
    (void)state;
    run_child_quietly(live_without_any_growth, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(address_space_ends),
        cmocka_unit_test(break_ends),
        cmocka_unit_test(all_growth_ends),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
