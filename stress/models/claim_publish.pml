/* Claim and publish: who owns which block, while threads free, allocate, resize and give back batches side by side.
 *
 * The moves are those of blocks.inc, which says what is one step and what is left out; it and the other parts (.inc)
 * cite the functions they model. Here:
 *
 *     freer      hs_arena_release                                               src/arena.c
 *     walker     hs_arena_lock_all, and what check_arena looks at under it      src/arena.c, check.c
 *
 * Shows, for the scenarios below and every interleaving of their steps:
 *
 *     no block is lost                 in the end the blocks tile the region, and what should be free is one block
 *     none is handed out twice         `holder`
 *     B1, B3, B4, B5, B6, F1, F3, A3   by the walker, which may come at any moment (-DWALKER), and in the end
 *     A4, A5                           in the end
 *     lock order upward                at every lock
 *     no deadlock                      invalid end states
 *     no endless retreat               non-progress cycles, the scheduler need not be fair: no thread begins anything
 *                                      anew, so whatever goes on for ever is a cycle without progress
 *     no false "no memory"             SCARCE: there is memory for the request at any moment, in flight or free
 *
 * Bounds: 5 cells, 3 threads of up to three operations each, and the walker once; with the walker RESIZE has two
 * threads (-DTWO_THREADS). Left out besides: that the wait for claims ends, which takes a fair scheduler and fair
 * locks, and `draining`, which is for that alone.
 *
 * -DSCENARIO=...  FREE_FREE  three threads free five neighbours
 *                 ALLOCATE   one allocates from the middle of a free block, others free on both sides
 *                 SCARCE     two allocate, one frees; the arena cannot grow
 *                 BATCH      one gives back a batch around a free block, one frees beside it, one allocates
 *                 RESIZE     one grows in place, shrinks and frees, one frees beside it, one allocates
 *                 CUT        one cuts blocks off a run and ends it, another frees beside it
 *                 EDGE       one extends the region at its END tag, one moves that down, one frees before it
 *
 * Each of these breaks one thing, and is found; it is explained where it stands:
 *
 *     blocks.inc       BOUNDARY_UNLOCKED NO_RECHECK TWO_LOOKS NO_SECOND_LOOK LOOK_UNLOCKED BOTH_RETREAT
 *                      NEITHER_RETREATS
 *     allocator.inc    SETTLED_EARLY NO_WAIT
 *     batcher.inc      JOIN_UNLOCKED LOOK_AT_FIRST_ONLY STALE_PIECE
 *     resizer.inc      GROW_UNCHECKED
 *     run_owner.inc    CUT_END_FIRST
 *     edge.inc         END_TAG_CLEARED END_UNLOCKED TAIL_UNCLAIMED
 *
 * A cut without the list's lock is not among them: its stores are in such an order that whoever walks at the same time
 * finds tiles at each step, and only sums could tell.
 */
#define FREE_FREE 1
#define ALLOCATE 2
#define SCARCE 3
#define BATCH 4
#define RESIZE 5
#define CUT 6
#define EDGE 7

#define CELLS 5
#if SCENARIO == EDGE
byte end_at = 4; /* the region's, under the arena's lock */
#define END_AT end_at
#endif
#include "blocks.inc"

byte run_end; /* the first word of the run */

inline start_free(b, n)
{
    hand_back(b, n, _pid);
    state[b] = FREEING
}

proctype freer(byte first; byte second)
{
    THREAD_LOCALS;
    byte freed;

    do
    :: first == CELLS -> break
    :: else ->
        freed = size[first];
        start_free(first, freed);
        publish(first, freed);
        first = second;
        second = CELLS
    od
}

#if SCENARIO == ALLOCATE || SCENARIO == SCARCE || SCENARIO == BATCH || SCENARIO == RESIZE
#include "allocator.inc"
#endif
#if SCENARIO == BATCH
#include "batcher.inc"
#elif SCENARIO == RESIZE
#include "resizer.inc"
#elif SCENARIO == CUT
#include "run_owner.inc"
#elif SCENARIO == EDGE
#include "edge.inc"
#endif

