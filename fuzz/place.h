/*
 * place: where the allocator's mappings go, so that an input meets the same addresses in every process and after any
 * other input. What follows from addresses is how many calls it takes to align a mapping, whether one can grow where it
 * stands, and whether the region map needs another leaf; and by their ordinal calls are made to fail.
 *
 *     | 4 GiB: between programs | 252 GiB: a program's mappings, one behind the other |
 *
 * The area is address space that neither the kernel nor anybody else uses of themselves: far below what the kernel
 * hands out. Where something is there all the same, the kernel chooses. The allocator's own records lie elsewhere. The
 * area's leaves are there from the start, and so are one to spare and those that the break may come to.
 */
#ifndef FUZZ_PLACE_H
#define FUZZ_PLACE_H

#include <stdbool.h>

/* Once, before anything is mapped that is to lie in the area. */
void place_start(void);
/* The next mapping goes to the beginning of a part, where nothing is mapped that anybody knows of. */
void place_between_programs(void);
void place_program(void);
bool place_is_a_programs(const void *address);

/* What is still mapped in the program's part goes. False if there was anything: by rights only the ends that were cut
 * off an aligned mapping while munmap was made to fail. */
bool place_leave_program(void);

#endif
