/*
 * pages: memory for the kit itself, straight from mmap, so that the allocator under test never holds what its oracle
 * knows.
 */
#ifndef KIT_PAGES_H
#define KIT_PAGES_H

#include <stddef.h>

/* Zeroed memory that costs nothing until it is touched. Ends the process with status 1 where there is none. */
void *kit_pages_map(size_t bytes);
/* The same, shared with the child processes that are forked later. */
void *kit_pages_map_shared(size_t bytes);
void kit_pages_unmap(void *base, size_t bytes);

/* Sets memory aside that kit_pages_map hands out where the OS refuses, for scenarios that use up what the process may
 * have; until kit_pages_reserve_end. Pieces in use then live on until they are unmapped. One reserve at a time. */
void kit_pages_reserve(size_t bytes);
void kit_pages_reserve_end(void);

/* What the process has in memory now, in bytes; 0 where the kernel does not say. */
size_t kit_pages_resident(void);

/* What it has of address space, with the kit's own or without. */
size_t kit_pages_address_space(void);
size_t kit_pages_address_space_of_others(void);

#endif
