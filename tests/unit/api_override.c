/*
 * The standard names: each is served by this heap, and glibc's companions of malloc tell of this heap. Built only
 * where the library defines them.
 */
#include "support.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "heap.h"
#include "options.h"

static bool is_ours(const void *block)
{
    return block != NULL && hs_region_find(block) != NULL;
}

static void standard_names_are_served_here(void **state)
{
    void *out = NULL, *blocks[8];

    (void)state;
    blocks[0] = malloc(100);
    blocks[1] = calloc(10, 10);
    blocks[2] = realloc(NULL, 100);
    blocks[3] = reallocarray(NULL, 10, 10);
    blocks[4] = aligned_alloc(64, 128);
    blocks[5] = memalign(64, 100);
    blocks[6] = valloc(100);
    blocks[7] = pvalloc(100);
    assert_int_equal(posix_memalign(&out, 64, 100), 0);
    assert_true(is_ours(out));
    for (unsigned i = 0; i < 8; i++) {
        assert_true(is_ours(blocks[i]));
        assert_int_equal(malloc_usable_size(blocks[i]), heapster_usable_size(blocks[i]));
        free(blocks[i]);
    }
    heapster_free(out);
    assert_sound();
}

/* What libc allocates for a program comes from here, too. */
static void blocks_of_libc_are_ours(void **state)
{
    char *copy = strdup("heap");

    (void)state;
    assert_true(is_ours(copy));
    heapster_free(copy);
    free(heapster_malloc(10));
}

static void mallinfo_is_this_heap(void **state)
{
    struct heapster_stats stats;
    struct mallinfo2 info;
    void *large = malloc((size_t)1 << 20);

    (void)state;
    info = mallinfo2();
    heapster_stats(&stats);
    assert_int_equal(info.arena, stats.region_bytes);
    assert_int_equal(info.ordblks, stats.free_blocks);
    assert_int_equal(info.hblks, stats.large_blocks);
    assert_int_equal(info.hblkhd, stats.large_bytes);
    assert_int_equal(info.fordblks, stats.free_bytes);
    assert_int_equal(info.uordblks, stats.used_bytes - stats.large_bytes);
    free(large);
}

/* The old struct has room for an int. */
static void old_mallinfo_is_clamped(void **state)
{
    struct mallinfo info;
    char *huge = malloc((size_t)3 << 30);

    (void)state;
    assert_non_null(huge);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    info = mallinfo();
#pragma GCC diagnostic pop
    assert_int_equal(info.hblkhd, INT_MAX);
    assert_true(info.arena > 0);
    free(huge);
}

static void malloc_trim_says_whether_it_gave_back(void **state)
{
    void *block = malloc((size_t)200 << 10);

    (void)state;
    memset(block, 1, (size_t)200 << 10);
    free(block);
    assert_int_equal(malloc_trim(0), 1);
    assert_int_equal(malloc_trim(0), 0);
}

static void mallopt_takes_what_there_is(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
    assert_int_equal(heapster_get_mmap_threshold(), 1 << 20);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, -1), 0);
    assert_int_equal(heapster_get_mmap_threshold(), 1 << 20);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, (int)HS_MMAP_THRESHOLD_DEFAULT), 1);
    assert_int_equal(mallopt(M_TRIM_THRESHOLD, 1), 1);
    assert_int_equal(mallopt(-1000, 1), 0);
}

static void perturb_fills(void **state)
{
    unsigned char *block, filling[100];

    (void)state;
    memset(filling, 0xA5, sizeof filling);
    assert_int_equal(mallopt(M_PERTURB, 1), 1);
    block = malloc(100);
    assert_memory_equal(block, filling, sizeof filling);
    free(block);
    block = calloc(1, 100);
    assert_true(is_zero(block, 100));
    free(block);
    assert_int_equal(mallopt(M_PERTURB, 0), 1);
}

static void malloc_info_writes_xml(void **state)
{
    char text[2048] = "";
    FILE *stream = fmemopen(text, sizeof text - 1, "w");

    (void)state;
    assert_non_null(stream);
    assert_int_equal(malloc_info(1, stream), EINVAL);
    assert_int_equal(malloc_info(0, stream), 0);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(strncmp(text, "<malloc version=\"1\">", 20), 0);
    assert_non_null(strstr(text, "</malloc>"));
}

static void print_stats(void *context)
{
    (void)context;
    malloc_stats();
}

static void malloc_stats_prints_on_standard_error(void **state)
{
    struct outcome outcome;

    (void)state;
    run_child(&outcome, print_stats, NULL);
    assert_exits_with(&outcome, 0);
    assert_non_null(strstr(outcome.text, "heapster: allocations "));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_names_are_served_here),
        cmocka_unit_test(blocks_of_libc_are_ours),
        cmocka_unit_test(mallinfo_is_this_heap),
        cmocka_unit_test(old_mallinfo_is_clamped),
        cmocka_unit_test(malloc_trim_says_whether_it_gave_back),
        cmocka_unit_test(mallopt_takes_what_there_is),
        cmocka_unit_test(perturb_fills),
        cmocka_unit_test(malloc_info_writes_xml),
        cmocka_unit_test(malloc_stats_prints_on_standard_error),
    };

    return run_named(tests, COUNT_OF(tests), argc, argv);
}
