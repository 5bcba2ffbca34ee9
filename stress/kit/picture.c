/*
 * Three walks: the first counts the spans, so that the table of them is no larger than it must be; the second fills
 * it, after which the spans are put in order, those of one arena that touch are joined (a walk need not come by
 * address), and the largest are chosen; the third adds up the bytes of each cell.
 *
 * Should the heap have changed between the walks against the rule, then blocks are left out, nothing worse.
 */
#include "picture.h"

#include <string.h>

#include "pages.h"

enum { LEAST_CELL_BYTES = 64, STATES = 3 };

/* Addresses that blocks tile without a gap. */
struct run {
    uintptr_t base, end;
    unsigned arena;
};

struct gathering {
    struct run *runs; /* NULL while they are counted */
    struct run last;
    size_t count, room;
    uint64_t blocks;
};

struct counting {
    struct kit_picture *picture;
    uint64_t (*cells)[STATES]; /* bytes of each state */
    unsigned last_span;
};

static uintptr_t find_base(const struct kit_walked *block)
{
    return block->payload - (block->block_bytes - block->usable_bytes);
}

/* ---- the spans ---------------------------------------------------------------------------------------------- */

static void gather_block(const struct kit_walked *block, void *argument)
{
    struct gathering *all = argument;
    uintptr_t base = find_base(block);

    all->blocks++;
    if (all->count != 0 && base == all->last.end && block->arena == all->last.arena) {
        all->last.end += block->block_bytes;
    } else {
        all->last = (struct run){base, base + block->block_bytes, block->arena};
        all->count++;
    }
    if (all->runs != NULL && all->count <= all->room)
        all->runs[all->count - 1] = all->last;
}

static bool stands_before(const struct run *one, const struct run *other)
{
    return one->arena != other->arena ? one->arena < other->arena : one->base < other->base;
}

static bool is_larger(const struct run *one, const struct run *other)
{
    return one->end - one->base > other->end - other->base;
}

typedef bool is_before(const struct run *one, const struct run *other);

static void sift_down(struct run *runs, size_t at, size_t count, is_before *before)
{
    struct run moving = runs[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && before(&runs[child], &runs[child + 1]))
            child++;
        if (!before(&moving, &runs[child]))
            break;
        runs[at] = runs[child];
        at = child;
    }
    runs[at] = moving;
}

/* A heap sort: libc's qsort may allocate. */
static void sort_runs(struct run *runs, size_t count, is_before *before)
{
    for (size_t i = count / 2; i > 0; i--)
        sift_down(runs, i - 1, count, before);
    for (size_t i = count; i > 1; i--) {
        struct run largest = runs[0];

        runs[0] = runs[i - 1];
        runs[i - 1] = largest;
        sift_down(runs, 0, i - 1, before);
    }
}

/* Returns how many are left. */
static size_t join_neighbours(struct run *runs, size_t count)
{
    size_t kept = 0;

    for (size_t i = 1; i < count; i++) {
        if (runs[i].arena == runs[kept].arena && runs[i].base == runs[kept].end)
            runs[kept].end = runs[i].end;
        else
            runs[++kept] = runs[i];
    }
    return kept + 1;
}

static void choose_spans(struct kit_picture *picture, struct run *runs, size_t count)
{
    sort_runs(runs, count, stands_before);
    count = join_neighbours(runs, count);
    if (count > KIT_SPANS_MAX) {
        sort_runs(runs, count, is_larger);
        for (size_t i = KIT_SPANS_MAX; i < count; i++)
            picture->bytes_left_out += runs[i].end - runs[i].base;
        count = KIT_SPANS_MAX;
        sort_runs(runs, count, stands_before);
    }
    picture->span_count = (unsigned)count;
    for (size_t i = 0; i < count; i++)
        picture->spans[i] =
            (struct kit_span){.base = runs[i].base, .bytes = runs[i].end - runs[i].base, .arena = runs[i].arena};
}

static void find_spans(struct kit_picture *picture, const struct kit_allocator *allocator)
{
    struct gathering counted = {.runs = NULL}, all = {.runs = NULL};
    size_t bytes;

    allocator->walk(allocator->context, gather_block, &counted);
    if (counted.count == 0)
        return;
    bytes = counted.count * sizeof *all.runs;
    all.runs = kit_pages_map(bytes);
    all.room = counted.count;
    allocator->walk(allocator->context, gather_block, &all);
    picture->blocks = all.blocks;
    if (all.count != 0)
        choose_spans(picture, all.runs, all.count < all.room ? all.count : all.room);
    kit_pages_unmap(all.runs, bytes);
}

