/*
 * histogram: quantiles against those of the sorted numbers themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"
#include "rng.h"

#define NUMBERS 100000

static const double shares[] = {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void expect_near(uint64_t found, uint64_t exact)
{
    uint64_t difference = found > exact ? found - exact : exact - found;

    assert_true(difference * 64 <= exact);
}

/* The least number that such a share of all is not above. */
static uint64_t exact_quantile(const uint64_t *sorted, double share)
{
    double wanted = share * NUMBERS;
    size_t rank = (size_t)wanted;

    if ((double)rank < wanted)
        rank++;
    return sorted[rank > 0 ? rank - 1 : 0];
}

static void expect_quantiles(uint64_t *numbers)
{
    struct bench_histogram *histogram = calloc(1, sizeof *histogram);

    for (size_t i = 0; i < NUMBERS; i++)
        bench_histogram_add(histogram, numbers[i]);
    qsort(numbers, NUMBERS, sizeof *numbers, compare);
    assert_int_equal(bench_histogram_count(histogram), NUMBERS);
    assert_int_equal(histogram->most, numbers[NUMBERS - 1]);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        expect_near(bench_histogram_quantile(histogram, shares[i]), exact_quantile(numbers, shares[i]));
    free(histogram);
}

static uint64_t draw_evenly(struct kit_rng *rng)
{
    return kit_rng_below(rng, 1000000);
}

/* Every power of two as often as the next one. */
static uint64_t draw_all_magnitudes(struct kit_rng *rng)
{
    return kit_rng_next(rng) >> kit_rng_below(rng, 64);
}

/* As latencies are: few numbers mostly, and a long tail. */
static uint64_t draw_with_tail(struct kit_rng *rng)
{
    return kit_rng_percent(rng, 99) ? kit_rng_between(rng, 20, 25) : kit_rng_below(rng, 100000000);
}

static uint64_t draw_one(struct kit_rng *rng)
{
    (void)rng;
    return 123456789;
}

static void histogram_agrees_with_sorting(void **state)
{
    static uint64_t (*const draws[])(struct kit_rng *) = {draw_evenly, draw_all_magnitudes, draw_with_tail, draw_one};
    uint64_t *numbers = calloc(NUMBERS, sizeof *numbers);

    (void)state;
    for (size_t kind = 0; kind < sizeof draws / sizeof draws[0]; kind++) {
        struct kit_rng rng = kit_rng_for(kind, "histogram", 0);

        for (size_t i = 0; i < NUMBERS; i++)
            numbers[i] = draws[kind](&rng);
        expect_quantiles(numbers);
    }
    free(numbers);
}

static void histogram_buckets_ascend(void **state)
{
    unsigned last = 0;

    (void)state;
    assert_int_equal(bench_bucket_of(0), 0);
    for (uint64_t ticks = 1; ticks < 1 << 20; ticks++) {
        unsigned bucket = bench_bucket_of(ticks);

        assert_true(bucket == last || bucket == last + 1);
        last = bucket;
    }
    assert_int_equal(bench_bucket_of(UINT64_MAX), BENCH_BUCKETS - 1);
}

static void histogram_merges(void **state)
{
    struct bench_histogram *into = calloc(1, sizeof *into), *from = calloc(1, sizeof *from);

    (void)state;
    assert_int_equal(bench_histogram_quantile(into, 0.5), 0);
    for (uint64_t i = 1; i <= 10; i++) {
        bench_histogram_add(into, i);
        bench_histogram_add(from, 50 + i);
    }
    bench_histogram_merge(into, from);
    assert_int_equal(bench_histogram_count(into), 20);
    assert_int_equal(into->most, 60);
    assert_int_equal(bench_histogram_quantile(into, 0.5), 10);
    assert_int_equal(bench_histogram_quantile(into, 0.55), 51);
    free(into);
    free(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histogram_agrees_with_sorting),
        cmocka_unit_test(histogram_buckets_ascend),
        cmocka_unit_test(histogram_merges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
