#include "format.h"

#include <limits.h>
#include <string.h>

/* Payloads; each is tried with what lies around it, too. Blocks are 8 bytes longer. */
const size_t fuzz_boundaries[] = {
    0,     1,      8,      24,     40,     104,     232,     248,     312,       504,       1016,        1032,
    1048,  1144,   1272,   2040,   4088,   4096,    8184,    16376,   32760,     32768,     65528,       65536,
    73720, 131064, 262136, 262144, 524280, 1048568, 1048576, 4194304, 267386816, 268435456, PTRDIFF_MAX, SIZE_MAX};
const unsigned fuzz_boundary_count = sizeof fuzz_boundaries / sizeof fuzz_boundaries[0];

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

enum unit { UNIT_SMALL, UNIT_SHORT, UNIT_LONG, UNIT_16, UNIT_256, UNIT_REGION, UNIT_SIGNED, UNIT_HUGE };

enum { DIFFERENCE_LEAST = -16, DIFFERENCE_MOST = 15, HALF = 32768 };

/* Half of what a number can be below the largest block of an arena. */
#define REGION_BYTES (((size_t)255 << 20) - HALF)
#define SIGNED_BYTES ((size_t)PTRDIFF_MAX - HALF)

static size_t base_of(enum unit unit, size_t number)
{
    switch (unit) {
    case UNIT_SMALL:
        return number & 0xFF;
    case UNIT_SHORT:
        return number & 0x7FF;
    case UNIT_LONG:
        return number;
    case UNIT_16:
        return number * 16;
    case UNIT_256:
        return (number & 0x7FFF) * 256;
    case UNIT_REGION:
        return REGION_BYTES + number * 32;
    case UNIT_SIGNED:
        return SIGNED_BYTES + number;
    case UNIT_HUGE:
        return SIZE_MAX - number;
    }
    return 0;
}

size_t fuzz_size(const uint8_t *encoded)
{
    size_t base = base_of((enum unit)(encoded[0] & 7), (size_t)encoded[1] | (size_t)encoded[2] << 8);
    int difference = encoded[0] >> 3;

    difference -= difference > DIFFERENCE_MOST ? 32 : 0;
    if (difference < 0)
        return base < (size_t)-difference ? 0 : base - (size_t)-difference;
    return base > SIZE_MAX - (size_t)difference ? SIZE_MAX : base + (size_t)difference;
}

static bool try_unit(uint8_t *encoded, size_t bytes, enum unit unit, size_t number)
{
    for (int difference = DIFFERENCE_LEAST; number <= UINT16_MAX && difference <= DIFFERENCE_MOST; difference++) {
        encoded[0] = (uint8_t)((unsigned)unit | (unsigned)(difference & 31) << 3);
        encoded[1] = (uint8_t)(number & 0xFF);
        encoded[2] = (uint8_t)(number >> 8);
        if (fuzz_size(encoded) == bytes)
            return true;
    }
    return false;
}

/* How many times `step`, so that what is left is a difference. */
static size_t steps_to(size_t bytes, size_t step)
{
    return bytes / step + (bytes % step + 8) / step;
}

