#include "model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_COUNT = 63, TAG_BYTES = 8, GRAIN_BYTES = 16, LEAST_BYTES = 32 };

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* Counts the lists that begin at this size or below: 32 to 240 in steps of 16, then quarters of each doubling from 256
 * bytes to 1 MiB. */
unsigned model_list_of(const struct model *model, size_t block_bytes)
{
    const unsigned parts = model->fault == MODEL_COARSE_LISTS ? 2 : 4;
    unsigned begun = 0;

    for (size_t least = 32; least < 256; least += 16)
        begun += block_bytes >= least;
    for (size_t doubling = 256; doubling < (size_t)1 << 20; doubling *= 2) {
        for (unsigned part = 0; part < parts; part++)
            begun += block_bytes >= doubling + part * (doubling / parts);
    }
    begun += block_bytes >= (size_t)1 << 20;
    return begun - 1;
}

static size_t block_bytes_for(size_t payload_bytes)
{
    size_t bytes = payload_bytes + TAG_BYTES;

    while (bytes % GRAIN_BYTES != 0)
        bytes++;
    return bytes < LEAST_BYTES ? LEAST_BYTES : bytes;
}

static size_t least_remainder(const struct model *model)
{
    return model->fault == MODEL_THRIFTY_SPLIT ? LEAST_BYTES + GRAIN_BYTES : LEAST_BYTES;
}

/* ---- the array of blocks ----------------------------------------------------------------------------------------- */

