/*
 * One free list: which list a size belongs to, the order of blocks, and the search of each strategy, held against a
 * plain array that is looked through from end to end.
 *
 * The blocks are slots of a mapping, each long enough for the largest block of the list; what lies between is never
 * touched. The last list has no largest block; here it goes up to 4 MiB.
 */
#include "support.h"

#include <sys/mman.h>

#include "freetree.h"

enum { SLOTS = 200, ARENA = 5, STEPS = 20000 };

#define LIMIT_BYTES ((size_t)4 << 20)

static char *memory;

/* The list under test, and what is on it: slots, newest first. */
static struct {
    struct hs_bounds bounds;
    struct hs_freelist list;
    unsigned slots[SLOTS];
    bool on_list[SLOTS];
    unsigned count;
    unsigned cursor; /* index in slots; count: past the end */
} fixture;

static struct hs_free_block *slot(unsigned number)
{
    return (struct hs_free_block *)(memory + number * LIMIT_BYTES + HS_TAG_BYTES);
}

static size_t bytes_of(unsigned number)
{
    return hs_block_bytes(&slot(number)->tag);
}

static void begin(unsigned index, enum heapster_strategy strategy) HS_NO_ANALYSIS
{
    memset(&fixture, 0, sizeof fixture);
    memory = mmap(NULL, (SLOTS + 1) * LIMIT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    fixture.bounds.low = (uintptr_t)memory;
    fixture.bounds.high = (uintptr_t)memory + (SLOTS + 1) * LIMIT_BYTES;
    hs_freelist_init(&fixture.list, index, ARENA, &fixture.bounds);
    hs_mutex_lock(&fixture.list.lock);
    hs_freelist_set_strategy_locked(&fixture.list, (uint8_t)strategy);
}

static void end(void) HS_NO_ANALYSIS
{
    hs_mutex_unlock(&fixture.list.lock);
    assert_null(hs_thread()->damage);
    assert_int_equal(munmap(memory, (SLOTS + 1) * LIMIT_BYTES), 0);
}

static void link_slot(unsigned number, size_t bytes) HS_NO_ANALYSIS
{
    struct hs_block *block = &slot(number)->tag;

    hs_block_set_bytes(block, bytes, ARENA);
    hs_block_set_state(block, (uint8_t)(HS_STATE_FREE + fixture.list.index));
    *hs_block_footer_before(hs_block_right(block)) = bytes;
    hs_freelist_link_locked(&fixture.list, block);
    memmove(fixture.slots + 1, fixture.slots, fixture.count * sizeof fixture.slots[0]);
    fixture.slots[0] = number;
    fixture.on_list[number] = true;
    fixture.count++;
    fixture.cursor++;
}

static void unlink_at(unsigned position) HS_NO_ANALYSIS
{
    unsigned number = fixture.slots[position];

    assert_true(hs_freelist_unlink_locked(&fixture.list, &slot(number)->tag));
    hs_block_set_state(&slot(number)->tag, HS_STATE_USED);
    fixture.on_list[number] = false;
    fixture.count--;
    memmove(fixture.slots + position, fixture.slots + position + 1,
            (fixture.count - position) * sizeof fixture.slots[0]);
    if (fixture.cursor > position)
        fixture.cursor--;
}

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

static void index_grows_with_the_size(void **state)
{
    unsigned before = 0;

    (void)state;
    for (size_t bytes = HS_BLOCK_BYTES_LEAST; bytes <= (size_t)4 << 20; bytes += HS_ALIGNMENT) {
        unsigned index = hs_freelist_index(bytes);

        assert_true(index == before || index == before + 1);
        assert_true(hs_freelist_least_bytes(index) <= bytes);
        assert_true(index + 1 == HS_LISTS || bytes < hs_freelist_least_bytes(index + 1));
        before = index;
    }
    assert_int_equal(before, HS_LISTS - 1);
    assert_int_equal(hs_freelist_index(HS_BLOCK_BYTES_MAX), HS_LISTS - 1);
}

static void least_bytes_is_the_inverse_of_index(void **state)
{
    (void)state;
    for (unsigned index = 0; index < HS_LISTS; index++)
        assert_int_equal(hs_freelist_index(hs_freelist_least_bytes(index)), index);
}

static void lists_are_those_of_the_header(void **state)
{
    (void)state;
    for (size_t bytes = 32; bytes <= 240; bytes += 16)
        assert_int_equal(hs_freelist_least_bytes(hs_freelist_index(bytes)), bytes);
    assert_int_equal(hs_freelist_index(240), HS_EXACT_LISTS - 1);
    assert_int_equal(hs_freelist_index(HS_RANGE_BYTES_LEAST), HS_EXACT_LISTS);
    assert_int_equal(hs_freelist_least_bytes(HS_LISTS - 1), (size_t)1 << 20);
    for (unsigned index = HS_EXACT_LISTS; index + 4 < HS_LISTS; index++)
        assert_int_equal(hs_freelist_least_bytes(index + 4), 2 * hs_freelist_least_bytes(index));
}

/* ---- the reference --------------------------------------------------------------------------------------------- */

static bool is_better(enum heapster_strategy strategy, size_t bytes, size_t best_bytes)
{
    if (strategy == HEAPSTER_BEST_FIT)
        return bytes < best_bytes;
    return strategy == HEAPSTER_WORST_FIT && bytes > best_bytes;
}

/* The position of what should be found, or -1. */
static int expected_position(enum heapster_strategy strategy, size_t bytes, bool from_cursor)
{
    int best = -1;

    for (unsigned i = from_cursor ? fixture.cursor : 0; i < fixture.count; i++)
        if (bytes_of(fixture.slots[i]) >= bytes &&
            (best < 0 || is_better(strategy, bytes_of(fixture.slots[i]), bytes_of(fixture.slots[best]))))
            best = (int)i;
    return best;
}

static void check_find(enum heapster_strategy strategy, size_t bytes, bool from_cursor) HS_NO_ANALYSIS
{
    struct hs_block *found = hs_freelist_find_locked(&fixture.list, bytes, from_cursor);
    int position = expected_position(strategy, bytes, from_cursor);

    if (position < 0) {
        assert_null(found);
        return;
    }
    assert_ptr_equal(found, &slot(fixture.slots[position])->tag);
    if (strategy == HEAPSTER_NEXT_FIT) {
        fixture.list.cursor = slot(fixture.slots[position]);
        fixture.cursor = (unsigned)position;
    }
}

static void check_order(void)
{
    struct hs_free_block *node = fixture.list.head, *previous = NULL;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < fixture.count; i++) {
        assert_ptr_equal(node, slot(fixture.slots[i]));
        assert_ptr_equal(node->previous, previous);
        bytes += hs_block_bytes(&node->tag);
        previous = node;
        node = node->next;
    }
    assert_null(node);
    assert_ptr_equal(fixture.list.tail, previous);
    assert_int_equal(fixture.list.blocks, fixture.count);
    assert_int_equal(fixture.list.bytes, bytes);
    assert_ptr_equal(fixture.list.cursor, fixture.cursor < fixture.count ? slot(fixture.slots[fixture.cursor]) : NULL);
}

