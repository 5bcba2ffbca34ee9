/*
 * The calls that reach the operating system: what they return, that tests can make each fail, and that errno stays.
 * Tests that move the break run in a child: a foreign sbrk changes what the process may do from then on.
 */
#include "support.h"

#include <sys/mman.h>
#include <unistd.h>

enum { MARK = 4711 };

/* ---- the break ------------------------------------------------------------------------------------------------- */

static void raise_and_lower(void *context)
{
    struct hs_span first = hs_os_break_raise(HS_GRANULE_BYTES), second;
    char *top;

    (void)context;
    REQUIRE(first.base != NULL && first.bytes >= HS_GRANULE_BYTES);
    REQUIRE((uintptr_t)first.base % HS_GRANULE_BYTES == 0 && first.bytes % HS_GRANULE_BYTES == 0);
    second = hs_os_break_raise(3 * HS_GRANULE_BYTES);
    REQUIRE(second.base == first.base + first.bytes && second.bytes == 3 * HS_GRANULE_BYTES);
    top = second.base + second.bytes;
    REQUIRE(hs_os_break_is_at(top) && !hs_os_break_is_at(second.base));
    memset(first.base, 1, first.bytes + second.bytes);
    REQUIRE(hs_os_break_lower(top, 2 * HS_GRANULE_BYTES));
    REQUIRE(sbrk(0) == top - 2 * HS_GRANULE_BYTES);
    REQUIRE(hs_os_break_is_at(top - 2 * HS_GRANULE_BYTES));
    REQUIRE(hs_os_break_raise(HS_GRANULE_BYTES).base == top - 2 * HS_GRANULE_BYTES);
}

static void break_is_raised_and_lowered(void **state)
{
    (void)state;
    run_child_quietly(raise_and_lower, NULL);
}

static void foreign_sbrk_between(void *context)
{
    struct hs_span first = hs_os_break_raise(HS_GRANULE_BYTES), second;
    char *foreign = sbrk(100);

    (void)context;
    REQUIRE(foreign == first.base + first.bytes);
    REQUIRE(!hs_os_break_is_at(first.base + first.bytes));
    REQUIRE(!hs_os_break_lower(first.base + first.bytes, HS_GRANULE_BYTES));
    memset(foreign, 'F', 100);
    second = hs_os_break_raise(2 * HS_GRANULE_BYTES);
    REQUIRE(second.base >= foreign + 100 && second.bytes >= 2 * HS_GRANULE_BYTES);
    REQUIRE((uintptr_t)second.base % HS_GRANULE_BYTES == 0 && second.bytes % HS_GRANULE_BYTES == 0);
    memset(second.base, 1, second.bytes);
    for (int i = 0; i < 100; i++)
        REQUIRE(foreign[i] == 'F');
    /* Never again: what lies below may be somebody else's. */
    REQUIRE(!hs_os_break_lower(second.base + second.bytes, HS_GRANULE_BYTES));
}

static void foreign_sbrk_is_noticed(void **state)
{
    (void)state;
    run_child_quietly(foreign_sbrk_between, NULL);
}

static void foreign_lowering(void *context)
{
    struct hs_span first = hs_os_break_raise(4 * HS_GRANULE_BYTES), second;

    (void)context;
    REQUIRE(sbrk(-(intptr_t)HS_GRANULE_BYTES) != (void *)-1);
    REQUIRE(!hs_os_break_lower(first.base + first.bytes, HS_GRANULE_BYTES));
    second = hs_os_break_raise(HS_GRANULE_BYTES);
    REQUIRE(second.base == NULL || (uintptr_t)second.base % HS_GRANULE_BYTES == 0);
}

static void foreign_lowering_is_noticed(void **state)
{
    (void)state;
    run_child_quietly(foreign_lowering, NULL);
}

static void break_beyond_all_memory(void *context)
{
    char *before = sbrk(0);

    (void)context;
    REQUIRE(hs_os_break_raise((size_t)INTPTR_MAX & ~(HS_GRANULE_BYTES - 1)).base == NULL);
    REQUIRE(hs_os_break_raise(SIZE_MAX & ~(HS_GRANULE_BYTES - 1)).base == NULL);
    REQUIRE(sbrk(0) == before);
    REQUIRE(hs_os_break_raise(HS_GRANULE_BYTES).base != NULL);
}

static void break_that_cannot_be_raised_stays(void **state)
{
    (void)state;
    run_child_quietly(break_beyond_all_memory, NULL);
}

