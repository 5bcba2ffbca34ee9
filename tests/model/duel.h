/*
 * duel: one random sequence of calls, made to a first-class arena and to the model at the same time.
 *
 * The arena lives in a caller's buffer, so both see the same addresses. After every call the two must name the same
 * place, or both none; now and then all their blocks must be the same, and the heap must pass its own check. The
 * program side is played in full: payloads are filled, and realloc must keep what was there.
 */
#ifndef DUEL_H
#define DUEL_H

#include "model.h"
#include "rng.h"

/* What a sequence is made of. */
struct mix {
    const char *name;
    size_t buffer_bytes;
    size_t least_bytes, most_bytes; /* of payloads; evenly spread over the doublings between */
    unsigned palette;               /* 0, or how many different sizes there are */
    unsigned aligned_share;         /* of allocations, out of 100 */
    unsigned resize_share;          /* of all calls, out of 100 */
    unsigned burst_share;           /* of all calls, out of 1000: free many at once */
    unsigned switch_share;          /* of all calls, out of 1000: another strategy */
};

extern const struct mix duel_mixes[];
extern const size_t duel_mix_count;

/* The mix of this name; NULL if there is none. */
const struct mix *duel_mix(const char *name);

struct duel_live {
    char *payload;
    size_t payload_bytes;
    unsigned char fill;
};

enum { DUEL_LIVE_MAX = 4096, DUEL_PALETTE_MAX = 16 };

struct duel {
    const struct mix *mix;
    uint64_t seed;
    char *base; /* offsets of the model count from here */
    heapster_arena *arena;
    struct model model;
    struct kit_rng rng;
    size_t palette[DUEL_PALETTE_MAX];
    unsigned appetite; /* how many out of 100 calls allocate */
    uint64_t operation;
    uint64_t refusals;  /* allocations that both refused */
    size_t most_blocks; /* that there were at any time */
    size_t live_count;
    struct duel_live live[DUEL_LIVE_MAX];
    char complaint[256]; /* where the two first differed; empty as long as they agree */
};

/* The buffer begins at `base`, which is aligned to DUEL_BASE_ALIGNMENT, and has the bytes that the mix asks for. */
#define DUEL_BASE_ALIGNMENT ((size_t)1 << 20)
void duel_start(struct duel *duel, const struct mix *mix, char *base, enum heapster_strategy strategy, uint64_t seed,
                enum model_fault fault);

/* Each returns false where the two differed, now or before. */
bool duel_run(struct duel *duel, size_t operations);
/* Frees what is left in random order: one free block must remain, the one that was there at the start. */
bool duel_empty(struct duel *duel);

void duel_stop(struct duel *duel);

#endif
