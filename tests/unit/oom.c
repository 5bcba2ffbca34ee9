/*
 * No memory, at every single call of the OS: one sequence of operations is run with the first OS call failing, then
 * with the second, and so on until no call is left to fail; then with whole kinds of calls failing throughout. Each
 * operation works, or returns NULL with ENOMEM and changes nothing; afterwards the heap is whole and every block holds
 * what was written to it. Each run is a child of its own, so that every one meets the same calls.
 */
#include "support.h"

#include <unistd.h>

#include "faults.h"

#define MEBIBYTE ((size_t)1 << 20)

enum { SLOTS = 16, NO_FAULT_LEFT = 7, CALLS_MAX = 2000 };

struct slot {
    unsigned char *block;
    size_t bytes;
};

static struct slot slots[SLOTS];

/* ---- operations ------------------------------------------------------------------------------------------------ */

static void put(unsigned slot, void *block, size_t bytes)
{
    REQUIRE(block != NULL || errno == ENOMEM);
    slots[slot] = (struct slot){block, block != NULL ? bytes : 0};
    fill_pattern(block, slots[slot].bytes, slot);
    errno = 0;
}

static void put_zeroed(unsigned slot, void *block, size_t bytes)
{
    REQUIRE(block == NULL || is_zero(block, bytes));
    put(slot, block, bytes);
}

static void put_aligned(unsigned slot, size_t alignment, size_t bytes)
{
    void *block = heapster_aligned_alloc(alignment, bytes);

    REQUIRE((uintptr_t)block % alignment == 0);
    put(slot, block, bytes);
}

static void resize(unsigned slot, size_t bytes)
{
    struct slot *old = &slots[slot];
    unsigned char *block = heapster_realloc(old->block, bytes);

    if (block == NULL) {
        REQUIRE(errno == ENOMEM);
        REQUIRE(holds_pattern(old->block, old->bytes, slot));
        errno = 0;
        return;
    }
    REQUIRE(holds_pattern(block, old->bytes < bytes ? old->bytes : bytes, slot));
    put(slot, block, bytes);
}

static void drop(unsigned slot)
{
    errno = 4711;
    heapster_free(slots[slot].block);
    REQUIRE(errno == 4711);
    errno = 0;
    slots[slot] = (struct slot){NULL, 0};
}

static void verify(void)
{
    for (unsigned slot = 0; slot < SLOTS; slot++)
        REQUIRE(holds_pattern(slots[slot].block, slots[slot].bytes, slot));
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
}

static void run_in_an_arena(void)
{
    heapster_arena *arena = heapster_arena_create(NULL);

    if (arena == NULL) {
        REQUIRE(errno == ENOMEM);
        errno = 0;
        return;
    }
    put(10, heapster_arena_malloc(arena, 1000), 1000);
    put_zeroed(11, heapster_arena_calloc(arena, 1, MEBIBYTE), MEBIBYTE);
    resize(11, 4 * MEBIBYTE);
    resize(10, 300000);
    put(12, heapster_arena_aligned_alloc(arena, 65536, 1000), 1000);
    put(13, heapster_arena_malloc(arena, 200000), 200000);
    drop(13);
    verify();
    heapster_arena_destroy(arena);
    for (unsigned slot = 10; slot < 14; slot++)
        slots[slot] = (struct slot){NULL, 0};
}

static void run_sequence(void)
{
    errno = 0;
    put(0, heapster_malloc(100), 100);
    put(1, heapster_malloc(3000), 3000);
    put(2, heapster_malloc(200000), 200000);
    put(3, heapster_malloc(250000), 250000);
    put_zeroed(4, heapster_calloc(1, MEBIBYTE), MEBIBYTE);
    put_aligned(5, 65536, 5000);
    put_aligned(6, MEBIBYTE, MEBIBYTE / 2);
    put(7, heapster_malloc(6 * MEBIBYTE), 6 * MEBIBYTE);
    put_zeroed(8, heapster_calloc(100, 1000), 100000);
    verify();
    resize(4, 8 * MEBIBYTE);
    resize(0, 400000);
    resize(7, MEBIBYTE);
    resize(3, 100);
    run_in_an_arena();
    drop(2);
    drop(5);
    drop(6);
    (void)heapster_trim(0);
    verify();
    put(9, heapster_malloc(2 * MEBIBYTE), 2 * MEBIBYTE);
    resize(8, 20);
    put_zeroed(2, heapster_calloc(1, 250000), 250000);
    (void)heapster_trim(0);
}

