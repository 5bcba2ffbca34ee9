/*
 * tables: memory for what the explorer keeps by address. All of it is zeroed and stays for good, and most is never
 * touched. The process ends where there is none.
 */
#ifndef EXPLORE_TABLES_H
#define EXPLORE_TABLES_H

#include <stddef.h>

void *tables_map(size_t bytes);

/* Of which near neighbours are touched, in huge pages where the kernel has them: with others nearly each access would
 * miss the processor's table of pages. At the given address, unless that is NULL. */
void *tables_map_huge(void *at, size_t bytes);

#endif
