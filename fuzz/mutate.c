/*
 * mutate: mutations and crossover that know operations, so that an operation stays whole, and a size comes to lie where
 * the allocator changes its mind.
 */
#include <string.h>

#include "rng.h"
#include "target.h"

enum { ENGINE_SHARE = 10, HEAVY_SHARE = 3, ROUNDS_MOST = 4 };

static struct fuzz_pieces pieces, others;

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* At most so much above or below. */
static size_t draw_near(struct kit_rng *rng, size_t bytes, size_t most)
{
    size_t distance = kit_rng_below(rng, most + 1);

    if (kit_rng_below(rng, 2) == 0)
        return bytes > distance ? bytes - distance : 0;
    return distance < SIZE_MAX - bytes ? bytes + distance : SIZE_MAX;
}

static size_t draw_near_boundary(struct kit_rng *rng, size_t boundaries)
{
    return draw_near(rng, fuzz_boundaries[kit_rng_below(rng, boundaries)], 16);
}

static size_t draw_size(struct kit_rng *rng)
{
    uint64_t dice = kit_rng_below(rng, 400);

    if (fuzz_target.draws_large && kit_rng_percent(rng, 15))
        return draw_near_boundary(rng, fuzz_boundary_count);
    if (dice < 240)
        return kit_rng_below(rng, 200);
    if (dice < 300)
        return kit_rng_below(rng, 2048);
    if (dice < 390) /* up to a few KiB: boundaries beyond cost pages, and are drawn less */
        return draw_near_boundary(rng, 18);
    if (dice < 399 || kit_rng_below(rng, 4) != 0)
        return kit_rng_below(rng, UINT64_C(72) * 1024);
    return draw_near_boundary(rng, fuzz_boundary_count);
}

static uint8_t draw_kind(struct kit_rng *rng)
{
    uint64_t sum = 0, dice;
    unsigned kind = 0;

    for (unsigned i = 0; i < fuzz_target.kind_count; i++)
        sum += fuzz_target.kinds[i].weight;
    for (dice = kit_rng_below(rng, sum); dice >= fuzz_target.kinds[kind].weight; kind++)
        dice -= fuzz_target.kinds[kind].weight;
    return (uint8_t)(kind + 1);
}

static uint8_t draw_alignment(struct kit_rng *rng)
{
    uint64_t dice = kit_rng_below(rng, 50);

    if (dice == 0)
        return (uint8_t)kit_rng_next(rng);
    return (uint8_t)(dice < 40 ? kit_rng_below(rng, 9) : kit_rng_below(rng, 14));
}

static void draw_op(uint8_t *op, struct kit_rng *rng)
{
    op[0] = draw_kind(rng);
    op[1] = (uint8_t)kit_rng_next(rng);
    if (kit_rng_percent(rng, 80))
        op[1] &= fuzz_target.has_lanes ? 0xEF : 0x0F; /* few slots and lanes, which are used again */
    fuzz_encode_size(op + 2, draw_size(rng));
    op[5] = draw_alignment(rng);
    op[6] = (uint8_t)(kit_rng_percent(rng, 95) ? kit_rng_below(rng, 8) : kit_rng_next(rng));
    op[7] = (uint8_t)kit_rng_next(rng);
}

size_t fuzz_generate(uint8_t *output, size_t most, unsigned ops, uint64_t seed)
{
    struct kit_rng rng = {kit_scramble(seed)};

    for (unsigned i = 0; i < FUZZ_HEADER_BYTES; i++)
        pieces.header[i] = (uint8_t)kit_rng_next(&rng);
    if (kit_rng_percent(&rng, 90))
        for (unsigned i = 0; i < FUZZ_HEADER_BYTES; i++)
            pieces.header[i] &= (uint8_t)~fuzz_target.seldom[i];
    pieces.op_count = ops < FUZZ_OPS_MOST ? ops : FUZZ_OPS_MOST;
    for (unsigned i = 0; i < pieces.op_count; i++)
        draw_op(pieces.ops[i], &rng);
    pieces.tail_bytes = fuzz_target.has_tail ? kit_rng_below(&rng, 16) : 0;
    for (size_t i = 0; i < pieces.tail_bytes; i++)
        pieces.tail[i] = (uint8_t)kit_rng_below(&rng, 8);
    return fuzz_join(&pieces, output, most);
}

/* ---- mutations of operations ---------------------------------------------------------------------------------------
 */

static void insert_ops(unsigned at, unsigned count, struct kit_rng *rng)
{
    if (count > FUZZ_OPS_MOST - pieces.op_count)
        return;
    memmove(pieces.ops[at + count], pieces.ops[at], (size_t)(pieces.op_count - at) * FUZZ_OP_BYTES);
    pieces.op_count += count;
    for (unsigned i = at; i < at + count; i++)
        draw_op(pieces.ops[i], rng);
}

