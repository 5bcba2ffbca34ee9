/*
 * picture: the heap at one moment, coarse enough to be drawn: spans of addresses that blocks tile without a gap, each
 * cut into cells of equal size, with the share of each cell that is live, kept or free.
 */
#ifndef KIT_PICTURE_H
#define KIT_PICTURE_H

#include "allocator.h"

enum { KIT_SPANS_MAX = 256, KIT_CELLS_MAX = 6144, KIT_SHARE_WHOLE = 250 };

struct kit_span {
    uint64_t base, bytes;
    unsigned arena;
    unsigned first_cell, cell_count;
};

/* Parts of KIT_SHARE_WHOLE. The last cell of a span may lie beyond its end in part. */
struct kit_cell {
    unsigned char live, kept, free;
};

struct kit_picture {
    uint64_t cell_bytes; /* 0: there is no picture */
    uint64_t blocks;
    uint64_t bytes_left_out; /* of spans beyond the largest KIT_SPANS_MAX */
    unsigned span_count, cell_count;
    struct kit_span spans[KIT_SPANS_MAX]; /* by arena, then by address */
    struct kit_cell cells[KIT_CELLS_MAX];
};

/* Walks the heap, several times: nobody else may be allocating. */
void kit_picture_take(struct kit_picture *picture, const struct kit_allocator *allocator);

#endif