void fuzz_encode_size(uint8_t *encoded, size_t bytes)
{
    if (bytes <= UINT16_MAX && try_unit(encoded, bytes, UNIT_LONG, bytes))
        return;
    if (try_unit(encoded, bytes, UNIT_16, steps_to(bytes, 16)) ||
        try_unit(encoded, bytes, UNIT_256, steps_to(bytes, 256)) ||
        (bytes >= REGION_BYTES && try_unit(encoded, bytes, UNIT_REGION, steps_to(bytes - REGION_BYTES, 32))) ||
        (bytes >= SIGNED_BYTES && try_unit(encoded, bytes, UNIT_SIGNED, bytes - SIGNED_BYTES)) ||
        try_unit(encoded, bytes, UNIT_HUGE, SIZE_MAX - bytes))
        return;
    /* Nothing stands for it: the nearest below, in steps of 256 bytes. */
    encoded[0] = UNIT_256;
    encoded[1] = (uint8_t)(bytes / 256 & 0xFF);
    encoded[2] = (uint8_t)(bytes / 256 >> 8 & 0x7F);
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static size_t decode_alignment(uint8_t byte)
{
    size_t alignment = (size_t)1 << (byte & 15);

    if (byte & 0x10)
        alignment <<= 8;
    return alignment - (byte >> 7);
}

static void decode_op(struct fuzz_op *op, const uint8_t *bytes, unsigned kinds)
{
    op->kind = (uint8_t)(1 + (bytes[0] != 0 ? bytes[0] - 1U : UINT_MAX) % kinds);
    op->slot = bytes[1] % FUZZ_SLOTS;
    op->lane = bytes[1] / FUZZ_SLOTS;
    op->bytes = fuzz_size(bytes + 2);
    op->alignment = decode_alignment(bytes[5]);
    op->count = bytes[6];
    op->extra = bytes[7];
}

void fuzz_decode(struct fuzz_program *program, const uint8_t *input, size_t bytes, unsigned kinds)
{
    size_t header_bytes = bytes < FUZZ_HEADER_BYTES ? bytes : FUZZ_HEADER_BYTES;

    memset(program->header, 0, sizeof program->header);
    if (header_bytes > 0)
        memcpy(program->header, input, header_bytes);
    program->op_count = 0;
    program->tail = NULL;
    program->tail_bytes = 0;
    for (size_t at = header_bytes; at + FUZZ_OP_BYTES <= bytes; at += FUZZ_OP_BYTES) {
        if (input[at] == 0) {
            program->tail = input + at + FUZZ_OP_BYTES;
            program->tail_bytes = bytes - at - FUZZ_OP_BYTES;
            return;
        }
        if (program->op_count < FUZZ_OPS_MOST)
            decode_op(&program->ops[program->op_count++], input + at, kinds);
    }
}

void fuzz_cut(struct fuzz_pieces *pieces, const uint8_t *input, size_t bytes)
{
    size_t at = bytes < FUZZ_HEADER_BYTES ? bytes : FUZZ_HEADER_BYTES;

    memset(pieces->header, 0, sizeof pieces->header);
    if (at > 0)
        memcpy(pieces->header, input, at);
    pieces->op_count = 0;
    pieces->tail_bytes = 0;
    for (; at + FUZZ_OP_BYTES <= bytes && input[at] != 0; at += FUZZ_OP_BYTES)
        if (pieces->op_count < FUZZ_OPS_MOST)
            memcpy(pieces->ops[pieces->op_count++], input + at, FUZZ_OP_BYTES);
    at += FUZZ_OP_BYTES;
    if (at >= bytes)
        return;
    pieces->tail_bytes = bytes - at < FUZZ_TAIL_MOST ? bytes - at : FUZZ_TAIL_MOST;
    memcpy(pieces->tail, input + bytes - pieces->tail_bytes, pieces->tail_bytes);
}

static size_t append(uint8_t *output, size_t used, size_t most, const uint8_t *bytes, size_t count)
{
    if (count > most - used)
        return used;
    memcpy(output + used, bytes, count);
    return used + count;
}

size_t fuzz_join(const struct fuzz_pieces *pieces, uint8_t *output, size_t most)
{
    static const uint8_t end[FUZZ_OP_BYTES] = {0};
    size_t used = append(output, 0, most, pieces->header, FUZZ_HEADER_BYTES);
    size_t reserved = pieces->tail_bytes > 0 ? FUZZ_OP_BYTES + pieces->tail_bytes : 0;

    if (used == 0 || reserved > most - used)
        reserved = 0;
    for (unsigned i = 0; i < pieces->op_count; i++)
        used = append(output, used, most - reserved, pieces->ops[i], FUZZ_OP_BYTES);
    if (reserved == 0)
        return used;
    used = append(output, used, most, end, sizeof end);
    return append(output, used, most, pieces->tail, pieces->tail_bytes);
}
