/*
 * model: where the four strategies must place blocks, computed as plainly as possible.
 *
 * It shares nothing with the allocator but the enum of strategies. A heap is an array of blocks in order of address;
 * each search looks at every one of them. A block stands at the offset of its payload; its bytes include its tag, so
 * the next block's payload is exactly `bytes` further on.
 *
 * Order of free blocks: by list, and within a list newest publication first. No list is kept: each free block carries
 * its list and the time of its publication, and the order follows from the two.
 *
 * Next fit. The cursor is "after the block taken last" in that order. Later publications come before everything in
 * their list, and blocks that go away leave the order of the others alone; so the list and the time of the block taken
 * say for ever which blocks are still ahead, and no cursor has to be moved when a block is unlinked.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapster.h"

#define MODEL_NONE SIZE_MAX

/* Deliberate mistakes, for tests that prove that a comparison with the model notices each. */
enum model_fault {
    MODEL_SOUND,
    MODEL_OLDEST_FIRST,    /* the order within a list, and among equals, is reversed */
    MODEL_SECOND_CHOICE,   /* takes the second in order where there is one */
    MODEL_OLD_EQUAL,       /* of equal ones the oldest; best and worst fit */
    MODEL_ADDRESS_ORDER,   /* lowest address in place of newest */
    MODEL_CURSOR_STUCK,    /* next fit never moves on: first fit */
    MODEL_CURSOR_AT_TAKEN, /* next fit begins at the head of the list it took from */
    MODEL_CURSOR_KEPT,     /* a switch of strategy does not reset the cursor */
    MODEL_HIGH_END,        /* takes the high end of a block */
    MODEL_NO_LEFT_MERGE,   /* a freed block stays apart from its left neighbour */
    MODEL_NO_RIGHT_MERGE,  /* ... and from its right one */
    MODEL_MERGE_KEEPS_AGE, /* a merged block keeps the place of the neighbour it took in, where the list is the same */
    MODEL_COARSE_LISTS,    /* two lists for each doubling */
    MODEL_THRIFTY_SPLIT,   /* a remainder of 32 bytes is not split off */
    MODEL_TAIL_FIRST,      /* aligned: the tail is published before the front */
    MODEL_LEAN_SEARCH,     /* aligned: asks for 16 bytes less than it may need */
    MODEL_GROW_MOVES,      /* realloc never takes the right neighbour */
    MODEL_SHRINK_KEEPS,    /* realloc never gives the end back */
    MODEL_FAULTS
};

struct model_block {
    size_t offset; /* of the payload */
    size_t bytes;
    uint64_t published; /* 0: used */
    unsigned list;
};

struct model {
    struct model_block *blocks; /* by offset */
    size_t count, capacity;
    enum heapster_strategy strategy;
    enum model_fault fault;
    uint64_t clock;
    unsigned cursor_list;
    uint64_t cursor_published;
};

/* One free block of `bytes`, its payload at `offset`. */
void model_start(struct model *model, size_t offset, size_t bytes, enum heapster_strategy strategy,
                 enum model_fault fault);
void model_stop(struct model *model);

/* The list, 0 to 62, that a block belongs to. */
unsigned model_list_of(const struct model *model, size_t block_bytes);

/* Each returns the offset of the payload, or MODEL_NONE where nothing fits. An alignment of 16 or less is every
 * block's. The offsets count from an address that every alignment asked for divides. */
size_t model_allocate(struct model *model, size_t payload_bytes, size_t alignment);
size_t model_resize(struct model *model, size_t offset, size_t payload_bytes);
void model_release(struct model *model, size_t offset);

void model_switch(struct model *model, enum heapster_strategy strategy);

/* The block whose payload is at `offset`. It must be one. */
const struct model_block *model_block_at(const struct model *model, size_t offset);

#endif
