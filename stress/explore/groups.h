/*
 * groups: many blocks of one size, which one operation allocates and another one frees: what is done with whole stacks
 * of them, and what is only begun beyond so many.
 *
 * Oracle: each block is aligned, long enough and apart from every other one, and holds at its end what was written to
 * it; no other call but one that was made to fail hands out none.
 */
#ifndef EXPLORE_GROUPS_H
#define EXPLORE_GROUPS_H

#include <stddef.h>

/* Groups that a program has; blocks that a group has at the most, of which none is shorter than 16 bytes. */
enum { GROUPS = 4, GROUP_BLOCKS_MOST = 512 };

/* Before a program's set-up; after it; before each execution. */
void groups_begin(void);
void groups_checkpoint(void);
void groups_rewind(void);

/* Operations of the current thread. What is allocated is handed to `expect_apart`, too, which ends the execution where
 * that overlaps a block that lives and is of no group. */
typedef void groups_expect(const char *payload, size_t bytes);
void groups_allocate(unsigned group, size_t bytes, size_t count, groups_expect *expect_apart);
void groups_free(unsigned group);

/* How many blocks live; those that may be there beside them, of calls in which their thread has vanished, are added. */
size_t groups_count(size_t *unknown);
void groups_expect_content(void);
/* The block, of no group or none of it yet, overlaps none of theirs. */
groups_expect groups_expect_apart;
void groups_free_all(void);

#endif
