/*
 * visible: what a sanitizer or Valgrind is told of the program's blocks, so that it sees into this heap as it sees into
 * libc's.
 *
 * The idea. A tool keeps, beside the memory, a record of what a program may do with each byte. All it needs to know of
 * a heap are a few moments: memory became the heap's, a block was handed out, came back, changed its size. These are
 * told here, at the borders of the allocator, and nowhere within: no layer below knows whether somebody looks.
 *
 *     region     tag | payload .............. padding | tag | payload, freed ................... | tag
 *     program    --- | bytes asked for ###### ------- | --- | ---------------------------------- | ---
 *                      # open, new: uninitialised       - closed: an access is reported
 *
 *     hs_memory_close       a region is added, a large mapping made         arena_grow.c, large.c
 *     hs_visible_allocated  a block is handed out                          api.c, fastpath.h
 *     hs_visible_resized    it stays where it is and changes its size      api.c
 *     hs_visible_freed      it comes back, or ends with its arena          cache, api.c, arena_trim.c, large.c
 *     hs_memory_open        memory leaves the heap                         os.c, arena_grow.c
 *
 * Ownership. Each is called by who owns the block alone, before another thread can get at it: freed before the state
 * changes that publishes it, allocated after the one that takes it. So no two threads speak of one block at a time, and
 * no lock is needed.
 *
 * No race is hidden. Nothing here orders two threads: the calls are no synchronisation to ThreadSanitizer, helgrind or
 * drd. They can only add accesses to what these compare (free counts as a write), or make them forget what happened in
 * a block that the program has freed in the meantime.
 *
 * The bytes asked for. No tag has room for them, so the tool is asked: they end where the open bytes do.
 * heapster_usable_size returns these, as the sanitizers' own malloc_usable_size does. The other way, to open the
 * padding for who asks, would cost every program that counts its memory by usable sizes all reports of overflows.
 *
 * What is different in such a build: a large block that grows is copied where mremap would move it, where the tool does
 * not follow it to its new place (HS_TOOL_FOLLOWS_MREMAP).
 *
 * In a release build all of it is nothing.
 */
#ifndef HS_VISIBLE_H
#define HS_VISIBLE_H

#include "visible_memory.h"

#if HS_VISIBLE
/* A block of `bytes` bytes was handed out, and reads as zero or soon will. NULL is none. Returns it. */
void *hs_visible_allocated(void *payload, size_t bytes, bool zeroed);

/* The block is not the program's any more. */
void hs_visible_freed(void *payload);

/* The block, of `old_bytes` bytes until now, has `bytes` bytes. */
void hs_visible_resized(void *payload, size_t old_bytes, size_t bytes);

/* The bytes of a live block that the program asked for, as far as the tool knows; `unseen_bytes` where none looks. */
size_t hs_visible_bytes(const void *payload, size_t unseen_bytes);
#endif

#endif
