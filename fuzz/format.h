/*
 * format: what the bytes of an input mean (README.md). One format for all targets but fuzz_options, whose input is
 * text.
 *
 *     | header, 4 bytes | operation, 8 bytes | operation | ... | 8 bytes that begin with 0 | tail, from its end on |
 *
 * Every string of bytes is a program: what is missing reads as 0, and numbers are taken modulo what there is. So no
 * mutation makes an input invalid.
 *
 *     byte of an operation   means
 *     0                      kind: 0 ends the operations; otherwise 1 + (byte - 1) modulo the kinds of the target
 *     1                      slot (5 bits), lane (3 bits: an arena, or a thread)
 *     2                      unit of the size (3 bits) and a signed difference, -16 to 15 (5 bits)
 *     3, 4                   number of the size, low byte first
 *     5                      alignment: 1 << (4 bits), 0x10: another 8 bits to the left, 0x80: less 1
 *     6, 7                   count, extra: the kind says what for
 */
#ifndef FUZZ_FORMAT_H
#define FUZZ_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FUZZ_HEADER_BYTES = 4,
    FUZZ_OP_BYTES = 8,
    FUZZ_SLOTS = 32,
    FUZZ_LANES = 8,
    FUZZ_OPS_MOST = 512,
    FUZZ_TAIL_MOST = 4096
};

struct fuzz_op {
    uint8_t kind; /* of the target's table, from 1 on */
    uint8_t slot;
    uint8_t lane;
    uint8_t count;
    uint8_t extra;
    size_t bytes;
    size_t alignment;
};

struct fuzz_program {
    uint8_t header[FUZZ_HEADER_BYTES];
    unsigned op_count;
    struct fuzz_op ops[FUZZ_OPS_MOST];
    const uint8_t *tail; /* read from its end on */
    size_t tail_bytes;
};

/* The same bytes, cut where the format cuts them, for mutations. */
struct fuzz_pieces {
    uint8_t header[FUZZ_HEADER_BYTES];
    unsigned op_count;
    uint8_t ops[FUZZ_OPS_MOST][FUZZ_OP_BYTES];
    size_t tail_bytes;
    uint8_t tail[FUZZ_TAIL_MOST];
};

void fuzz_decode(struct fuzz_program *program, const uint8_t *input, size_t bytes, unsigned kinds);

void fuzz_cut(struct fuzz_pieces *pieces, const uint8_t *input, size_t bytes);
/* Returns the bytes written, `most` at the most: operations at the end give way first. */
size_t fuzz_join(const struct fuzz_pieces *pieces, uint8_t *output, size_t most);

/* The size that bytes 2 to 4 of an operation stand for, and what stands for a size: exactly up to a mebibyte, and for
 * the sizes of fuzz_boundaries. */
size_t fuzz_size(const uint8_t *encoded);
void fuzz_encode_size(uint8_t *encoded, size_t bytes);

/* Where the allocator begins to treat sizes of requests otherwise; ends with the largest there is. */
extern const size_t fuzz_boundaries[];
extern const unsigned fuzz_boundary_count;

/* The next byte of the tail, from its end on: 0 where none is left. */
struct fuzz_tail {
    const uint8_t *bytes;
    size_t left;
};

static inline uint8_t fuzz_tail_next(struct fuzz_tail *tail)
{
    return tail->left > 0 ? tail->bytes[--tail->left] : 0;
}

#endif
