/*
 * fuzz_block: tags, split and merge on a bare region, with no list and no lock.
 *
 * Goal: whatever blocks a region is cut into and joined to, their tags say so (block.h, B1 to B5, B7, B8). Oracle: an
 * array of blocks in order of address, to which the same is done.
 */
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "freelist.h"
#include "target.h"

enum { REGION_BYTES = 32 * 1024, BLOCKS_MOST = REGION_BYTES / 32, ARENAS = 256 };

enum kind { SPLIT = 1, MERGE, RELEASE, CLAIM, BEGIN_RUN, CUT_RUN, DAMAGE, ASK, KINDS = ASK };

static const struct fuzz_kind kinds[KINDS] = {
    {"split", FUZZ_COUNT | FUZZ_SLOT | FUZZ_BYTES, 40},
    {"merge", FUZZ_COUNT | FUZZ_SLOT, 20},
    {"release", FUZZ_COUNT | FUZZ_SLOT, 20},
    {"claim", FUZZ_COUNT | FUZZ_SLOT, 20},
    {"begin_run", FUZZ_COUNT | FUZZ_SLOT, 5},
    {"cut_run", FUZZ_COUNT | FUZZ_SLOT | FUZZ_BYTES, 20},
    {"damage", FUZZ_COUNT | FUZZ_SLOT | FUZZ_EXTRA, 5},
    {"ask", FUZZ_BYTES, 5},
};

struct expected {
    size_t offset; /* of the tag */
    size_t bytes;  /* to the next tag */
    size_t extent; /* what the tag says: of a run more than what is left of it */
    uint8_t state, left;
};

static _Alignas(16) char region[REGION_BYTES + 32];
static struct expected blocks[BLOCKS_MOST + 1];
static unsigned count;
static unsigned arena;

static struct hs_block *tag_of(unsigned index)
{
    return (struct hs_block *)(void *)(region + blocks[index].offset);
}

static bool is_free(unsigned index)
{
    return hs_state_is_free(blocks[index].state);
}

static void set_left(unsigned index, uint8_t left)
{
    hs_block_set_left(tag_of(index), left);
    blocks[index].left = left;
}

static void set_state(unsigned index, uint8_t state)
{
    hs_block_set_state(tag_of(index), state);
    blocks[index].state = state;
}

static void insert_after(unsigned index, size_t bytes)
{
    memmove(blocks + index + 2, blocks + index + 1, (count - index) * sizeof blocks[0]);
    count++;
    blocks[index + 1] = blocks[index];
    blocks[index + 1].offset += bytes;
    blocks[index + 1].bytes = blocks[index + 1].extent = blocks[index].bytes - bytes;
    blocks[index + 1].left = 0;
    blocks[index].bytes = bytes;
}

/* ---- operations on a block that is the caller's -------------------------------------------------------------------
 */

static void split(unsigned index, size_t bytes)
{
    bytes = HS_BLOCK_BYTES_LEAST + bytes % blocks[index].bytes / HS_ALIGNMENT * HS_ALIGNMENT;
    if (blocks[index].state != HS_STATE_USED || bytes + HS_BLOCK_BYTES_LEAST > blocks[index].bytes)
        return;
    insert_after(index, bytes);
    blocks[index].extent = bytes;
    hs_block_set_bytes(tag_of(index), bytes, arena);
    hs_block_set_bytes(tag_of(index + 1), blocks[index + 1].bytes, arena);
    hs_block_set_state(tag_of(index + 1), HS_STATE_USED);
    hs_block_set_left(tag_of(index + 1), 0);
}

static void merge(unsigned index)
{
    if (index + 1 >= count || blocks[index].state != HS_STATE_USED || blocks[index + 1].state != HS_STATE_USED)
        return;
    if (hs_block_right(tag_of(index)) != tag_of(index + 1))
        fuzz_fail("the right neighbour of block %u stands elsewhere", index);
    hs_block_set_state(tag_of(index + 1), HS_STATE_DEAD);
    blocks[index].bytes += blocks[index + 1].bytes;
    blocks[index].extent = blocks[index].bytes;
    hs_block_set_bytes(tag_of(index), blocks[index].bytes, arena);
    memmove(blocks + index + 1, blocks + index + 2, (count - index - 1) * sizeof blocks[0]);
    count--;
}

static void release(unsigned index)
{
    unsigned list = hs_freelist_index(blocks[index].bytes);

    if (blocks[index].state != HS_STATE_USED)
        return;
    set_state(index, (uint8_t)(HS_STATE_FREE + list));
    *hs_block_footer_before(tag_of(index + 1)) = blocks[index].bytes;
    set_left(index + 1, (uint8_t)(1 + list));
}

static void claim(unsigned index)
{
    if (!is_free(index))
        return;
    if (hs_block_left_of(tag_of(index + 1)) != tag_of(index))
        fuzz_fail("the footer of block %u leads elsewhere", index);
    set_state(index, HS_STATE_USED);
    set_left(index + 1, 0);
}

static void begin_run(unsigned index)
{
    if (blocks[index].state != HS_STATE_USED)
        return;
    hs_run_begin(tag_of(index));
    blocks[index].state = HS_STATE_RUN;
}

static void cut_run(unsigned index, size_t bytes)
{
    struct hs_block *cut;

    bytes = HS_BLOCK_BYTES_LEAST + bytes % blocks[index].bytes / HS_ALIGNMENT * HS_ALIGNMENT;
    if (blocks[index].state != HS_STATE_RUN || bytes + HS_BLOCK_BYTES_LEAST > blocks[index].bytes)
        return;
    cut = hs_run_cut(tag_of(index), blocks[index].bytes, bytes, arena, HS_STATE_USED);
    insert_after(index, blocks[index].bytes - bytes);
    blocks[index + 1].state = HS_STATE_USED;
    if (cut != tag_of(index + 1))
        fuzz_fail("a run was cut elsewhere");
}