static void delete_ops(unsigned at, unsigned count)
{
    if (count > pieces.op_count - at)
        count = pieces.op_count - at;
    pieces.op_count -= count;
    memmove(pieces.ops[at], pieces.ops[at + count], (size_t)(pieces.op_count - at) * FUZZ_OP_BYTES);
}

static void swap_ops(unsigned at, unsigned with)
{
    uint8_t kept[FUZZ_OP_BYTES];

    memcpy(kept, pieces.ops[at], sizeof kept);
    memcpy(pieces.ops[at], pieces.ops[with], sizeof kept);
    memcpy(pieces.ops[with], kept, sizeof kept);
}

static void copy_op(unsigned at, unsigned to, struct kit_rng *rng)
{
    uint8_t kept[FUZZ_OP_BYTES];

    memcpy(kept, pieces.ops[at], sizeof kept);
    if (pieces.op_count == FUZZ_OPS_MOST)
        return;
    insert_ops(to, 1, rng);
    memcpy(pieces.ops[to], kept, sizeof kept);
}

static void change_op(uint8_t *op, struct kit_rng *rng)
{

    switch (kit_rng_below(rng, 7)) {
    case 0: /* another slot */
        op[1] = (uint8_t)((op[1] & 0xE0) | kit_rng_below(rng, FUZZ_SLOTS));
        break;
    case 1: /* the same done elsewhere */
        op[1] = (uint8_t)((op[1] & 0x1F) | kit_rng_below(rng, FUZZ_LANES) << 5);
        break;
    case 2: /* a boundary, and what lies around it */
        fuzz_encode_size(op + 2, draw_near_boundary(rng, fuzz_boundary_count));
        break;
    case 3: /* near what it is */
        fuzz_encode_size(op + 2, draw_near(rng, fuzz_size(op + 2), 32));
        break;
    case 4:
        op[0] = draw_kind(rng);
        break;
    case 5:
        op[5] = draw_alignment(rng);
        break;
    default:
        op[6 + kit_rng_below(rng, 2)] = (uint8_t)kit_rng_next(rng);
    }
}

/* The size of one operation becomes that of another one: frees and requests that meet exactly. */
static void copy_size(unsigned at, unsigned from)
{
    memcpy(pieces.ops[at] + 2, pieces.ops[from] + 2, 3);
}

/* ---- mutations of the tail -----------------------------------------------------------------------------------------
 */

static void mutate_tail(struct kit_rng *rng)
{
    size_t at = kit_rng_below(rng, pieces.tail_bytes + 1);

    switch (kit_rng_below(rng, 4)) {
    case 0: /* one decision more */
        if (pieces.tail_bytes == FUZZ_TAIL_MOST)
            break;
        memmove(pieces.tail + at + 1, pieces.tail + at, pieces.tail_bytes - at);
        pieces.tail[at] = (uint8_t)kit_rng_below(rng, 4);
        pieces.tail_bytes++;
        break;
    case 1: /* one decision less */
        if (at == pieces.tail_bytes)
            break;
        pieces.tail_bytes--;
        memmove(pieces.tail + at, pieces.tail + at + 1, pieces.tail_bytes - at);
        break;
    case 2: /* one preemption more, or one less */
        if (at < pieces.tail_bytes)
            pieces.tail[at] = pieces.tail[at] != 0 ? 0 : (uint8_t)(1 + kit_rng_below(rng, 3));
        break;
    default:
        if (at < pieces.tail_bytes)
            pieces.tail[at] = (uint8_t)kit_rng_next(rng);
    }
}

/* ---- what takes long -----------------------------------------------------------------------------------------------
 */

static void lighten_op(uint8_t *op)
{
    unsigned fields = fuzz_target.kinds[(op[0] - 1U) % fuzz_target.kind_count].fields;

    size_t bytes = fuzz_size(op + 2);

    if ((fields & FUZZ_HEAVY_COUNT) != 0)
        op[6] %= FUZZ_LIGHT_COUNTS;
    if (fuzz_target.serves_large && (fields & FUZZ_BYTES) != 0 && bytes >= FUZZ_LIGHT_BYTES &&
        bytes < FUZZ_SERVED_BYTES)
        fuzz_encode_size(op + 2, bytes % FUZZ_LIGHT_BYTES);
}

/* Most inputs, so that those that take long do not take all the time there is. */
static size_t lighten(uint8_t *data, size_t bytes, struct kit_rng *rng)
{
    if (kit_rng_percent(rng, HEAVY_SHARE))
        return bytes;
    for (size_t at = FUZZ_HEADER_BYTES; at + FUZZ_OP_BYTES <= bytes && data[at] != 0; at += FUZZ_OP_BYTES)
        lighten_op(data + at);
    return bytes;
}

/* ---- mutations of text ---------------------------------------------------------------------------------------------
 */