/* One tile at `at`; `before` is the state of the one to its left. */
inline check_tile()
{
    atomic {
        seen = state[at];
        assert(seen != DEAD && seen != END); /* B3 */
        extent = (seen == RUN -> run_end : size[at]);
        assert(extent > 0 && at + extent <= END_AT);                           /* B1 */
        assert(left[at] == (IS_FREE(before) -> RANK_OF(before) : 0));          /* B4 */
        assert(!(IS_FREE(before) && IS_FREE(seen)));                           /* B6 */
        assert(!IS_FREE(seen) || seen == FREE + LIST_FOR(extent));             /* F1 */
        assert(!IS_FREE(seen) || foot[at + extent] == extent);                 /* B5 */
        assert(on[at] == (IS_FREE(seen) -> RANK_OF(seen) : 0));                /* F3 */
        assert(seen != BUSY || flight > 0);                                    /* A3 */
        before = seen;
        at = at + extent
    }
}

#ifdef WALKER
/* With all locks, at any moment. */
proctype walker()
{
    byte mine, rank, at, before, seen, extent;

    do
    :: rank <= LAST_LIST -> lock(rank); rank++
    :: else -> break
    od;
    before = USED;
    do
    :: at < END_AT -> check_tile()
    :: else -> break
    od;
    assert(state[END_AT] == END && left[END_AT] == (IS_FREE(before) -> RANK_OF(before) : 0));
    do
    :: rank > 0 -> rank--; unlock(rank)
    :: else -> break
    od
}
#endif

init
{
    byte cell, at, before, seen, extent;

    atomic {
        state[END_AT] = END;
#if SCENARIO == FREE_FREE
        lay(0, 1, USED, 1);
        lay(1, 1, USED, 2);
        lay(2, 1, USED, 3);
        lay(3, 1, USED, 1);
        lay(4, 1, USED, 2);
        run freer(0, 3);
        run freer(1, 4);
        run freer(2, CELLS);
#elif SCENARIO == ALLOCATE
        lay(0, 3, FREE + LIST_OF_3, 0);
        lay(3, 1, USED, 1);
        lay(4, 1, USED, 2);
        run freer(3, CELLS);
        run freer(4, CELLS);
        run allocator(1, 1, false);
#elif SCENARIO == SCARCE
        lay(0, 2, FREE + LIST_OF_2, 0);
        lay(2, 1, USED, 1);
        lay(3, 2, FREE + LIST_OF_2, 0);
        run freer(2, CELLS);
        run allocator(1, 0, false);
        run allocator(2, 0, true);
#elif SCENARIO == BATCH
        lay(0, 1, CACHED, 1);
        lay(1, 1, FREE + LIST_OF_1, 0);
        lay(2, 1, CACHED, 1);
        lay(3, 1, CACHED, 1);
        lay(4, 1, USED, 2);
        run batcher();
        run freer(4, CELLS);
        run allocator(1, 0, false);
#elif SCENARIO == RESIZE
        lay(0, 1, USED, 1);
        lay(1, 3, FREE + LIST_OF_3, 0);
        lay(4, 1, USED, 2);
        run resizer(0);
        run freer(4, CELLS);
#ifndef TWO_THREADS
        run allocator(1, 0, false);
#endif
#elif SCENARIO == CUT
        lay(0, 4, RUN, 1);
        run_end = 4;
        lay(4, 1, USED, 2);
        run run_owner();
        run freer(4, CELLS);
#elif SCENARIO == EDGE
        lay(0, 2, FREE + LIST_OF_2, 0);
        lay(2, 1, USED, 1);
        lay(3, 1, USED, 1);
        run freer(3, 2);
        run grower();
        run trimmer();
#endif
#ifdef WALKER
        run walker();
#endif
    }
    _nr_pr == 1;
    before = USED;
    do
    :: at < END_AT -> check_tile()
    :: else -> break
    od;
    assert(state[0] == FREE + LIST_FOR(END_AT) && size[0] == END_AT);
    assert(flight == 0 && used_cells == 0)
}