static size_t index_at(const struct model *model, size_t offset)
{
    size_t low = 0, high = model->count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (model->blocks[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    assert(model->blocks[low].offset == offset);
    return low;
}

const struct model_block *model_block_at(const struct model *model, size_t offset)
{
    return &model->blocks[index_at(model, offset)];
}

/* Cuts block `index` after `bytes`; the second half is used, whatever the first is. */
static void cut(struct model *model, size_t index, size_t bytes)
{
    struct model_block *block;

    if (model->count == model->capacity) {
        model->capacity *= 2;
        model->blocks = realloc(model->blocks, model->capacity * sizeof(*model->blocks));
        if (model->blocks == NULL)
            abort();
    }
    block = &model->blocks[index];
    memmove(block + 1, block, (model->count - index) * sizeof(*block));
    model->count++;
    block[1].offset += bytes;
    block[1].bytes -= bytes;
    block[1].published = 0;
    block[0].bytes = bytes;
}

/* Joins block `index` with the one after it. */
static void join(struct model *model, size_t index)
{
    struct model_block *block = &model->blocks[index];

    block->bytes += block[1].bytes;
    model->count--;
    memmove(block + 1, block + 2, (model->count - index - 1) * sizeof(*block));
}

static bool is_free(const struct model *model, size_t index)
{
    return index < model->count && model->blocks[index].published != 0;
}

/* Block `index` becomes free: at once one with its free neighbours, and the newest of its list. */
static void publish(struct model *model, size_t index)
{
    uint64_t age = ++model->clock;
    struct model_block *block;

    if (is_free(model, index + 1) && model->fault != MODEL_NO_RIGHT_MERGE)
        join(model, index);
    if (index > 0 && is_free(model, index - 1) && model->fault != MODEL_NO_LEFT_MERGE) {
        index--;
        join(model, index);
    }
    block = &model->blocks[index];
    if (model->fault == MODEL_MERGE_KEEPS_AGE && block->published != 0 &&
        block->list == model_list_of(model, block->bytes))
        age = block->published;
    block->published = age;
    block->list = model_list_of(model, block->bytes);
}

/* ---- the strategies ---------------------------------------------------------------------------------------------- */

static bool is_newer(const struct model *model, const struct model_block *a, const struct model_block *b)
{
    if (model->fault == MODEL_ADDRESS_ORDER)
        return a->offset < b->offset;
    if (model->fault == MODEL_OLDEST_FIRST || (model->fault == MODEL_OLD_EQUAL && a->bytes == b->bytes))
        return a->published < b->published;
    return a->published > b->published;
}

/* Whether next fit has passed the block on its way around. */
static bool is_behind(const struct model *model, const struct model_block *block)
{
    if (block->list != model->cursor_list)
        return block->list < model->cursor_list;
    return block->published >= model->cursor_published;
}

/* True where the strategy takes `a` rather than `b`. */
static bool is_preferred(const struct model *model, const struct model_block *a, const struct model_block *b)
{
    switch (model->strategy) {
    case HEAPSTER_BEST_FIT:
        if (a->bytes != b->bytes)
            return a->bytes < b->bytes;
        break;
    case HEAPSTER_WORST_FIT:
        if (a->bytes != b->bytes)
            return a->bytes > b->bytes;
        break;
    case HEAPSTER_NEXT_FIT:
        if (is_behind(model, a) != is_behind(model, b))
            return is_behind(model, b);
        if (a->list != b->list)
            return a->list < b->list;
        break;
    case HEAPSTER_FIRST_FIT:
        if (a->list != b->list)
            return a->list < b->list;
        break;
    }
    return is_newer(model, a, b);
}

/* The index of the block that the strategy takes, leaving out `except`. */
static size_t choose(const struct model *model, size_t bytes, size_t except)
{
    size_t chosen = MODEL_NONE;

    for (size_t i = 0; i < model->count; i++) {
        const struct model_block *block = &model->blocks[i];

        if (block->published == 0 || block->bytes < bytes || i == except)
            continue;
        if (chosen == MODEL_NONE || is_preferred(model, block, &model->blocks[chosen]))
            chosen = i;
    }
    return chosen;
}

static void reset_cursor(struct model *model)
{
    model->cursor_list = 0;
    model->cursor_published = UINT64_MAX;
}

static size_t search(struct model *model, size_t bytes)
{
    size_t chosen = choose(model, bytes, MODEL_NONE);

    if (chosen == MODEL_NONE)
        return chosen;
    if (model->fault == MODEL_SECOND_CHOICE) {
        size_t second = choose(model, bytes, chosen);

        chosen = second != MODEL_NONE ? second : chosen;
    }
    if (model->fault != MODEL_CURSOR_STUCK) {
        model->cursor_list = model->blocks[chosen].list;
        model->cursor_published = model->fault == MODEL_CURSOR_AT_TAKEN ? UINT64_MAX : model->blocks[chosen].published;
    }
    return chosen;
}

/* ---- what a program asks for ------------------------------------------------------------------------------------- */

/* Gives back what block `index` has beyond `bytes`, if that can be a block. */
static void trim(struct model *model, size_t index, size_t bytes)
{
    if (model->blocks[index].bytes - bytes < least_remainder(model))
        return;
    cut(model, index, bytes);
    publish(model, index + 1);
}

static size_t alignment_gap(size_t offset, size_t alignment)
{
    size_t gap = 0;

    while ((offset + gap) % alignment != 0)
        gap += GRAIN_BYTES;
    return gap != 0 && gap < LEAST_BYTES ? gap + alignment : gap;
}

static size_t allocate_aligned(struct model *model, size_t bytes, size_t alignment)
{
    size_t slack = alignment + (model->fault == MODEL_LEAN_SEARCH ? 0 : GRAIN_BYTES);
    size_t index = search(model, bytes + slack), gap;

    if (index == MODEL_NONE)
        return MODEL_NONE;
    gap = alignment_gap(model->blocks[index].offset, alignment);
    model->blocks[index].published = 0;
    if (gap == 0) {
        trim(model, index, bytes);
        return model->blocks[index].offset;
    }
    cut(model, index, gap);
    if (model->fault == MODEL_TAIL_FIRST)
        trim(model, index + 1, bytes);
    publish(model, index);
    if (model->fault != MODEL_TAIL_FIRST)
        trim(model, index + 1, bytes);
    return model->blocks[index + 1].offset;
}

static size_t allocate_high(struct model *model, size_t index, size_t bytes)
{
    size_t rest = model->blocks[index].bytes - bytes;

    if (rest < LEAST_BYTES)
        return model->blocks[index].offset;
    cut(model, index, rest);
    publish(model, index);
    return model->blocks[index + 1].offset;
}

size_t model_allocate(struct model *model, size_t payload_bytes, size_t alignment)
{
    size_t bytes = block_bytes_for(payload_bytes), index;

    if (alignment > GRAIN_BYTES)
        return allocate_aligned(model, bytes, alignment);
    index = search(model, bytes);
    if (index == MODEL_NONE)
        return MODEL_NONE;
    model->blocks[index].published = 0;
    if (model->fault == MODEL_HIGH_END)
        return allocate_high(model, index, bytes);
    trim(model, index, bytes);
    return model->blocks[index].offset;
}

void model_release(struct model *model, size_t offset)
{
    publish(model, index_at(model, offset));
}

size_t model_resize(struct model *model, size_t offset, size_t payload_bytes)
{
    size_t bytes = block_bytes_for(payload_bytes), index = index_at(model, offset), moved;

    if (bytes <= model->blocks[index].bytes) {
        if (model->fault != MODEL_SHRINK_KEEPS)
            trim(model, index, bytes);
        return offset;
    }
    if (is_free(model, index + 1) && model->blocks[index].bytes + model->blocks[index + 1].bytes >= bytes &&
        model->fault != MODEL_GROW_MOVES) {
        join(model, index);
        trim(model, index, bytes);
        return offset;
    }
    moved = model_allocate(model, payload_bytes, GRAIN_BYTES);
    if (moved != MODEL_NONE)
        model_release(model, offset);
    return moved;
}

void model_switch(struct model *model, enum heapster_strategy strategy)
{
    model->strategy = strategy;
    if (model->fault != MODEL_CURSOR_KEPT)
        reset_cursor(model);
}

void model_start(struct model *model, size_t offset, size_t bytes, enum heapster_strategy strategy,
                 enum model_fault fault)
{
    memset(model, 0, sizeof(*model));
    model->strategy = strategy;
    model->fault = fault;
    model->capacity = 64;
    model->blocks = malloc(model->capacity * sizeof(*model->blocks));
    if (model->blocks == NULL)
        abort();
    model->blocks[0] = (struct model_block){.offset = offset, .bytes = bytes};
    model->count = 1;
    reset_cursor(model);
    publish(model, 0);
}

void model_stop(struct model *model)
{
    free(model->blocks);
    model->blocks = NULL;
}
