/*
 * The malloc family as its callers see it: what is returned, what errno says, what the edges of each argument do.
 */
#include "support.h"

enum { MARK = 4711 };

#define TOO_LARGE ((size_t)PTRDIFF_MAX + 1)

/* ---- malloc and calloc ----------------------------------------------------------------------------------------- */

static void malloc_of_nothing_is_unique(void **state)
{
    void *first = heapster_malloc(0), *second = heapster_malloc(0), *third = heapster_calloc(0, 8);

    (void)state;
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(third);
    assert_ptr_not_equal(first, second);
    heapster_free(first);
    heapster_free(second);
    heapster_free(third);
    assert_sound();
}

static void blocks_are_aligned_and_large_enough(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 3000; bytes++) {
        char *block = heapster_malloc(bytes);

        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        assert_true(heapster_usable_size(block) >= bytes);
        fill_whole_block(block, 0xFF);
        heapster_free(block);
    }
    assert_sound();
}

static void calloc_is_zeroed(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes <= (size_t)1 << 20; bytes *= 2) {
        char *dirty = heapster_malloc(bytes), *clean;

        memset(dirty, 0xFF, bytes);
        heapster_free(dirty);
        clean = heapster_calloc(1, bytes);
        assert_true(is_zero(clean, bytes));
        heapster_free(clean);
        clean = heapster_calloc(bytes, 3);
        assert_true(is_zero(clean, 3 * bytes));
        heapster_free(clean);
    }
}

static void assert_no_memory(void *block)
{
    int error = errno;

    assert_null(block);
    assert_int_equal(error, ENOMEM);
    errno = 0;
}

/* Its square is one more than the largest size. */
#define HALF_WIDTH ((size_t)1 << sizeof(size_t) * 4)

static void requests_that_overflow_fail(void **state)
{
    void *block = heapster_malloc(100);

    (void)state;
    fill_pattern(block, 100, 1);
    errno = 0;
    assert_no_memory(heapster_calloc(unforeseen(SIZE_MAX), 2));
    assert_no_memory(heapster_calloc(unforeseen(HALF_WIDTH * 2), HALF_WIDTH * 2));
    assert_no_memory(heapster_reallocarray(NULL, unforeseen(SIZE_MAX), 2));
    assert_no_memory(heapster_reallocarray(block, unforeseen(SIZE_MAX / 2), 3));
    assert_true(holds_pattern(block, 100, 1));
    heapster_free(block);
}

static void requests_beyond_ptrdiff_max_fail(void **state)
{
    static const size_t sizes[] = {TOO_LARGE, SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4095, PTRDIFF_MAX};
    void *block = heapster_malloc(100), *out = NULL;

    (void)state;
    errno = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t bytes = unforeseen(sizes[i]);

        assert_no_memory(heapster_malloc(bytes));
        assert_no_memory(heapster_calloc(1, bytes));
        assert_no_memory(heapster_realloc(NULL, bytes));
        assert_no_memory(heapster_realloc(block, bytes));
        assert_no_memory(heapster_reallocarray(block, bytes, 1));
        assert_no_memory(heapster_aligned_alloc(64, bytes));
        assert_no_memory(heapster_memalign(64, bytes));
        assert_no_memory(heapster_valloc(bytes));
        assert_no_memory(heapster_pvalloc(bytes));
        assert_int_equal(heapster_posix_memalign(&out, 64, bytes), ENOMEM);
    }
    assert_null(out);
    heapster_free(block);
    assert_sound();
}

/* ---- realloc --------------------------------------------------------------------------------------------------- */

static void realloc_of_null_allocates(void **state)
{
    void *block = heapster_realloc(NULL, 100), *empty = heapster_realloc(NULL, 0);
    void *array = heapster_reallocarray(NULL, 10, 10);

    (void)state;
    assert_non_null(block);
    assert_non_null(empty);
    assert_true(heapster_usable_size(array) >= 100);
    heapster_free(block);
    heapster_free(empty);
    heapster_free(array);
}

static void realloc_to_nothing_frees(void **state)
{
    static const size_t sizes[] = {1, 100, 100000, (size_t)1 << 20};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct heapster_stats before, after;
        void *block = heapster_malloc(sizes[i]);

        heapster_stats(&before);
        errno = MARK;
        assert_null(heapster_realloc(block, 0));
        assert_int_equal(errno, MARK);
        heapster_stats(&after);
        assert_int_equal(after.used_blocks, before.used_blocks - 1);
        assert_int_equal(after.frees + after.cached_blocks, before.frees + before.cached_blocks + 1);
    }
    assert_null(heapster_reallocarray(heapster_malloc(10), 0, 10));
}

static void realloc_keeps_the_content_through_all_sizes(void **state)
{
    uint64_t random = 99;
    size_t bytes = 1;
    char *block = heapster_malloc(bytes);

    (void)state;
    fill_pattern(block, bytes, 1);
    for (unsigned i = 0; i < 2000; i++) {
        size_t wanted = (size_t)(next_random(&random) >> (44 + next_random(&random) % 20)) + 1;

        block = heapster_realloc(block, wanted);
        assert_non_null(block);
        assert_true(holds_pattern(block, bytes < wanted ? bytes : wanted, 1));
        fill_pattern(block, wanted, 1);
        bytes = wanted;
    }
    heapster_free(block);
    assert_sound();
}

