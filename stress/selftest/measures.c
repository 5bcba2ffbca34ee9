/* measures: what the reports show of a run is right: latencies in buckets, the heap in cells. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "expect.h"
#include "latency.h"
#include "pages.h"
#include "picture.h"
#include "rng.h"

/* ---- latency ------------------------------------------------------------------------------------------------ */

static bool falls_into(uint64_t nanoseconds, unsigned bucket)
{
    struct kit_latency latency = {{0}};

    kit_latency_add(&latency, nanoseconds);
    return latency.counts[bucket] == 1 && kit_latency_count(&latency) == 1;
}

static void test_buckets(void)
{
    static const uint64_t known[][2] = {{0, 0},  {1, 1},   {3, 3},   {4, 4},   {7, 7},   {8, 8},
                                        {10, 9}, {12, 10}, {14, 11}, {16, 12}, {20, 13}, {1024, 36}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        expect(kit_latency_least((unsigned)known[i][1]) == known[i][0], "least of a bucket that is known");
    for (unsigned bucket = 0; bucket < KIT_LATENCY_BUCKETS; bucket++) {
        expect(falls_into(kit_latency_least(bucket), bucket), "the least of a bucket falls into it");
        expect(falls_into(kit_latency_least(bucket + 1) - 1, bucket), "the most of a bucket falls into it");
    }
    expect(falls_into(kit_latency_least(KIT_LATENCY_BUCKETS), KIT_LATENCY_BUCKETS - 1), "more goes into the last one");
    expect(falls_into(UINT64_MAX, KIT_LATENCY_BUCKETS - 1), "the most of all goes into the last one");
}

static void test_quantiles(void)
{
    struct kit_latency latency = {{0}};

    expect(kit_latency_quantile(&latency, 0.5) == 0 && kit_latency_count(&latency) == 0, "no calls, no quantile");
    for (unsigned i = 0; i < 100; i++)
        kit_latency_add(&latency, i < 90 ? 3 : i < 99 ? 8 : 1000);
    expect(kit_latency_count(&latency) == 100, "calls are counted");
    expect(kit_latency_quantile(&latency, 0) == 3, "least");
    expect(kit_latency_quantile(&latency, 0.5) == 3, "median");
    expect(kit_latency_quantile(&latency, 0.9) == 3, "last of the first bucket");
    expect(kit_latency_quantile(&latency, 0.91) == 9, "first of the second bucket");
    expect(kit_latency_quantile(&latency, 0.99) == 9, "last of the second bucket");
    expect(kit_latency_quantile(&latency, 0.999) == 1023, "the slowest");
    expect(kit_latency_quantile(&latency, 1) == 1023, "most");
}

/* Against the definition, in many numbers of many magnitudes. */
static void test_bounds(void)
{
    enum { CALLS = 2000 };
    static const double shares[] = {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    struct kit_latency latency = {{0}};
    uint64_t times[CALLS] = {0};

    for (unsigned i = 0; i < CALLS; i++) {
        uint64_t random = kit_scramble(i), time = random >> (24 + random % 40);
        unsigned place = i;

        kit_latency_add(&latency, time);
        for (; place > 0 && times[place - 1] > time; place--)
            times[place] = times[place - 1];
        times[place] = time;
    }
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        uint64_t bound = kit_latency_quantile(&latency, shares[i]);
        uint64_t exact = times[(unsigned)(shares[i] * (double)CALLS + 0.5) - 1];

        expect(bound >= exact && bound <= exact + exact / 4, "a quantile is a bound within a quarter");
    }
}

static void test_merge(void)
{
    struct kit_latency one = {{0}}, other = {{0}};

    kit_latency_add(&one, 5);
    kit_latency_add(&one, 100);
    kit_latency_add(&other, 5);
    kit_latency_add(&other, 7000);
    kit_latency_merge(&one, &other);
    expect(one.counts[5] == 2 && kit_latency_count(&one) == 4, "merged counts are sums");
    expect(other.counts[5] == 1 && kit_latency_count(&other) == 2, "what was merged stays");
}

/* ---- picture ------------------------------------------------------------------------------------------------ */

enum { TAG_BYTES = 16, MANY = 100000, MORE_SPANS = KIT_SPANS_MAX + 44 };

struct heap {
    const struct kit_walked *blocks;
    size_t count;
    size_t more; /* how many the second walk shows beyond them */
    unsigned walks;
};

static struct kit_picture picture;

static struct kit_walked make_block(unsigned arena, uintptr_t base, size_t bytes, enum kit_block_state state)
{
    return (struct kit_walked){.payload = base + TAG_BYTES,
                               .usable_bytes = bytes - TAG_BYTES,
                               .block_bytes = bytes,
                               .state = state,
                               .arena = arena};
}

static void walk(void *context, kit_visit *visit, void *argument)
{
    struct heap *heap = context;
    size_t count = heap->walks++ == 0 ? heap->count : heap->count + heap->more;

    for (size_t i = 0; i < count; i++)
        visit(&heap->blocks[i], argument);
}

static void take(const struct kit_walked *blocks, size_t count, size_t more)
{
    struct heap heap = {blocks, count, more, 0};
    struct kit_allocator allocator = {.context = &heap, .walk = walk};

    memset(&picture, 0xA5, sizeof picture);
    kit_picture_take(&picture, &allocator);
}

static void expect_span(unsigned i, unsigned arena, uint64_t base, uint64_t bytes, unsigned cells)
{
    const struct kit_span *span = &picture.spans[i];
    unsigned first = i == 0 ? 0 : picture.spans[i - 1].first_cell + picture.spans[i - 1].cell_count;

    expect(i < picture.span_count && span->arena == arena && span->base == base && span->bytes == bytes,
           "a span is where its blocks are");
    expect(span->first_cell == first && span->cell_count == cells, "a span has its cells");
}

static void expect_cell(unsigned i, unsigned live, unsigned kept, unsigned free)
{
    const struct kit_cell *cell = &picture.cells[i];

    expect(i < picture.cell_count && cell->live == live && cell->kept == kept && cell->free == free,
           "a cell has the shares of its blocks");
}

static void test_no_picture(void)
{
    struct kit_allocator blind = {.walk = NULL};

    memset(&picture, 0xA5, sizeof picture);
    kit_picture_take(&picture, &blind);
    expect(picture.cell_bytes == 0 && picture.span_count == 0 && picture.cell_count == 0, "no walk, no picture");
    take(NULL, 0, 0);
    expect(picture.cell_bytes == 0 && picture.span_count == 0 && picture.blocks == 0, "no blocks, no picture");
}

/* Regions that come in any order, touch, or touch those of another arena; and shares that are rounded. */
static void test_spans_and_cells(void)
{
    struct kit_walked blocks[] = {
        make_block(1, 0x20200, 128, KIT_BLOCK_LIVE), make_block(2, 0x20280, 64, KIT_BLOCK_KEPT),
        make_block(1, 0x10000, 48, KIT_BLOCK_LIVE),  make_block(1, 0x10030, 16, KIT_BLOCK_FREE),
        make_block(1, 0x10040, 64, KIT_BLOCK_KEPT),  make_block(1, 0x10080, 32, KIT_BLOCK_LIVE),
        make_block(0, 0x20100, 256, KIT_BLOCK_FREE), make_block(0, 0x20000, 96, KIT_BLOCK_LIVE),
        make_block(0, 0x20060, 160, KIT_BLOCK_KEPT), make_block(0, 0x40000, 16, KIT_BLOCK_LIVE),
        make_block(0, 0x40010, 48, KIT_BLOCK_KEPT),  make_block(0, 0x40040, 16, KIT_BLOCK_LIVE),
    };

    take(blocks, sizeof blocks / sizeof blocks[0], 0);
    expect(picture.cell_bytes == 64 && picture.blocks == 12 && picture.bytes_left_out == 0, "all is in the picture");
    expect(picture.span_count == 5 && picture.cell_count == 16, "as many spans and cells as there are");
    expect_span(0, 0, 0x20000, 512, 8);
    expect_span(1, 0, 0x40000, 80, 2);
    expect_span(2, 1, 0x10000, 160, 3);
    expect_span(3, 1, 0x20200, 128, 2);
    expect_span(4, 2, 0x20280, 64, 1);
    expect_cell(0, KIT_SHARE_WHOLE, 0, 0);
    expect_cell(1, 125, 125, 0);
    expect_cell(2, 0, KIT_SHARE_WHOLE, 0);
    expect_cell(3, 0, KIT_SHARE_WHOLE, 0);
    for (unsigned i = 4; i < 8; i++)
        expect_cell(i, 0, 0, KIT_SHARE_WHOLE);
    expect_cell(8, 63, 187, 0);
    expect_cell(9, 63, 0, 0);
    expect_cell(10, 188, 0, 62);
    expect_cell(11, 0, KIT_SHARE_WHOLE, 0);
    expect_cell(12, 125, 0, 0);
    expect_cell(13, KIT_SHARE_WHOLE, 0, 0);
    expect_cell(14, KIT_SHARE_WHOLE, 0, 0);
    expect_cell(15, 0, KIT_SHARE_WHOLE, 0);
}

/* Blocks of a damaged heap that lie over one another. */
static void test_overlap(void)
{
    struct kit_walked blocks[] = {make_block(0, 0x10000, 64, KIT_BLOCK_LIVE),
                                  make_block(0, 0x10040, 64, KIT_BLOCK_LIVE),
                                  make_block(0, 0x10000, 128, KIT_BLOCK_LIVE)};

    take(blocks, 3, 0);
    expect_cell(0, KIT_SHARE_WHOLE, 0, 0);
    expect_cell(1, KIT_SHARE_WHOLE, 0, 0);
}

/* Large blocks side by side are one span; what does not fit by 64 bytes has larger cells. */
static void test_large(void)
{
    struct kit_walked blocks[] = {make_block(254, 0x700040000000, (size_t)1 << 20, KIT_BLOCK_LIVE),
                                  make_block(254, 0x700000000000, (size_t)1 << 30, KIT_BLOCK_LIVE)};

    take(blocks, 2, 0);
    expect(picture.cell_bytes == (uint64_t)1 << 18 && picture.span_count == 1, "cells grow with the heap");
    expect_span(0, 254, 0x700000000000, ((uint64_t)1 << 30) + (1 << 20), 4100);
    for (unsigned i = 0; i < 4100; i++)
        expect_cell(i, KIT_SHARE_WHOLE, 0, 0);
}

/* Spans of 1 to 300 times 64 bytes, shuffled: the 44 smallest are left out. */
static size_t shuffled_bytes(size_t number)
{
    return (number * 7919 % MORE_SPANS + 1) * 64;
}

static void test_many_spans(void)
{
    struct kit_walked blocks[MORE_SPANS];
    uint64_t cells_by_half = 0;

    for (unsigned i = 0; i < MORE_SPANS; i++)
        blocks[i] = make_block(i % 3, (uintptr_t)(MORE_SPANS - i) << 20, shuffled_bytes(i), KIT_BLOCK_LIVE);
    take(blocks, MORE_SPANS, 0);
    expect(picture.span_count == KIT_SPANS_MAX && picture.blocks == MORE_SPANS, "as many spans as fit");
    expect(picture.bytes_left_out == UINT64_C(44) * 45 / 2 * 64, "the smallest are left out, and counted");
    for (unsigned i = 0; i < picture.span_count; i++) {
        const struct kit_span *span = &picture.spans[i];
        uint64_t number = MORE_SPANS - (span->base >> 20), bytes = shuffled_bytes(number);

        expect(bytes > UINT64_C(44) * 64, "none of the smallest is in");
        expect_span(i, (unsigned)number % 3, span->base, bytes,
                    (unsigned)((bytes + picture.cell_bytes - 1) / picture.cell_bytes));
        expect(i == 0 || span[-1].arena < span->arena || (span[-1].arena == span->arena && span[-1].base < span->base),
               "spans come by arena, then by address");
        cells_by_half += (bytes + picture.cell_bytes / 2 - 1) / (picture.cell_bytes / 2);
    }
    expect(picture.cell_count <= KIT_CELLS_MAX && cells_by_half > KIT_CELLS_MAX, "cells are as small as fits");
}

/* A heap that grew between the walks, against the rule, also into what was seen: the picture is of the first one. */
static void test_growing_heap(void)
{
    struct kit_walked blocks[MORE_SPANS];

    for (unsigned i = 0; i < MORE_SPANS; i++)
        blocks[i] = make_block(0, (uintptr_t)(i + 1) << 20, 64, KIT_BLOCK_LIVE);
    blocks[2] = make_block(0, blocks[0].payload, (size_t)1 << 20, KIT_BLOCK_LIVE);
    take(blocks, 2, MORE_SPANS - 2);
    expect(picture.span_count == 2 && picture.cell_count == 2, "no more spans than were counted");
    expect_cell(0, KIT_SHARE_WHOLE, 0, 0);
    expect_cell(1, KIT_SHARE_WHOLE, 0, 0);
}

static double processor_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* `gap_bytes` after each block: none makes one span of all, more makes each a span of its own. */
static void test_many_blocks(size_t gap_bytes)
{
    struct kit_walked *blocks = kit_pages_map(MANY * sizeof *blocks);
    uint64_t live = 0, shares = 0;
    uintptr_t base = 0x10000000;
    double began;

    for (unsigned i = 0; i < MANY; i++) {
        size_t bytes = 64 + kit_scramble(i) % 64 * 16;

        blocks[i] = make_block(0, base, bytes, i % 2 == 0 ? KIT_BLOCK_LIVE : KIT_BLOCK_FREE);
        base += bytes + gap_bytes;
        live += i % 2 == 0 ? bytes : 0;
    }
    began = processor_seconds();
    take(blocks, MANY, 0);
    expect(processor_seconds() - began < 1, "a hundred thousand blocks take less than a second");
    expect(picture.span_count == (gap_bytes == 0 ? 1 : KIT_SPANS_MAX) && picture.blocks == MANY, "all were seen");
    for (unsigned i = 0; i < picture.cell_count; i++)
        shares += picture.cells[i].live;
    /* Each cell is rounded by half a share at most. */
    if (gap_bytes == 0) {
        uint64_t drawn = shares * picture.cell_bytes, real = live * KIT_SHARE_WHOLE;
        uint64_t off = drawn > real ? drawn - real : real - drawn;

        expect(off <= picture.cell_count * picture.cell_bytes / 2, "what is live is drawn as live");
    }
    kit_pages_unmap(blocks, MANY * sizeof *blocks);
}

int main(void)
{
    test_buckets();
    test_quantiles();
    test_bounds();
    test_merge();
    test_no_picture();
    test_spans_and_cells();
    test_overlap();
    test_large();
    test_many_spans();
    test_growing_heap();
    test_many_blocks(0);
    test_many_blocks(64);
    return expect_status();
}
