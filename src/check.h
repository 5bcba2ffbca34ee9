/*
 * check: the walker, and the numbered invariants it verifies.
 *
 * It holds an arena still under all of its locks and walks every region from its first block to its END tag, then every
 * list and every tree, then the large mappings. It believes nothing that it has not checked: a link or a size is
 * followed only after it was found to lead to memory of the arena, so a broken heap ends in a report and not in a
 * crash.
 *
 *     B1 to B8  blocks and tags          block.h
 *     F1 to F6  free lists               freelist.h
 *     A1 to A5  arenas (A3 to A5 at rest) arena.h
 *     R1        regions and their map    region.h (R2, R3 and R4 are seen as L2, A2 and L4)
 *     L1 to L4  large mappings           large.h
 *     C1 to C5  thread caches, at rest   cache.h
 *
 * What cannot be seen from outside has no number here: O1, O2, P1, P2, R5, R6, H1, H2.
 */
#ifndef HS_CHECK_H
#define HS_CHECK_H

#include "heapster.h"

/* As heapster_check. */
size_t hs_check_heap(enum heapster_check_mode mode, heapster_report *report, void *context);

/* Option check=N: counts slow paths and walks the heap at each N-th; a broken invariant is reported as a misuse. */
void hs_check_sometimes(void);

#endif