static void realloc_to_its_own_size_stays(void **state)
{
    static const size_t sizes[] = {0, 1, 24, 25, 1000, 100000, (size_t)1 << 20};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *block = heapster_malloc(sizes[i]);

        if (sizes[i] != 0)
            assert_ptr_equal(heapster_realloc(block, sizes[i]), block);
        assert_ptr_equal(heapster_realloc(block, heapster_usable_size(block)), block);
        heapster_free(block);
    }
}

/* ---- errno ----------------------------------------------------------------------------------------------------- */

static void allocate_and_free_everything(void)
{
    void *out = NULL;

    heapster_free(heapster_malloc(100));
    heapster_free(heapster_malloc((size_t)1 << 20));
    heapster_free(heapster_calloc(10, 100));
    heapster_free(heapster_realloc(heapster_malloc(10), (size_t)1 << 20));
    heapster_free(heapster_reallocarray(NULL, 10, 10));
    heapster_free(heapster_aligned_alloc(4096, 100));
    heapster_free(heapster_memalign(3, 100));
    heapster_free(heapster_valloc(1));
    heapster_free(heapster_pvalloc(1));
    heapster_free_sized(heapster_malloc(50), 50);
    heapster_free_aligned_sized(heapster_aligned_alloc(64, 50), 64, 50);
    if (heapster_posix_memalign(&out, 64, 100) == 0)
        heapster_free(out);
    (void)heapster_usable_size(NULL);
    heapster_free(NULL);
    heapster_free_sized(NULL, 1);
    heapster_free_aligned_sized(NULL, 1, 1);
    (void)heapster_trim(0);
}

static void success_leaves_errno(void **state)
{
    (void)state;
    errno = MARK;
    allocate_and_free_everything();
    assert_int_equal(errno, MARK);
}

/* Where mremap, munmap and madvise fail, the family still succeeds, by other means. */
static void success_by_other_means_leaves_errno(void **state)
{
    int error;

    (void)state;
    fail_os_calls(1U << HS_OS_MREMAP | 1U << HS_OS_MUNMAP | 1U << HS_OS_MADVISE | 1U << HS_OS_SBRK);
    errno = MARK;
    allocate_and_free_everything();
    error = errno;
    fail_os_calls(0);
    assert_int_equal(error, MARK);
    assert_sound();
}

/* ---- sizes given back ------------------------------------------------------------------------------------------ */

static void free_sized_takes_every_right_size(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes <= 5000; bytes++) {
        heapster_free_sized(heapster_malloc(bytes), bytes);
        heapster_free_sized(heapster_calloc(1, bytes), bytes);
    }
    for (size_t bytes = (size_t)100 << 10; bytes <= (size_t)64 << 20; bytes = bytes * 3 + 1)
        heapster_free_sized(heapster_malloc(bytes), bytes);
    assert_sound();
}

static void free_sized_takes_the_size_of_the_last_realloc(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        size_t first = (size_t)(next_random(&random) % 6000), second = (size_t)(next_random(&random) % 6000) + 1;
        void *guard, *block = heapster_malloc(first);

        guard = i % 2 == 0 ? heapster_malloc(40) : NULL;
        heapster_free_sized(heapster_realloc(block, second), second);
        heapster_free(guard);
    }
    for (size_t bytes = 1000; bytes <= (size_t)8 << 20; bytes *= 2) {
        heapster_free_sized(heapster_realloc(heapster_malloc((size_t)1 << 20), bytes), bytes);
        heapster_free_sized(heapster_realloc(heapster_malloc(100), bytes), bytes);
    }
    assert_sound();
}

static void free_aligned_sized_takes_what_was_asked_for(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= 65536; alignment *= 2)
        for (size_t bytes = 0; bytes < 3000; bytes += 37)
            heapster_free_aligned_sized(heapster_aligned_alloc(alignment, bytes), alignment, bytes);
    heapster_free_aligned_sized(heapster_aligned_alloc(4096, (size_t)1 << 20), 4096, (size_t)1 << 20);
    assert_sound();
}

static void usable_size_of_null_is_zero(void **state)
{
    (void)state;
    assert_int_equal(heapster_usable_size(NULL), 0);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(malloc_of_nothing_is_unique),
        cmocka_unit_test(blocks_are_aligned_and_large_enough),
        cmocka_unit_test(calloc_is_zeroed),
        cmocka_unit_test(requests_that_overflow_fail),
        cmocka_unit_test(requests_beyond_ptrdiff_max_fail),
        cmocka_unit_test(realloc_of_null_allocates),
        cmocka_unit_test(realloc_to_nothing_frees),
        cmocka_unit_test(realloc_keeps_the_content_through_all_sizes),
        cmocka_unit_test(realloc_to_its_own_size_stays),
        cmocka_unit_test(success_leaves_errno),
        cmocka_unit_test(success_by_other_means_leaves_errno),
        cmocka_unit_test(free_sized_takes_every_right_size),
        cmocka_unit_test(free_sized_takes_the_size_of_the_last_realloc),
        cmocka_unit_test(free_aligned_sized_takes_what_was_asked_for),
        cmocka_unit_test(usable_size_of_null_is_zero),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
