/*
 * world: the memory in which the explored allocator lives, and its way back to where an execution began.
 *
 * Three spans: the break and the mappings, at addresses of their own that are the same in every process, so that a
 * token replays anywhere; and the variables of the explored library. An execution begins where world_checkpoint was
 * last called: world_rewind copies back the pages that were written since, which plain.c and memory.c tell of
 * (world_note_write); in builds whose plain accesses nobody tells of, all pages in use.
 *
 * Offsets name addresses where the address itself differs from process to process (world_name).
 */
#ifndef EXPLORE_WORLD_H
#define EXPLORE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "build.h"
#include "compiler.h"

#define WORLD_PAGE_BYTES ((size_t)4096)

/* Reserves the spans and finds the library's variables, whose first state it keeps. Ends the process where the
 * addresses are taken. */
void world_init(void);

/* Everything as it was at the start of the process: the library before its first call, no memory. */
void world_reset(void);

void world_checkpoint(void);
void world_rewind(void);

/* Where the explored library's variables lie in this process; and, in builds for coverage, those of them that the
 * compiler counts with, which count on from execution to execution. */
struct world_range {
    uintptr_t base;
    size_t bytes;
};
extern struct world_range world_library, world_counters;

/* Break and mappings, and what lies between them, which the process never has. */
#define WORLD_BASE ((uintptr_t)EXPLORE_WORLD_BASE)
#define WORLD_BREAK_BYTES ((size_t)32 << 20)
#define WORLD_GAP_BYTES ((size_t)32 << 20)
#define WORLD_MAPS_BYTES ((size_t)32 << 20)
#define WORLD_MAPS_BASE (WORLD_BASE + WORLD_BREAK_BYTES + WORLD_GAP_BYTES)
#define WORLD_MEMORY_BYTES (WORLD_BREAK_BYTES + WORLD_GAP_BYTES + WORLD_MAPS_BYTES)
#define WORLD_LIBRARY_BYTES_MOST ((size_t)2 << 20)

/* True of an address that an execution shares: in one of the spans. Asked of every access: below the base of what is
 * asked about, the difference wraps around. */
static inline bool world_holds(const volatile void *address)
{
    return hs_wrap_subtract((uintptr_t)address, WORLD_BASE) < WORLD_BREAK_BYTES ||
           hs_wrap_subtract((uintptr_t)address, world_library.base) < world_library.bytes ||
           hs_wrap_subtract((uintptr_t)address, WORLD_MAPS_BASE) < WORLD_MAPS_BYTES;
}

static inline bool world_counts_at(const volatile void *address)
{
    return hs_wrap_subtract((uintptr_t)address, world_counters.base) < world_counters.bytes;
}

/* Of an address that the process has now: a variable, or in its break or a mapping. */
bool world_has_memory(const volatile void *address);
static inline bool world_is_mapped(const volatile void *address)
{
    return hs_wrap_subtract((uintptr_t)address, world_library.base) < world_library.bytes || world_has_memory(address);
}

/* The same number in every process for the same address. */
uint64_t world_name(const volatile void *address);

/* The address that has the name in this process; NULL: none has. */
const volatile void *world_address(uint64_t name);

/* Numbers the 8 bytes around an address of the world, from 0 up to WORLD_CELLS. */
#define WORLD_CELLS ((WORLD_MEMORY_BYTES + WORLD_LIBRARY_BYTES_MOST) / 8)
static inline size_t world_cell(const volatile void *address)
{
    uintptr_t offset = hs_wrap_subtract((uintptr_t)address, WORLD_BASE);

    if (offset < WORLD_MEMORY_BYTES)
        return offset / 8;
    return (WORLD_MEMORY_BYTES + hs_wrap_subtract((uintptr_t)address, world_library.base)) / 8;
}

/* A page that is known as written: most writes go to the page that the one before went to. */
extern uintptr_t world_last_written;
void world_note_pages(const volatile void *address, size_t bytes);
static inline void world_note_write(const volatile void *address, size_t bytes)
{
    uintptr_t offset = (uintptr_t)address % WORLD_PAGE_BYTES;

    if ((uintptr_t)address - offset != world_last_written || bytes > WORLD_PAGE_BYTES - offset)
        world_note_pages(address, bytes);
}

/* The operating system of the explored process. Pages are zeroed; NULL where there are no more. */
char *world_break_move(ptrdiff_t bytes); /* the old break */
char *world_break_now(void);
char *world_map(size_t bytes, size_t alignment, size_t offset); /* base + offset is aligned */
bool world_unmap(char *base, size_t bytes);
char *world_remap(char *base, size_t old_bytes, size_t new_bytes, bool may_move);
void world_clear(char *base, size_t bytes); /* the pages are dropped, and zero again */

/* A clock that goes on when it is told to. */
uint64_t world_now_ms(void);
void world_pass_time(uint64_t ms);

#endif