/* With the fault gone, the heap is as good as ever. */
static void recover(void)
{
    kit_faults_remove();
    verify();
    for (unsigned slot = 0; slot < SLOTS; slot++)
        drop(slot);
    verify();
    put(0, heapster_malloc(10 * MEBIBYTE), 10 * MEBIBYTE);
    put(1, heapster_malloc(200000), 200000);
    REQUIRE(slots[0].block != NULL && slots[1].block != NULL);
    drop(0);
    drop(1);
    verify();
}

/* ---- runs ------------------------------------------------------------------------------------------------------ */

static void run_with_faults(void *context)
{
    const struct kit_fault_plan *plan = context;
    struct kit_fault_count count;

    kit_faults_install();
    kit_faults_arm(plan);
    run_sequence();
    count = kit_faults_disarm();
    recover();
    if (kit_fault_hits(&count) == 0)
        _exit(NO_FAULT_LEFT);
}

/* Runs with 1, 2, ... as the first call that fails. */
static void run_until_no_fault_is_left(bool all_that_follow)
{
    struct kit_fault_plan plan = {.kinds = KIT_FAULT_ALL_KINDS, .per_mille = KIT_FAULT_ALWAYS, .first = 1};
    struct outcome outcome;

    for (;; plan.first++) {
        plan.last = all_that_follow ? 0 : plan.first;
        run_child(&outcome, run_with_faults, &plan);
        assert_string_equal(outcome.text, "");
        if (outcome.status == NO_FAULT_LEFT << 8)
            break;
        assert_exits_with(&outcome, 0);
        assert_true(plan.first < CALLS_MAX);
    }
    assert_true(plan.first > 20); /* the sequence does reach the OS */
}

static void each_call_fails_once(void **state)
{
    (void)state;
    run_until_no_fault_is_left(false);
}

static void each_call_fails_and_all_that_follow(void **state)
{
    (void)state;
    run_until_no_fault_is_left(true);
}

static void run_with_kinds(void *context)
{
    fail_os_calls(*(const unsigned *)context);
    run_sequence();
    recover();
}

static void kinds_of_calls_fail_throughout(void **state)
{
    (void)state;
    for (unsigned kinds = 1; kinds < 1U << HS_OS_CALL_KINDS; kinds++)
        run_child_quietly(run_with_kinds, &kinds);
}

/* A block that is made smaller where there is no other one to be had has its new size all the same. */
static void shrink_without_memory(void *context)
{
    enum { BYTES = 1000, FEWER = 935, MOST = 100000 };
    static unsigned char *blocks[MOST];
    unsigned count = 0;

    (void)context;
    heapster_free(heapster_malloc(BYTES));
    fail_os_calls((1U << HS_OS_CALL_KINDS) - 1);
    while (count < MOST && (blocks[count] = heapster_malloc(BYTES)) != NULL) {
        fill_pattern(blocks[count], BYTES, count);
        count++;
    }
    REQUIRE(count > 0 && count < MOST);
    while (heapster_malloc(1) != NULL)
        ; /* for good: nothing is left */
    for (unsigned i = 0; i < count; i++) {
        blocks[i] = heapster_realloc(blocks[i], FEWER);
        REQUIRE(blocks[i] != NULL && holds_pattern(blocks[i], FEWER, i));
        REQUIRE(heapster_usable_size(blocks[i]) < FEWER + 64);
    }
    REQUIRE(complaints_of(HEAPSTER_CHECK_AT_REST).count == 0);
    for (unsigned i = 0; i < count; i++)
        heapster_free_sized(blocks[i], FEWER);
    errno = 0;
    recover();
}

static void a_block_shrinks_where_there_is_no_other(void **state)
{
    (void)state;
    run_child_quietly(shrink_without_memory, NULL);
}

static void run_with_no_fault(void *context)
{
    (void)context;
    run_sequence();
    for (unsigned slot = 0; slot < 10; slot++)
        REQUIRE(slots[slot].block != NULL || slot == 5 || slot == 6);
    recover();
}

static void sequence_succeeds_without_a_fault(void **state)
{
    (void)state;
    run_child_quietly(run_with_no_fault, NULL);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_succeeds_without_a_fault),       cmocka_unit_test(each_call_fails_once),
        cmocka_unit_test(each_call_fails_and_all_that_follow),     cmocka_unit_test(kinds_of_calls_fail_throughout),
        cmocka_unit_test(a_block_shrinks_where_there_is_no_other),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
