/*
 * Requests with an alignment: which alignments each function takes, what it says of the others, and that the block is
 * where it was asked for.
 */
#include "support.h"

static void aligned_alloc_wants_a_power_of_two(void **state)
{
    static const size_t bad[] = {0, 3, 5, 6, 7, 12, 24, 48, 4095, 4097, SIZE_MAX};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        errno = 0;
        assert_null(heapster_aligned_alloc(bad[i], 64));
        assert_int_equal(errno, EINVAL);
    }
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        void *block = heapster_aligned_alloc(alignment, 100); /* no multiple of it: taken all the same */

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
        assert_int_equal((uintptr_t)block % 16, 0);
        heapster_free(block);
    }
}

static void posix_memalign_wants_whole_pointers_too(void **state)
{
    static const size_t bad[] = {0, 1, 2, sizeof(void *) / 2, 3, 12, 24, 40, SIZE_MAX};
    static char untouched;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        void *out = &untouched;

        errno = 77;
        assert_int_equal(heapster_posix_memalign(&out, bad[i], 64), EINVAL);
        assert_ptr_equal(out, &untouched);
        assert_int_equal(errno, 77);
    }
    for (size_t alignment = sizeof(void *); alignment <= 4096; alignment *= 2) {
        void *out = NULL;

        assert_int_equal(heapster_posix_memalign(&out, alignment, 100), 0);
        assert_int_equal((uintptr_t)out % alignment, 0);
        heapster_free(out);
    }
}

static void posix_memalign_without_memory_leaves_all_alone(void **state)
{
    static char untouched;
    void *out = &untouched;
    int result, error;

    (void)state;
    errno = 77;
    assert_int_equal(heapster_posix_memalign(&out, 64, unforeseen(SIZE_MAX)), ENOMEM);
    assert_int_equal(errno, 77);
    assert_ptr_equal(out, &untouched);
    fail_os_calls(~0U);
    result = heapster_posix_memalign(&out, 64, (size_t)1 << 30);
    error = errno;
    fail_os_calls(0);
    assert_int_equal(result, ENOMEM);
    assert_int_equal(error, 77);
    assert_ptr_equal(out, &untouched);
}

static void memalign_rounds_up(void **state)
{
    static const struct {
        size_t alignment, rounded;
    } table[] = {{0, 16}, {1, 16}, {3, 16}, {17, 32}, {24, 32}, {100, 128}, {4095, 4096}, {4097, 8192}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        void *block = heapster_memalign(table[i].alignment, 100);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % table[i].rounded, 0);
        heapster_free(block);
    }
    errno = 0;
    assert_null(heapster_memalign(SIZE_MAX / 2 + 2, 1));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(heapster_memalign(SIZE_MAX / 2 + 1, 1));
    assert_int_equal(errno, ENOMEM);
}

static void valloc_and_pvalloc_are_pages(void **state)
{
    size_t page = hs_os_page_bytes();

    (void)state;
    for (size_t bytes = 0; bytes <= 3 * page; bytes += page / 4 + 1) {
        void *one = heapster_valloc(bytes), *other = heapster_pvalloc(bytes);
        size_t rounded = bytes == 0 ? page : (bytes + page - 1) / page * page;

        assert_int_equal((uintptr_t)one % page, 0);
        assert_true(heapster_usable_size(one) >= bytes);
        assert_int_equal((uintptr_t)other % page, 0);
        assert_true(heapster_usable_size(other) >= rounded);
        memset(other, 1, rounded);
        heapster_free(one);
        heapster_free(other);
    }
}

static void alignments_up_to_a_gibibyte(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 5000, 100000};

    (void)state;
    for (size_t alignment = 16; alignment <= (size_t)1 << 30; alignment *= 2) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            char *block = heapster_aligned_alloc(alignment, sizes[i]);

            assert_non_null(block);
            assert_int_equal((uintptr_t)block % alignment, 0);
            memset(block, 1, sizes[i]);
            heapster_free(block);
        }
    }
    assert_sound();
}

/* Many at once, so that the pieces in front and behind are used in between. */
static void aligned_blocks_beside_each_other(void **state)
{
    enum { BLOCKS = 300 };
    static void *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    uint64_t random = 31;

    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < BLOCKS; i++) {
            size_t alignment = (size_t)16 << next_random(&random) % 10;

            heapster_free(blocks[i]);
            sizes[i] = (size_t)(next_random(&random) % 2000);
            blocks[i] = heapster_aligned_alloc(alignment, sizes[i]);
            assert_int_equal((uintptr_t)blocks[i] % alignment, 0);
            fill_pattern(blocks[i], sizes[i], i);
        }
        for (unsigned i = 0; i < BLOCKS; i++)
            assert_true(holds_pattern(blocks[i], sizes[i], i));
        assert_sound();
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        heapster_free(blocks[i]);
    assert_sound();
}

static void realloc_keeps_the_content_not_the_alignment(void **state)
{
    char *block = heapster_aligned_alloc(4096, 5000);

    (void)state;
    fill_pattern(block, 5000, 3);
    block = heapster_realloc(block, 50000);
    assert_true(holds_pattern(block, 5000, 3));
    assert_int_equal((uintptr_t)block % 16, 0);
    heapster_free(block);
}

static void arena_aligned_alloc_says_the_same(void **state)
{
    heapster_arena *arena = heapster_arena_create(NULL);

    (void)state;
    errno = 0;
    assert_null(heapster_arena_aligned_alloc(arena, 48, 100));
    assert_int_equal(errno, EINVAL);
    for (size_t alignment = 1; alignment <= (size_t)1 << 24; alignment *= 2) {
        void *block = heapster_arena_aligned_alloc(arena, alignment, 1000);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % alignment, 0);
    }
    assert_sound();
    heapster_arena_destroy(arena);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligned_alloc_wants_a_power_of_two),
        cmocka_unit_test(posix_memalign_wants_whole_pointers_too),
        cmocka_unit_test(posix_memalign_without_memory_leaves_all_alone),
        cmocka_unit_test(memalign_rounds_up),
        cmocka_unit_test(valloc_and_pvalloc_are_pages),
        cmocka_unit_test(alignments_up_to_a_gibibyte),
        cmocka_unit_test(aligned_blocks_beside_each_other),
        cmocka_unit_test(realloc_keeps_the_content_not_the_alignment),
        cmocka_unit_test(arena_aligned_alloc_says_the_same),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
