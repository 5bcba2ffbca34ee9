/* Fork: a child with a usable heap, whatever the other threads were doing.
 *
 * The moves are those of blocks.inc, what the child does is in child.inc; both cite the functions they model. Here:
 *
 *     prepare, release_all    prepare, visit_all, release_all                             src/fork.c
 *     forker                  in_parent, in_child, then hs_arena_release                  src/fork.c, arena.c
 *     flusher                 flush and hs_arena_give_batch of one block, hs_depot_put,
 *                             hs_arena_take_batch of a run, hs_run_cut,
 *                             hs_cache_sort_mail                                          src/cache.c, arena_batch.c,
 *                                                                                         depot.c, cache_remote.c
 *     freer                   hs_arena_release, by a thread without a cache               src/arena.c
 *     trimmer                 hs_cache_empty_idle, give_back, hs_depot_empty, by a
 *                             thread without a cache                                      src/cache_life.c, depot.c
 *
 * Memory is sequentially consistent here, and fork copies it at one moment. `gone` stops all threads but one: from then
 * on the model is the child, which is alone; where it is not set, the same state is the parent's.
 *
 * Shows, for a fork at any moment and for both processes: locks are taken upward, there is no deadlock, in the child
 * every lock is free; the child's blocks tile, no two neighbours are free, tags and lists agree (B1, B3 to B6, F1, F3);
 * what a cache, the depot or the inbox holds is CACHED or SENT, and what is CACHED or SENT is there (C1, C2); the
 * inbox's account is exact (C5); nothing is BUSY and no RUN is nobody's; used_bytes is exact (A5) and nothing in flight
 * (A4); what the program held, and nothing else, is USED (`programs`), also after the surviving thread has freed its
 * block. The parent's heap is the same at rest.
 *
 * Left out: all locks of layers that these threads do not enter (first call, large blocks, region map, break, pools),
 * the other arenas and outboxes for them, handlers of other libraries that run while all locks are held, libc's own
 * lock. What was FREEING without a claim stays so in a child where nothing else was lost: allowed here, as in fork.c.
 *
 * Bounds: 7 cells, one arena, the forking thread with one block in its bin, and
 *
 * -DSCENARIO=...  CACHES  a thread with a cache flushes, takes a run and cuts it, fills the depot, takes the inbox;
 *                         another without a cache frees
 *                 TRIM    no other thread has a cache; one trims, another frees; the forking thread has a chain pending
 *
 * An inbox that was taken by a thread without a cache is known to nobody else: give_back (src/cache_life.c) takes it and
 * gives it back while it holds `emptying`, as is done with the depot. CHAIN_IN_HAND leaves that lock out.
 *
 * Each of these breaks one thing, and is found: CHAIN_IN_HAND LISTS_LEFT_OUT EMPTYING_LEFT_OUT DEPOT_LEFT_OUT DOWNWARD
 * CACHED_NOT_SWEPT OWN_NOT_SEEN IDLE_KEPT IN_HAND_FORGOTTEN CLAIMS_FORGOTTEN RUN_WHOLE NOT_RECOUNTED.
 */
#define CELLS 7

/* The heap's lock and `emptying` before the arena's, the depot's behind its lists. */
#define HEAP 0
#define EMPTYING 1
#define ARENA 2
#define DEPOT 7
#define RANKS 8
#include "blocks.inc"

#define CACHES 1
#define TRIM 2

#define BIT(b) (1 << (b))
bool gone;      /* all threads but the one that forked */
byte programs;  /* blocks that the program holds; a bit for each cell that one begins at, as all sets here */
byte own_bin, own_pending; /* the forking thread's cache */
byte other_bin;            /* the flusher's */
bool other_has_cache;
byte idle_bin; /* an idle cache */
bool idle_is_in_hand;
byte inbox, depot;
short inbox_blocks;
byte run_end, run_begin = CELLS; /* the flusher's run */

/* A block goes back to the arena: from CACHED, or from a program. */
inline give(b, n)
{
    freed = n;
    state[b] = FREEING;
    publish(b, freed)
}

