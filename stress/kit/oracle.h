/*
 * oracle: every call of the allocator under test goes through here, and is judged.
 *
 *     at birth     a pointer, aligned; as many usable bytes as asked for; no live block below it (shadow.h); zeroed, if
 *                  by calloc; errno as it was. Then the block is filled with its pattern.
 *     in life      kit_inspect: content (of a large block head, tail and samples), usable size as before
 *     at realloc   all content before; the kept prefix after; all of a birth but zeroing
 *     at death     all content, and the range still its own
 *
 * What fails is reported by kit_violation, and does not return.
 */
#ifndef KIT_ORACLE_H
#define KIT_ORACLE_H

#include "run.h"

/* Fills the empty record with a new block, by KIT_MALLOC, KIT_CALLOC, KIT_REALLOC (of NULL), KIT_ALIGNED_ALLOC,
 * KIT_POSIX_MEMALIGN or KIT_MEMALIGN; `alignment` is 0 for the first three. It stays empty where the allocator may
 * refuse and did. */
void kit_allocate(struct kit_thread *thread, struct kit_block *block, const struct kit_allocator *allocator,
                  enum kit_deed how, size_t alignment, size_t bytes);

/* To `bytes`, which is not 0. */
void kit_resize(struct kit_thread *thread, struct kit_block *block, size_t bytes);

/* By KIT_FREE, KIT_FREE_SIZED (by the name that suits how the block was made) or KIT_REALLOC_TO_ZERO. */
void kit_release(struct kit_thread *thread, struct kit_block *block, enum kit_deed how);

void kit_inspect(struct kit_thread *thread, struct kit_block *block);

/* The last look at a block that goes with its arena. */
void kit_forget(struct kit_thread *thread, struct kit_block *block);

/* True, and counted, where the run is to go on after such a violation. */
bool kit_is_tolerated(enum kit_tolerance what);

/* While all workers wait: the allocator's walk finds exactly the blocks of the oracle. */
void kit_compare_with_walk(struct kit_run *run);

#endif
