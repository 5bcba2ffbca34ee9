/*
 * player_burst: many blocks of one size at once, more than a program has slots for: what caches and depots do with
 * whole stacks of them. All are allocated, written to at both ends, verified and given back, in one of four orders.
 */
#include <errno.h>
#include <string.h>

#include "player.h"

enum { MOST_EVER = 64 * 1024, BYTES_MOST = 8 * 1024 * 1024 };

static char *blocks[MOST_EVER];

size_t player_burst_bytes(const struct fuzz_op *op)
{
    return 2 * sizeof(uint64_t) + op->bytes % 4096;
}

/* Up to 1,024 but for one number of 256; and no more than is left to the program, or one of bursts alone would take all
 * day. */
size_t player_burst_count(const struct fuzz_op *op, size_t *left)
{
    size_t count = op->count == UINT8_MAX ? MOST_EVER : (size_t)1 << op->count % 11;
    size_t fitting = BYTES_MOST / player_burst_bytes(op);

    count = count < fitting ? count : fitting;
    count = count < *left ? count : *left;
    *left -= count;
    return count;
}

static void write_ends(char *block, size_t bytes, uint64_t word)
{
    memcpy(block, &word, sizeof word);
    memcpy(block + bytes - sizeof word, &word, sizeof word);
}

static bool ends_hold(const char *block, size_t bytes, uint64_t word)
{
    return memcmp(block, &word, sizeof word) == 0 && memcmp(block + bytes - sizeof word, &word, sizeof word) == 0;
}

/* Which block is the next to go. */
static size_t place_in_order(unsigned order, size_t step, size_t count)
{
    size_t half = (count + 1) / 2;

    switch (order % 4) {
    case 0:
        return step;
    case 1:
        return count - 1 - step;
    case 2: /* every second one, then those between */
        return step < half ? 2 * step : 2 * (step - half) + 1;
    default: /* from both ends */
        return step % 2 == 0 ? step / 2 : count - 1 - step / 2;
    }
}

void player_burst(const struct fuzz_op *op)
{
    size_t bytes = player_burst_bytes(op), wanted = player_burst_count(op, &player.burst_left), count = 0;

    errno = PLAYER_ERRNO;
    while (count < wanted && (blocks[count] = heapster_malloc(bytes)) != NULL) {
        if ((uintptr_t)blocks[count] % 16 != 0)
            fuzz_fail("%p, of many, is misaligned", (void *)blocks[count]);
        player_expect_filled(blocks[count], bytes);
        write_ends(blocks[count], bytes, count);
        count++;
    }
    if (count < wanted)
        player_refused(bytes, 16, 0);
    errno = PLAYER_ERRNO;
    for (size_t step = 0; step < count; step++) {
        size_t at = place_in_order(op->extra, step, count);

        if (!ends_hold(blocks[at], bytes, at))
            fuzz_fail("%p, %zu bytes, one of %zu, lost its content", (void *)blocks[at], bytes, count);
        heapster_free(blocks[at]);
    }
    player_expect_errno(false);
}