/* ---- mappings -------------------------------------------------------------------------------------------------- */

static void mappings_are_aligned_behind_the_offset(void **state)
{
    size_t page = hs_os_page_bytes();

    (void)state;
    for (size_t alignment = page; alignment <= (size_t)1 << 30; alignment *= 2) {
        for (size_t offset = 0; offset <= page; offset += page) {
            size_t bytes = 3 * page;
            char *base = hs_os_map_aligned(bytes, alignment, offset);

            assert_non_null(base);
            if (alignment > page || offset == 0)
                assert_int_equal(((uintptr_t)base + offset) % alignment, 0);
            assert_true(is_zero(base, bytes));
            memset(base, 0xAA, bytes);
            assert_true(hs_os_unmap(base, bytes));
        }
    }
}

static void ends_of_an_aligned_mapping_go_back(void **state)
{
    size_t page = hs_os_page_bytes(), alignment = (size_t)1 << 24;
    uint64_t unmapped = os_calls_made(HS_OS_MUNMAP);
    char *base = hs_os_map_aligned(page, alignment, 0);

    (void)state;
    assert_non_null(base);
    assert_true(os_calls_made(HS_OS_MUNMAP) > unmapped);
    assert_int_equal((uintptr_t)base % alignment, 0);
    memset(base, 1, page);
    assert_true(hs_os_unmap(base, page));
}

/* More than any process has room for, with 32 bits or with 64. */
#define ABSURD_BYTES (SIZE_MAX / 16 * 15)

static void absurd_mappings_fail(void **state)
{
    void *aligned = hs_os_map_aligned((size_t)PTRDIFF_MAX, (size_t)1 << 30, 0);

    (void)state;
    assert_null(aligned);
    assert_null(hs_os_map(ABSURD_BYTES));
    assert_null(hs_os_map_aligned(ABSURD_BYTES, (size_t)1 << 30, 0));
}

static void remap_keeps_the_content(void **state)
{
    size_t page = hs_os_page_bytes();
    char *base = hs_os_map(4 * page), *moved;

    (void)state;
    fill_pattern(base, 4 * page, 1);
    moved = hs_os_remap(base, 4 * page, 64 * page, true);
    assert_non_null(moved);
    assert_true(holds_pattern(moved, 4 * page, 1));
    assert_true(is_zero(moved + 4 * page, 60 * page));
    assert_ptr_equal(hs_os_remap(moved, 64 * page, page, false), moved);
    assert_true(holds_pattern(moved, page, 1));
    assert_true(hs_os_unmap(moved, page));
}

static void purged_pages_read_as_zero(void **state)
{
    size_t page = hs_os_page_bytes();
    char *base = hs_os_map(3 * page);
    uint64_t purged = hs_load_relaxed(&hs_os_purged_bytes);

    (void)state;
    memset(base, 1, 3 * page);
    assert_true(hs_os_purge(base + page, page));
    assert_int_equal(hs_load_relaxed(&hs_os_purged_bytes), purged + page);
    assert_int_equal(base[page - 1], 1);
    assert_true(is_zero(base + page, page));
    assert_int_equal(base[2 * page], 1);
    assert_true(hs_os_unmap(base, 3 * page));
}

/* Content stays, and what is not there yet comes as zero. */
static void populated_pages_are_there(void **state)
{
    size_t page = hs_os_page_bytes();
    char *base = hs_os_map(4 * page);
    unsigned char residency[4] = {0};

    (void)state;
    base[page] = 1;
    if (hs_os_populate(base + page, 2 * page)) {
        assert_int_equal(mincore(base, 4 * page, residency), 0);
        assert_int_equal(residency[1] & residency[2] & 1, 1);
        assert_int_equal(residency[3] & 1, 0);
    }
    assert_int_equal(base[page], 1);
    assert_true(is_zero(base + page + 1, 3 * page - 1));
    assert_true(hs_os_unmap(base, 4 * page));
    assert_false(hs_os_populate(base, 4 * page));
}

static void wish_for_huge_pages_leaves_the_content(void **state)
{
    size_t bytes = 2 * HS_HUGE_PAGE_BYTES;
    char *base = hs_os_map_aligned(bytes, HS_HUGE_PAGE_BYTES, 0);

    (void)state;
    base[1] = 1;
    (void)hs_os_want_huge(base, bytes);
    base[bytes - 1] = 2;
    assert_int_equal(base[1], 1);
    assert_true(is_zero(base + 2, bytes - 3));
    assert_true(hs_os_unmap(base, bytes));
}

