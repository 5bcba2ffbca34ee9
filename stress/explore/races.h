/*
 * races: of each byte of the world, who has used it how, and whether that was in order (memory.h).
 */
#ifndef EXPLORE_RACES_H
#define EXPLORE_RACES_H

#include <stddef.h>
#include <stdint.h>

enum access { ACCESS_PLAIN_WRITE, ACCESS_PLAIN_READ, ACCESS_ATOMIC_WRITE, ACCESS_ATOMIC_READ, ACCESSES };

void races_init(void);

/* Before each execution. */
void races_forget(void);

/* An access of the current thread: a race with an earlier one ends the execution. */
void races_note(const volatile void *address, size_t bytes, enum access access, const void *place);

/* The memory is given back, or its content is, by the current thread: a race with each access that is not ordered
 * before that, as if all of it were written. What comes after finds it gone, or as new. */
void races_expect_unused(const volatile void *address, size_t bytes, const void *place);

/* What lies there is new: nobody has used it. */
void races_make_new(const volatile void *address, size_t bytes);

/* What memory.c keeps of the 8 bytes around an address; 0 where nobody has used them. */
struct races_locations {
    uint32_t first; /* of a list of locations */
    uint8_t marks;  /* those that begin at a byte, a bit each */
};

struct races_locations *races_locations(const volatile void *address);

#endif