static void check_node(const struct hs_free_block *node)
{
    uint32_t largest = (uint32_t)(hs_block_bytes(&node->tag) / HS_ALIGNMENT);

    for (unsigned side = 0; side < 2; side++) {
        const struct hs_free_block *child = node->child[side];

        if (child == NULL)
            continue;
        assert_ptr_equal(child->parent, node);
        assert_true(hs_freetree_priority(child) <= hs_freetree_priority(node));
        if (child->largest_below > largest)
            largest = child->largest_below;
    }
    assert_int_equal(node->largest_below, largest);
}

/* The tree from left to right: each node right of the one before, and as many as on the list. */
static void check_tree(void)
{
    const struct hs_free_block *stack[SLOTS], *before = NULL, *node = fixture.list.root;
    unsigned depth = 0, nodes = 0;

    if (fixture.list.index < HS_EXACT_LISTS) {
        assert_null(node);
        return;
    }
    assert_true(node == NULL || node->parent == NULL);
    while (node != NULL || depth > 0) {
        for (; node != NULL; node = node->child[0]) {
            assert_true(depth < SLOTS);
            check_node(node);
            stack[depth++] = node;
        }
        node = stack[--depth];
        assert_true(before == NULL || hs_freetree_before(&fixture.list, before, node));
        before = node;
        nodes++;
        node = node->child[1];
    }
    assert_int_equal(nodes, fixture.count);
}

static void check_largest(void) HS_NO_ANALYSIS
{
    size_t largest = 0;

    for (unsigned i = 0; i < fixture.count; i++)
        if (bytes_of(fixture.slots[i]) > largest)
            largest = bytes_of(fixture.slots[i]);
    assert_int_equal(hs_freelist_largest_locked(&fixture.list), largest);
}

/* ---- random sequences ------------------------------------------------------------------------------------------ */