/* ---- the cells ---------------------------------------------------------------------------------------------- */

static uint64_t count_cells(const struct kit_picture *picture, uint64_t cell_bytes)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < picture->span_count; i++)
        count += (picture->spans[i].bytes + cell_bytes - 1) / cell_bytes;
    return count;
}

static void lay_out_cells(struct kit_picture *picture)
{
    picture->cell_bytes = LEAST_CELL_BYTES;
    while (count_cells(picture, picture->cell_bytes) > KIT_CELLS_MAX)
        picture->cell_bytes *= 2;
    for (unsigned i = 0; i < picture->span_count; i++) {
        struct kit_span *span = &picture->spans[i];

        span->first_cell = picture->cell_count;
        span->cell_count = (unsigned)((span->bytes + picture->cell_bytes - 1) / picture->cell_bytes);
        picture->cell_count += span->cell_count;
    }
}

static bool span_holds(const struct kit_span *span, uintptr_t base)
{
    return base >= span->base && base - span->base < span->bytes;
}

/* span_count where it is in none of them. */
static unsigned find_span(const struct kit_picture *picture, uintptr_t base, unsigned arena)
{
    unsigned low = 0, high = picture->span_count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        const struct kit_span *span = &picture->spans[middle];

        if (span_holds(span, base))
            return middle;
        if (span->arena < arena || (span->arena == arena && span->base < base))
            low = middle + 1;
        else
            high = middle;
    }
    return picture->span_count;
}

static void count_block(const struct kit_walked *block, void *argument)
{
    struct counting *all = argument;
    struct kit_picture *picture = all->picture;
    uintptr_t base = find_base(block);
    const struct kit_span *span;
    uint64_t from, to;

    /* Nearly always the next block lies in the same span. */
    if (!span_holds(&picture->spans[all->last_span], base)) {
        unsigned found = find_span(picture, base, block->arena);

        if (found == picture->span_count)
            return;
        all->last_span = found;
    }
    span = &picture->spans[all->last_span];
    from = base - span->base;
    to = from + block->block_bytes < span->bytes ? from + block->block_bytes : span->bytes;
    while (from < to) {
        uint64_t cell = from / picture->cell_bytes, end = (cell + 1) * picture->cell_bytes;

        if (end > to)
            end = to;
        all->cells[span->first_cell + cell][block->state] += end - from;
        from = end;
    }
}

/* Blocks of a damaged heap may overlap: never more than the whole. */
static unsigned share_of(uint64_t bytes, uint64_t cell_bytes)
{
    if (bytes > cell_bytes)
        bytes = cell_bytes;
    return (unsigned)((bytes * KIT_SHARE_WHOLE + cell_bytes / 2) / cell_bytes);
}

/* What is rounded is the sums, so that the shares of a full cell make up the whole. */
static struct kit_cell sum_up(const uint64_t bytes[STATES], uint64_t cell_bytes)
{
    uint64_t in_use = bytes[KIT_BLOCK_LIVE] + bytes[KIT_BLOCK_KEPT];
    unsigned live = share_of(bytes[KIT_BLOCK_LIVE], cell_bytes), used = share_of(in_use, cell_bytes);
    unsigned all = share_of(in_use + bytes[KIT_BLOCK_FREE], cell_bytes);

    return (struct kit_cell){(unsigned char)live, (unsigned char)(used - live), (unsigned char)(all - used)};
}

static void fill_cells(struct kit_picture *picture, const struct kit_allocator *allocator)
{
    size_t bytes = picture->cell_count * sizeof(uint64_t[STATES]);
    struct counting all = {.picture = picture, .cells = kit_pages_map(bytes)};

    allocator->walk(allocator->context, count_block, &all);
    for (unsigned i = 0; i < picture->cell_count; i++)
        picture->cells[i] = sum_up(all.cells[i], picture->cell_bytes);
    kit_pages_unmap(all.cells, bytes);
}

void kit_picture_take(struct kit_picture *picture, const struct kit_allocator *allocator)
{
    memset(picture, 0, sizeof *picture);
    if (allocator->walk == NULL)
        return;
    find_spans(picture, allocator);
    if (picture->span_count == 0)
        return;
    lay_out_cells(picture);
    fill_cells(picture, allocator);
}