size_t fuzz_insert_word(uint8_t *data, size_t bytes, size_t most, uint64_t seed)
{
    struct kit_rng rng = {kit_scramble(seed)};
    size_t at = kit_rng_below(&rng, bytes + 1), words = 0, length;
    const char *word;

    while (fuzz_target.words[words] != NULL)
        words++;
    if (words == 0)
        return bytes;
    word = fuzz_target.words[kit_rng_below(&rng, words)];
    length = strlen(word);
    if (length > most - bytes)
        return bytes;
    if (kit_rng_percent(&rng, 50))
        at = bytes;
    memmove(data + at + length, data + at, bytes - at);
    memcpy(data + at, word, length);
    return bytes + length;
}

/* ---- one mutation --------------------------------------------------------------------------------------------------
 */

static void mutate_pieces(struct kit_rng *rng)
{
    unsigned at = (unsigned)kit_rng_below(rng, pieces.op_count + 1ULL), with;

    if (fuzz_target.has_tail && kit_rng_percent(rng, 40)) {
        mutate_tail(rng);
        return;
    }
    if (kit_rng_percent(rng, 5)) {
        pieces.header[kit_rng_below(rng, FUZZ_HEADER_BYTES)] ^= (uint8_t)(1U << kit_rng_below(rng, 8));
        return;
    }
    if (at == pieces.op_count) {
        insert_ops(at, 1 + (unsigned)kit_rng_below(rng, 8), rng);
        return;
    }
    with = (unsigned)kit_rng_below(rng, pieces.op_count);
    switch (kit_rng_below(rng, 8)) {
    case 0:
        insert_ops(at, 1 + (unsigned)kit_rng_below(rng, 3), rng);
        break;
    case 1:
        delete_ops(at, 1 + (unsigned)kit_rng_below(rng, 3));
        break;
    case 2:
        swap_ops(at, with);
        break;
    case 3:
        copy_op(at, with, rng);
        break;
    case 4:
        copy_size(at, with);
        break;
    default:
        change_op(pieces.ops[at], rng);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t most, unsigned seed)
{
    struct kit_rng rng = {kit_scramble(seed)};

    if (fuzz_target.kinds == NULL && kit_rng_percent(&rng, 50))
        return fuzz_insert_word(data, bytes, most, kit_rng_next(&rng));
    if (fuzz_target.kinds == NULL)
        return LLVMFuzzerMutate(data, bytes, most);
    /* Before the engine, whose bytes MemorySanitizer takes for uninitialised. */
    if (kit_rng_percent(&rng, ENGINE_SHARE))
        return LLVMFuzzerMutate(data, lighten(data, bytes, &rng), most);
    fuzz_cut(&pieces, data, bytes);
    for (uint64_t rounds = 1 + kit_rng_below(&rng, ROUNDS_MOST); rounds > 0; rounds--)
        mutate_pieces(&rng);
    return lighten(data, fuzz_join(&pieces, data, most), &rng);
}

/* ---- crossover -----------------------------------------------------------------------------------------------------
 */

static size_t cross_text(const uint8_t *first, size_t first_bytes, const uint8_t *second, size_t second_bytes,
                         uint8_t *output, size_t most, struct kit_rng *rng)
{
    size_t kept = kit_rng_below(rng, first_bytes + 1), from = kit_rng_below(rng, second_bytes + 1);
    size_t added = second_bytes - from;

    kept = kept < most ? kept : most;
    added = added < most - kept ? added : most - kept;
    if (kept > 0)
        memcpy(output, first, kept);
    if (added > 0)
        memcpy(output + kept, second + from, added);
    return kept + added;
}

/* The first one's operations up to some point, then the second one's; the tail of either. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *first, size_t first_bytes, const uint8_t *second, size_t second_bytes,
                                 uint8_t *output, size_t most, unsigned seed)
{
    struct kit_rng rng = {kit_scramble(seed)};
    unsigned from;

    if (fuzz_target.kinds == NULL)
        return cross_text(first, first_bytes, second, second_bytes, output, most, &rng);
    fuzz_cut(&pieces, first, first_bytes);
    fuzz_cut(&others, second, second_bytes);
    pieces.op_count = (unsigned)kit_rng_below(&rng, pieces.op_count + 1ULL);
    from = (unsigned)kit_rng_below(&rng, others.op_count + 1ULL);
    for (; from < others.op_count && pieces.op_count < FUZZ_OPS_MOST; from++)
        memcpy(pieces.ops[pieces.op_count++], others.ops[from], FUZZ_OP_BYTES);
    if (kit_rng_percent(&rng, 50)) {
        memcpy(pieces.tail, others.tail, others.tail_bytes);
        pieces.tail_bytes = others.tail_bytes;
    }
    return lighten(output, fuzz_join(&pieces, output, most), &rng);
}