/* ---- addresses that go from thread to thread -------------------------------------------------------------------- */

/* Longer than the holes between libraries, so that the kernel finds the one that was just left. */
enum { ROUNDS = 8, LONG_PAGES = 500 };

struct relay {
    _Atomic int turn; /* relaxed: orders nothing that a sanitizer could see */
    char *left[ROUNDS], *taken[ROUNDS];
};

static void await_turn(struct relay *relay, int turn)
{
    while (atomic_load_explicit(&relay->turn, memory_order_relaxed) != turn)
        hs_os_yield();
}

static void end_turn(struct relay *relay)
{
    (void)atomic_fetch_add_explicit(&relay->turn, 1, memory_order_relaxed);
}

/* Pages that were written, with a neighbour behind them: they can grow nowhere but elsewhere. */
static char *map_hemmed_in(size_t pages)
{
    char *base = hs_os_map((pages + 1) * hs_os_page_bytes());

    memset(base, 1, pages * hs_os_page_bytes());
    return base;
}

static void *leave_addresses(void *context)
{
    struct relay *relay = context;
    size_t bytes = LONG_PAGES * hs_os_page_bytes();

    for (int round = 0; round < ROUNDS; round++) {
        relay->left[round] = map_hemmed_in(LONG_PAGES);
        await_turn(relay, 2 * round);
        (void)hs_os_remap(relay->left[round], bytes, 2 * bytes, true);
        end_turn(relay);
    }
    return NULL;
}

static void *move_there(void *context)
{
    struct relay *relay = context;
    size_t page = hs_os_page_bytes(), bytes = LONG_PAGES * page;

    for (int round = 0; round < ROUNDS; round++) {
        char *base = map_hemmed_in(1);

        await_turn(relay, 2 * round + 1);
        relay->taken[round] = hs_os_remap(base, page, bytes, true);
        memset(relay->taken[round], 2, bytes);
        end_turn(relay);
    }
    return NULL;
}

/* The kernel hands the addresses over; that the two never meet otherwise is no race. */
static void addresses_that_moved_are_no_race(void **state)
{
    static struct relay relay;
    pthread_t leaving, moving;
    int reused = 0;

    (void)state;
    assert_int_equal(pthread_create(&leaving, NULL, leave_addresses, &relay), 0);
    assert_int_equal(pthread_create(&moving, NULL, move_there, &relay), 0);
    assert_int_equal(pthread_join(leaving, NULL), 0);
    assert_int_equal(pthread_join(moving, NULL), 0);
    for (int round = 0; round < ROUNDS; round++)
        reused += relay.taken[round] == relay.left[round];
    assert_true(reused > 0);
}

/* ---- faults and errno ------------------------------------------------------------------------------------------ */

struct calls {
    bool all_failed, errno_kept;
    uint64_t made[HS_OS_CALL_KINDS];
};

/* Each function once, without an assertion: those allocate. */
static struct calls make_every_call(char *mapping, size_t page)
{
    struct calls calls = {true, true, {0}};

    errno = MARK;
    calls.all_failed &= hs_os_break_raise(HS_GRANULE_BYTES).base == NULL;
    calls.all_failed &= hs_os_map(page) == NULL && hs_os_map_aligned(page, (size_t)1 << 20, 0) == NULL;
    calls.all_failed &= !hs_os_unmap(mapping, page);
    calls.all_failed &= hs_os_remap(mapping, page, 2 * page, true) == NULL;
    calls.all_failed &= !hs_os_purge(mapping, page);
    calls.all_failed &= !hs_os_want_huge(mapping, page);
    calls.all_failed &= !hs_os_populate(mapping, page);
    calls.errno_kept = errno == MARK;
    return calls;
}