static size_t random_bytes(uint64_t *random)
{
    unsigned index = fixture.list.index;
    size_t least = hs_freelist_least_bytes(index);
    size_t limit = index + 1 < HS_LISTS ? hs_freelist_least_bytes(index + 1) : LIMIT_BYTES;

    return least + next_random(random) % ((limit - least) / HS_ALIGNMENT) * HS_ALIGNMENT;
}

static void step(enum heapster_strategy strategy, uint64_t *random)
{
    unsigned number = (unsigned)(next_random(random) % SLOTS);

    switch (next_random(random) % 4) {
    case 0:
    case 1:
        if (!fixture.on_list[number])
            link_slot(number, random_bytes(random));
        break;
    case 2:
        if (fixture.count > 0)
            unlink_at((unsigned)(next_random(random) % fixture.count));
        break;
    default:
        check_find(strategy, random_bytes(random), strategy == HEAPSTER_NEXT_FIT && number % 4 != 0);
    }
}

static void search_like_the_reference(enum heapster_strategy strategy)
{
    static const unsigned indices[] = {0, 5, 6, 7, 20, 41, 61, 62};
    uint64_t random = 88172645463325252U;

    for (size_t i = 0; i < COUNT_OF(indices); i++) {
        begin(indices[i], strategy);
        for (unsigned k = 0; k < STEPS / COUNT_OF(indices); k++) {
            step(strategy, &random);
            if (k % 16 == 0) {
                check_order();
                check_tree();
                check_largest();
            }
        }
        end();
    }
}

static void first_fit_finds_the_newest_that_fits(void **state)
{
    (void)state;
    search_like_the_reference(HEAPSTER_FIRST_FIT);
}

static void next_fit_goes_on_from_the_cursor(void **state)
{
    (void)state;
    search_like_the_reference(HEAPSTER_NEXT_FIT);
}

static void best_fit_finds_the_smallest(void **state)
{
    (void)state;
    search_like_the_reference(HEAPSTER_BEST_FIT);
}

static void worst_fit_finds_the_largest(void **state)
{
    (void)state;
    search_like_the_reference(HEAPSTER_WORST_FIT);
}

/* ---- single steps ---------------------------------------------------------------------------------------------- */

static void newest_stands_at_the_head(void **state)
{
    (void)state;
    begin(3, HEAPSTER_FIRST_FIT);
    for (unsigned number = 0; number < 4; number++)
        link_slot(number, hs_freelist_least_bytes(3));
    check_order();
    assert_ptr_equal(fixture.list.head, slot(3));
    unlink_at(0);
    assert_ptr_equal(fixture.list.head, slot(2));
    unlink_at(1);
    check_order();
    end();
}

static void cursor_moves_behind_what_is_taken_off(void **state)
{
    (void)state;
    begin(20, HEAPSTER_NEXT_FIT);
    for (unsigned number = 0; number < 3; number++)
        link_slot(number, hs_freelist_least_bytes(20));
    fixture.list.cursor = slot(1);
    fixture.cursor = 1;
    unlink_at(0); /* before it: no change */
    assert_ptr_equal(fixture.list.cursor, slot(1));
    unlink_at(0);
    assert_ptr_equal(fixture.list.cursor, slot(0));
    unlink_at(0);
    assert_null(fixture.list.cursor);
    end();
}

static void strategy_may_change_at_any_time(void **state) HS_NO_ANALYSIS
{
    uint64_t random = 123456789;

    (void)state;
    begin(30, HEAPSTER_FIRST_FIT);
    for (unsigned k = 0; k < STEPS / 4; k++) {
        enum heapster_strategy strategy = (enum heapster_strategy)fixture.list.strategy;

        if (k % 50 == 0) {
            strategy = (enum heapster_strategy)(next_random(&random) % 4);
            hs_freelist_set_strategy_locked(&fixture.list, (uint8_t)strategy);
            fixture.cursor = fixture.count;
            assert_null(fixture.list.cursor);
            check_order();
            check_tree();
        }
        step(strategy, &random);
    }
    end();
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_grows_with_the_size),
        cmocka_unit_test(least_bytes_is_the_inverse_of_index),
        cmocka_unit_test(lists_are_those_of_the_header),
        cmocka_unit_test(newest_stands_at_the_head),
        cmocka_unit_test(first_fit_finds_the_newest_that_fits),
        cmocka_unit_test(next_fit_goes_on_from_the_cursor),
        cmocka_unit_test(best_fit_finds_the_smallest),
        cmocka_unit_test(worst_fit_finds_the_largest),
        cmocka_unit_test(cursor_moves_behind_what_is_taken_off),
        cmocka_unit_test(strategy_may_change_at_any_time),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