#if SCENARIO == CACHES
proctype flusher() provided (!gone)
{
    THREAD_LOCALS;
    byte block, freed;

    /* flush: the block is nowhere but in this thread's hands, CACHED */
    other_bin = other_bin & ~BIT(1);
    block = 1;
    give(block, 1);
    /* hs_depot_put */
    other_bin = other_bin & ~BIT(5);
    lock(DEPOT);
    depot = depot | BIT(5);
    unlock(DEPOT);
    /* hs_arena_take_batch: all of a free block of two cells or more becomes a run */
    block = CELLS;
    list = FIRST_LIST + 1;
    do
    :: list > LAST_LIST || block != CELLS -> break
    :: else ->
        lock(list);
        if
        :: on[0] == list -> block = 0
        :: on[1] == list -> block = 1
        :: on[2] == list -> block = 2
        :: else
        fi;
        if
        :: block != CELLS ->
            take_off(block, list);
            atomic {
                run_end = block + size[block];
                state[block] = RUN;
                used_cells = used_cells + size[block];
                flight--
            }
        :: else
        fi;
        unlock(list);
        list++
    od;
    if
    :: block != CELLS ->
        run_begin = block;
        /* hs_run_cut: the tag, then the end */
        size[run_end - 1] = 1;
        state[run_end - 1] = USED;
        left[run_end - 1] = 0;
        atomic {
            programs = programs | BIT(run_end - 1);
            run_end = run_end - 1
        }
    :: else
    fi;
    /* hs_cache_sort_mail: the chain is this thread's, then SENT becomes CACHED, then the account, then the bin */
    atomic {
        hint = inbox;
        inbox = 0
    }
    if
    :: hint != 0 ->
        state[4] = CACHED;
        inbox_blocks--;
        other_bin = other_bin | BIT(4);
        hint = 0
    :: else
    fi
}
#endif

proctype freer(byte block) provided (!gone)
{
    THREAD_LOCALS;
    byte freed;

    atomic {
        programs = programs & ~BIT(block);
        state[block] = FREEING
    }
    freed = 1;
    publish(block, freed)
}

#if SCENARIO == TRIM

/* CHAIN_IN_HAND: see above. */
#ifdef CHAIN_IN_HAND
#define LOCK_TO_GIVE skip
#define UNLOCK_GIVEN skip
#else
#define LOCK_TO_GIVE lock(EMPTYING)
#define UNLOCK_GIVEN unlock(EMPTYING)
#endif

proctype trimmer() provided (!gone)
{
    THREAD_LOCALS;
    byte block, freed, turn;

    do
    :: turn < 3 ->
        block = CELLS;
        if
        :: turn == 0 ->
            /* take_full_idle, hs_cache_empty_all */
            lock(HEAP);
            idle_is_in_hand = true;
            unlock(HEAP);
            idle_bin = 0;
            block = 1
        :: turn == 1 ->
            /* give_back: hs_cache_take_inbox, hs_cache_give_chain */
            LOCK_TO_GIVE;
            atomic {
                block = (inbox != 0 -> 3 : CELLS);
                inbox = 0
            }
            if
            :: block != CELLS ->
                state[block] = CACHED;
                inbox_blocks--
            :: else
            fi
        :: turn == 2 ->
            /* hs_depot_empty */
            lock(EMPTYING);
            lock(DEPOT);
            block = (depot != 0 -> 4 : CELLS);
            depot = 0;
            unlock(DEPOT)
        fi;
        if
        :: block != CELLS -> give(block, 1)
        :: else
        fi;
        if
        :: turn == 0 ->
            lock(HEAP);
            idle_is_in_hand = false;
            unlock(HEAP)
        :: turn == 1 -> UNLOCK_GIVEN
        :: turn == 2 -> unlock(EMPTYING)
        fi;
        turn++
    :: else -> break
    od
}
#endif

/* Of the cells that can be in a chain. */
#define COUNT(set) ((((set) >> 2) & 1) + (((set) >> 3) & 1) + (((set) >> 4) & 1))

/* At rest. `swept`: not a child in which a free that had not begun may have been left. */
inline check_at_rest(swept)
{
    atomic {
        at = 0;
        sum = 0;
        tiles = 0;
        before = USED;
        do
        :: at < CELLS ->
            seen = state[at];
            extent = (seen == RUN -> run_end - at : size[at]);
            assert(extent > 0 && at + extent <= CELLS);                            /* B1 */
            assert(left[at] == (IS_FREE(before) -> RANK_OF(before) : 0));          /* B4 */
            assert(!(IS_FREE(before) && IS_FREE(seen)));                           /* B6 */
            assert(!IS_FREE(seen) || seen == FREE + LIST_FOR(extent));             /* F1 */
            assert(!IS_FREE(seen) || foot[at + extent] == extent);                 /* B5 */
            assert(on[at] == (IS_FREE(seen) -> RANK_OF(seen) : 0));                /* F3 */
            assert(IS_FREE(seen) || seen == USED || seen == CACHED || seen == SENT ||
                (seen == RUN && at == run_begin && !gone) || (seen == FREEING && !(swept))); /* A3, B3, C3 */
            assert((seen == USED) == ((programs >> at) & 1));
            assert((seen == CACHED) == (((own_bin | other_bin | idle_bin | depot) >> at) & 1)); /* C1, C2 */
            assert((seen == SENT) == (((inbox | own_pending) >> at) & 1));                      /* C1, C2 */
            tiles = tiles | BIT(at);
            sum = sum + (IS_FREE(seen) -> 0 : extent);
            before = seen;
            at = at + extent
        :: else -> break
        od;
        assert(((programs | own_bin | other_bin | idle_bin | depot | inbox | own_pending) & ~tiles) == 0);
        assert(flight == 0);                                                     /* A4 */
        assert(sum == used_cells);                                               /* A5 */
        assert(inbox_blocks == COUNT(inbox | own_pending));                      /* C5 */
        at = 0;
        sum = 0;
        tiles = 0;
        before = 0;
        seen = 0;
        extent = 0
    }
}