static void every_call_can_be_made_to_fail(void **state)
{
    size_t page = hs_os_page_bytes();
    char *mapping = hs_os_map(page);
    uint64_t before[HS_OS_CALL_KINDS];
    struct calls calls;

    (void)state;
    memset(mapping, 7, page);
    for (unsigned kind = 0; kind < HS_OS_CALL_KINDS; kind++)
        before[kind] = os_calls_made((enum hs_os_call)kind);
    fail_os_calls(~0U);
    calls = make_every_call(mapping, page);
    for (unsigned kind = 0; kind < HS_OS_CALL_KINDS; kind++)
        calls.made[kind] = os_calls_made((enum hs_os_call)kind) - before[kind];
    fail_os_calls(0);
    assert_true(calls.all_failed);
    assert_true(calls.errno_kept);
    for (unsigned kind = 0; kind < HS_OS_CALL_KINDS; kind++)
        assert_int_equal(calls.made[kind], kind == HS_OS_MMAP ? 2 : kind == HS_OS_MADVISE ? 3 : 1);
    assert_int_equal(mapping[page - 1], 7);
    assert_true(hs_os_unmap(mapping, page));
}

/* Where the kernel itself refuses, errno stays, too. */
static void errno_is_kept(void **state)
{
    size_t page = hs_os_page_bytes();
    char *mapping = hs_os_map(page);

    (void)state;
    errno = MARK;
    (void)hs_os_map(ABSURD_BYTES);
    (void)hs_os_unmap(mapping + 1, page);
    (void)hs_os_remap(mapping, page, (size_t)1 << 62, true); /* Valgrind itself trips over a larger one */
    (void)hs_os_purge(mapping + 1, page);
    (void)hs_os_want_huge(mapping + 1, page);
    (void)hs_os_populate(mapping + 1, page);
    (void)hs_os_break_raise(SIZE_MAX / 4 + 1);
    (void)hs_os_break_is_at(mapping);
    (void)hs_os_break_lower(mapping, page);
    (void)hs_os_cpu_count();
    (void)hs_os_entropy();
    (void)hs_os_now_ms();
    (void)hs_os_is_privileged();
    (void)hs_os_write(-1, "x", 1);
    hs_os_yield();
    assert_int_equal(errno, MARK);
    assert_true(hs_os_unmap(mapping, page));
}

/* ---- the rest -------------------------------------------------------------------------------------------------- */

static void page_and_processors(void **state)
{
    (void)state;
    assert_int_equal(hs_os_page_bytes(), sysconf(_SC_PAGESIZE));
    assert_true(hs_os_cpu_count() >= 1);
    assert_true((long)hs_os_cpu_count() <= sysconf(_SC_NPROCESSORS_CONF));
}

static void entropy_differs(void **state)
{
    (void)state;
    assert_true(hs_os_entropy() != hs_os_entropy());
}

static void clock_never_goes_back(void **state)
{
    uint64_t before = hs_os_now_ms();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = hs_os_now_ms();

        assert_true(now >= before);
        before = now;
    }
}

static uint64_t tell_seven(void)
{
    return 7;
}

static void clock_is_a_tests_where_it_wants(void **state)
{
    (void)state;
    hs_os_clock = tell_seven;
    assert_int_equal(hs_os_now_ms(), 7);
    hs_os_clock = NULL;
    assert_true(hs_os_now_ms() != 7);
}

static void write_goes_out_whole(void **state)
{
    int ends[2];
    char text[8] = "";

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(hs_os_write(ends[1], "heap", 4), 0);
    assert_int_equal(read(ends[0], text, sizeof text), 4);
    assert_string_equal(text, "heap");
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(hs_os_write(ends[1], "heap", 4), EBADF);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(break_is_raised_and_lowered),
        cmocka_unit_test(foreign_sbrk_is_noticed),
        cmocka_unit_test(foreign_lowering_is_noticed),
        cmocka_unit_test(break_that_cannot_be_raised_stays),
        cmocka_unit_test(mappings_are_aligned_behind_the_offset),
        cmocka_unit_test(ends_of_an_aligned_mapping_go_back),
        cmocka_unit_test(absurd_mappings_fail),
        cmocka_unit_test(remap_keeps_the_content),
        cmocka_unit_test(purged_pages_read_as_zero),
        cmocka_unit_test(populated_pages_are_there),
        cmocka_unit_test(wish_for_huge_pages_leaves_the_content),
        cmocka_unit_test(addresses_that_moved_are_no_race),
        cmocka_unit_test(every_call_can_be_made_to_fail),
        cmocka_unit_test(errno_is_kept),
        cmocka_unit_test(page_and_processors),
        cmocka_unit_test(entropy_differs),
        cmocka_unit_test(clock_never_goes_back),
        cmocka_unit_test(clock_is_a_tests_where_it_wants),
        cmocka_unit_test(write_goes_out_whole),
    };

    use_break();
    return run_named(tests, COUNT_OF(tests), argc, argv);
}