/* A tag that is wrong in one bit of its check or its extent is never right; put right again, it is. Of the extent by
 * the multiplier that the fuzzers have, for which no such difference is lost in the bits that are kept. */
static void damage(unsigned index, unsigned bit)
{
    struct hs_block *block = tag_of(index);
    uint32_t extent = block->extent;
    uint16_t check = block->check;

    bit %= 48;
    if (bit < 16)
        block->check = (uint16_t)(check ^ 1U << bit);
    else
        block->extent = extent ^ 1U << (bit - 16);
    if (hs_block_is_intact(block))
        fuzz_fail("a tag of block %u, wrong in bit %u, was taken for right", index, bit);
    block->extent = extent;
    block->check = check;
}

static void ask(size_t bytes)
{
    size_t block_bytes;

    if (bytes > HS_BLOCK_BYTES_MAX - 64)
        return;
    block_bytes = hs_block_bytes_for(bytes);
    if (block_bytes % HS_ALIGNMENT != 0 || block_bytes < HS_BLOCK_BYTES_LEAST || block_bytes < bytes + HS_TAG_BYTES ||
        (block_bytes > HS_BLOCK_BYTES_LEAST && block_bytes - HS_ALIGNMENT >= bytes + HS_TAG_BYTES))
        fuzz_fail("%zu bytes are served by a block of %zu", bytes, block_bytes);
}

static void perform(const struct fuzz_op *op)
{
    unsigned index = (op->slot + FUZZ_SLOTS * (unsigned)op->count) % count;

    switch ((enum kind)op->kind) {
    case SPLIT:
        split(index, op->bytes);
        break;
    case MERGE:
        merge(index);
        break;
    case RELEASE:
        release(index);
        break;
    case CLAIM:
        claim(index);
        break;
    case BEGIN_RUN:
        begin_run(index);
        break;
    case CUT_RUN:
        cut_run(index, op->bytes);
        break;
    case DAMAGE:
        damage(index, op->extra);
        break;
    case ASK:
        ask(op->bytes);
        break;
    }
}

/* ---- the whole region ----------------------------------------------------------------------------------------------
 */

static void expect_block(unsigned index, struct hs_block *block)
{
    const struct expected *expected = &blocks[index];
    char *payload = (char *)block + HS_TAG_BYTES;

    if ((char *)block != region + expected->offset)
        fuzz_fail("block %u begins at %zd, expected %zu", index, (char *)block - region, expected->offset);
    if (!hs_block_is_intact(block) || hs_block_arena(block) != arena || hs_block_bytes(block) != expected->extent ||
        hs_block_tile_bytes(block) != expected->bytes)
        fuzz_fail("block %u says %zu bytes of %zu in arena %u, expected %zu of %zu in %u", index,
                  hs_block_tile_bytes(block), hs_block_bytes(block), hs_block_arena(block), expected->bytes,
                  expected->extent, arena);
    if (hs_block_state(block) != expected->state || hs_block_left(block) != expected->left)
        fuzz_fail("block %u is %s, left %u, expected %s, left %u", index, hs_state_name(hs_block_state(block)),
                  hs_block_left(block), hs_state_name(expected->state), expected->left);
    if (hs_block_of(payload) != block || hs_block_payload(block) != payload ||
        hs_block_usable_bytes(block) != expected->extent - HS_TAG_BYTES)
        fuzz_fail("block %u and its payload disagree", index);
    if (hs_block_is_owned(payload, hs_block_extent(block), HS_STATE_USED) != (expected->state == HS_STATE_USED))
        fuzz_fail("block %u is owned by another", index);
}

static void expect_region(void)
{
    struct hs_block *block = tag_of(0);

    for (unsigned i = 0; i < count; i++) {
        expect_block(i, block);
        block = hs_block_at(block, hs_block_tile_bytes(block));
    }
    if (block != tag_of(count) || hs_block_state(block) != HS_STATE_END || hs_block_left(block) != blocks[count].left)
        fuzz_fail("the region does not end in its END tag");
}

static void run(const struct fuzz_program *program)
{
    arena = program->header[0] % ARENAS;
    count = 1;
    blocks[0] = (struct expected){HS_TAG_BYTES, REGION_BYTES, REGION_BYTES, HS_STATE_USED, 0};
    blocks[1] = (struct expected){HS_TAG_BYTES + REGION_BYTES, 0, 0, HS_STATE_END, 0};
    hs_block_set_bytes(tag_of(0), REGION_BYTES, arena);
    for (unsigned i = 0; i < 2; i++) {
        hs_block_set_state(tag_of(i), blocks[i].state);
        hs_block_set_left(tag_of(i), 0);
    }
    for (unsigned i = 0; i < program->op_count; i++) {
        perform(&program->ops[i]);
        if (fuzz_walks_each)
            expect_region();
    }
    expect_region();
}

static void print_header(FILE *out, const struct fuzz_program *program)
{
    (void)fprintf(out, "arena %u\n", (unsigned)program->header[0] % ARENAS);
}

const struct fuzz_target fuzz_target = {
    .name = "block",
    .kinds = kinds,
    .kind_count = KINDS,
    .run = run,
    .print_header = print_header,
    .why_no_c = "tags are written and merged on a bare region, below any malloc",
};