/* LISTS_LEFT_OUT, EMPTYING_LEFT_OUT, DEPOT_LEFT_OUT: prepare does not take them.
 * DOWNWARD: it takes the lists from the last to the first. */
#ifdef LISTS_LEFT_OUT
#define TAKES_LISTS false
#else
#define TAKES_LISTS true
#endif
#ifdef EMPTYING_LEFT_OUT
#define TAKES_EMPTYING false
#else
#define TAKES_EMPTYING true
#endif
#ifdef DEPOT_LEFT_OUT
#define TAKES_DEPOT false
#else
#define TAKES_DEPOT true
#endif
#define TAKES(l)                                                                                                       \
    ((l) == EMPTYING -> TAKES_EMPTYING : ((l) == DEPOT -> TAKES_DEPOT : ((l) < FIRST_LIST || TAKES_LISTS)))
#ifdef DOWNWARD
#define IN_TURN(l) ((l) >= FIRST_LIST && (l) <= LAST_LIST -> FIRST_LIST + LAST_LIST - (l) : (l))
#else
#define IN_TURN(l) (l)
#endif

inline prepare()
{
    rank = 0;
    do
    :: rank < RANKS ->
        other = IN_TURN(rank);
        if
        :: TAKES(other) -> lock(other)
        :: else
        fi;
        rank++
    :: else -> break
    od;
    other = 0
}

inline release_all()
{
    do
    :: rank > 0 ->
        rank--;
        if
        :: TAKES(rank) -> unlock(rank)
        :: else
        fi
    :: else -> break
    od
}

#include "child.inc"

proctype forker()
{
    THREAD_LOCALS;
    byte block, freed, turn, at, before, seen, extent, sum, tiles;
    bool orphans;

    prepare();
    if
    :: true ->
        atomic {
            gone = true;
            release_all();
            do
            :: rank < RANKS -> assert(!locked[rank]); rank++
            :: else -> break
            od;
            look_for_orphans();
            take_over_orphans();
            check_at_rest(orphans)
        }
        goto end_of_child
    :: true -> release_all()
    fi;
    atomic {
        programs = programs & ~BIT(0);
        state[0] = FREEING
    }
    freed = 1;
    publish(block, freed);
    goto parent;
end_of_child:
    /* Nobody else moves any more: no deadlock. */
    do
    :: gone = true
    od;
parent:
    skip
}

init
{
    byte cell, at, before, seen, extent, sum, tiles;

    atomic {
        state[CELLS] = END;
        lay(0, 1, USED, 0);
#if SCENARIO == CACHES
        lay(1, 1, CACHED, 0);
        lay(2, 1, USED, 0);
        lay(3, 1, FREE + LIST_OF_1, 0);
        lay(4, 1, SENT, 0);
        lay(5, 1, CACHED, 0);
        lay(6, 1, CACHED, 0);
        programs = BIT(0) | BIT(2);
        other_has_cache = true;
        other_bin = BIT(1) | BIT(5);
        own_bin = BIT(6);
        inbox = BIT(4);
        inbox_blocks = 1;
        run forker();
        run flusher();
        run freer(2);
#elif SCENARIO == TRIM
        lay(1, 1, CACHED, 0);
        lay(2, 1, SENT, 0);
        lay(3, 1, SENT, 0);
        lay(4, 1, CACHED, 0);
        lay(5, 1, USED, 0);
        lay(6, 1, CACHED, 0);
        programs = BIT(0) | BIT(5);
        own_bin = BIT(6);
        idle_bin = BIT(1);
        own_pending = BIT(2);
        inbox = BIT(3);
        inbox_blocks = 2;
        depot = BIT(4);
        run forker();
        run freer(5);
        run trimmer();
#endif
    }
    _nr_pr == 1;
    check_at_rest(true)
}
