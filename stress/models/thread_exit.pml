/* The life of thread caches: made, ended while others free into the arena's inbox, left idle with what they hold, taken
 * over by the next thread of the arena, emptied by somebody else, used again for another arena.
 *
 * Memory is sequentially consistent here.
 *
 *     here           in the code
 *     enter          enter, hs_heap_enter_arena_locked, take_cache, find_idle   src/cache_life.c, heap.c
 *     leave          leave, keep_idle                                           src/cache_life.c
 *     thread         what a thread does with its cache: hs_cache_pop, hs_cache_push, hs_cache_sort_mail, hs_cache_send,
 *                    refill, flush                                              src/cache.c, cache_remote.c
 *     other          hs_cache_empty_idle, take_full_idle                        src/cache_life.c
 *     empty_all      hs_cache_empty_all, hs_cache_empty_beside_bins             src/cache.c
 *     initialise     hs_cache_init                                              src/cache.c
 *
 * Sets of blocks are bits of a byte: a bin (one for all classes), an outbox (one: there are two arenas), what is
 * pending of a chain, an arena's inbox and its free memory. To take a block out of a cache's set and to put one in is
 * to read the set in one step and write it in another, as a stack of pointers is: two threads at one cache get in each
 * other's way. Inboxes and free memory are taken whole or changed in one step: inbox.pml and claim_publish.pml are
 * about that. The three lists of caches are a state for each cache, written under the heap's lock. A thread enters any
 * arena, as though more threads than these were there and made it the one that the fewest have.
 *
 * Shows: no block is lost or in two places (`at`, and a count in the end); a cache serves one thread at a time
 * (`user`); a thread's cache is of the arena that it entered, and so are the blocks in it; the number of threads of
 * each arena is right in the end; no deadlock.
 *
 * Left out: runs and depots (a run is one more thing that an idle cache holds; depots are under a lock of their own),
 * the age of idle caches, and what a thread does once it has no cache.
 *
 * Bounds: 2 arenas with 2 blocks and 1 block, 2 records of caches, 2 threads of two lives each, up to OPERATIONS
 * operations in each, a third that empties idle caches twice.
 *
 * Each of these breaks one thing, and is found: TAKEN_UNLOCKED EMPTIED_IN_PLACE SAID_EMPTY ANY_ARENA ALWAYS_INITIALISED
 * NEVER_INITIALISED PENDING_KEPT SENDS_WHEN_IDLE COUNT_KEPT.
 */
#ifndef OPERATIONS
#define OPERATIONS 2
#endif
#define LIVES 2
#define CACHES 2
#define NO_CACHE CACHES
#define BLOCKS 3
#define HOME(b) ((b) / 2)

#define UNMADE 0
#define LIVE 1
#define IDLE 2
#define IN_HAND 3
byte list_of[CACHES];
byte arena_of[CACHES];
bool is_empty[CACHES];
byte user[CACHES]; /* the thread that uses it now; 0: nobody may */

byte bin[CACHES], outbox[CACHES], pending[CACHES];
byte inbox[2], unused[2], threads_of[2];
byte held = 0; /* by the program */

bool heap_locked;

/* Where each block is. Whoever moves one says from where. */
#define IN_ARENA 1
#define HELD 2
#define IN_TRANSIT 3
#define IN_INBOX 4
#define IN_BIN(c) (8 + (c))
#define IN_OUTBOX(c) (16 + (c))
#define IN_PENDING(c) (24 + (c))
byte at[BLOCKS];

inline lock_heap()
{
    atomic { !heap_locked -> heap_locked = true }
}

inline unlock_heap()
{
    heap_locked = false
}

inline move(b, from, to)
{
    assert(at[b] == (from));
    at[b] = to
}

inline move_all(set, from, to)
{
    d_step {
        b = 0;
        do
        :: b < BLOCKS ->
            if
            :: (set) & (1 << b) ->
                assert(at[b] == (from));
                at[b] = to
            :: else
            fi;
            b++
        :: else -> break
        od;
        b = 0
    }
}

inline choose(b, set)
{
    if
    :: (set) & 1 -> b = 0
    :: (set) & 2 -> b = 1
    :: (set) & 4 -> b = 2
    :: (set) == 0 -> assert(false) /* somebody else has taken it */
    fi
}

/* Takes one block out of a set of the cache's, or puts it in. */
inline take_one(b, set, from)
{
    atomic {
        old = set;
        choose(b, old)
    }
    atomic {
        set = old & ~(1 << b);
        move(b, from, IN_TRANSIT);
        old = 0
    }
}

inline put_one(b, set, to)
{
    old = set;
    atomic {
        set = old | (1 << b);
        move(b, IN_TRANSIT, to);
        old = 0
    }
}

inline push_outbox(c)
{
    do
    :: outbox[c] == 0 -> break
    :: else ->
        take_one(block, outbox[c], IN_OUTBOX(c));
        atomic {
            assert(HOME(block) != arena_of[c]);
            inbox[HOME(block)] = inbox[HOME(block)] | (1 << block);
            move(block, IN_TRANSIT, IN_INBOX);
            block = 0
        }
    od
}

inline give_to_arena()
{
    atomic {
        unused[HOME(block)] = unused[HOME(block)] | (1 << block);
        move(block, IN_TRANSIT, IN_ARENA);
        block = 0
    }
}

/* PENDING_KEPT: the chain that the cache had begun to sort is forgotten. */
inline empty_all(c)
{
    push_outbox(c);
#ifndef PENDING_KEPT
    do
    :: pending[c] == 0 -> break
    :: else ->
        take_one(block, pending[c], IN_PENDING(c));
        give_to_arena()
    od;
#endif
    do
    :: bin[c] == 0 -> break
    :: else ->
        take_one(block, bin[c], IN_BIN(c));
        give_to_arena()
    od
}

inline initialise(c, a)
{
    bin[c] = 0;
    outbox[c] = 0;
    pending[c] = 0;
    arena_of[c] = a;
    is_empty[c] = false
}

/* TAKEN_UNLOCKED: a cache is taken without the heap's lock.
 * ANY_ARENA: an idle cache that holds something serves any arena.
 * ALWAYS_INITIALISED: so does the one of the arena, and loses what it holds.
 * NEVER_INITIALISED: an empty record stays of the arena that it was of. */
#ifdef TAKEN_UNLOCKED
#define LOCK_TO_TAKE skip
#define UNLOCK_TAKEN skip
#else
#define LOCK_TO_TAKE lock_heap()
#define UNLOCK_TAKEN unlock_heap()
#endif
#ifdef ANY_ARENA
#define OF_ARENA(c, a) true
#else
#define OF_ARENA(c, a) (arena_of[c] == (a))
#endif
#ifdef ALWAYS_INITIALISED
#define IS_TO_BE_INITIALISED(c) true
#else
#ifdef NEVER_INITIALISED
#define IS_TO_BE_INITIALISED(c) (is_empty[c] && arena_of[c] == arena)
#else
#define IS_TO_BE_INITIALISED(c) (is_empty[c])
#endif
#endif

/* One that holds something and is of the arena, else an empty one, else a new one. */
inline find_cache(c, a)
{
    c = 0;
    do
    :: c < CACHES && !(list_of[c] == IDLE && !is_empty[c] && OF_ARENA(c, a)) -> c++
    :: else -> break
    od;
    if
    :: c == CACHES ->
        c = 0;
        do
        :: c < CACHES && !(list_of[c] == IDLE && is_empty[c]) -> c++
        :: else -> break
        od
    :: else
    fi;
    if
    :: c == CACHES ->
        c = 0;
        do
        :: c < CACHES && list_of[c] != UNMADE -> c++
        :: else -> break
        od;
        if
        :: c < CACHES ->
            is_empty[c] = true;
            arena_of[c] = a
        :: else
        fi
    :: else
    fi
}

/* `cache` is NO_CACHE where there is no memory for a record. */
inline enter()
{
    LOCK_TO_TAKE;
    atomic {
        if
        :: arena = 0
        :: arena = 1
        fi;
        threads_of[arena]++
    }
    atomic { find_cache(cache, arena) }
    if
    :: cache != NO_CACHE ->
        list_of[cache] = LIVE;
        if
        :: IS_TO_BE_INITIALISED(cache) -> initialise(cache, arena)
        :: else
        fi
    :: else -> threads_of[arena]--
    fi;
    UNLOCK_TAKEN;
    if
    :: cache != NO_CACHE ->
        atomic {
            assert(user[cache] == 0);
            user[cache] = _pid;
            assert(list_of[cache] == LIVE && arena_of[cache] == arena && !is_empty[cache])
        }
    :: else
    fi
}

/* SAID_EMPTY: the record is said to be empty.
 * SENDS_WHEN_IDLE: the outbox is pushed when the cache is on the list of idle ones.
 * COUNT_KEPT: the arena counts the thread for ever. */
#ifdef SAID_EMPTY
#define IS_EMPTY_WHEN_LEFT true
#else
#define IS_EMPTY_WHEN_LEFT false
#endif

inline leave()
{
#ifndef SENDS_WHEN_IDLE
    push_outbox(cache);
#endif
    lock_heap();
#ifndef COUNT_KEPT
    threads_of[arena]--;
#endif
    atomic {
        assert(user[cache] == _pid && list_of[cache] == LIVE);
        user[cache] = 0;
        is_empty[cache] = IS_EMPTY_WHEN_LEFT;
        list_of[cache] = IDLE
    }
    unlock_heap();
#ifdef SENDS_WHEN_IDLE
    push_outbox(cache);
#endif
    cache = NO_CACHE
}

proctype thread()
{
    byte cache = NO_CACHE, arena, life, operations, block, old, b;

    do
    :: life < LIVES ->
        enter();
        do
        :: cache != NO_CACHE && operations < OPERATIONS ->
            if
            /* malloc, from the bin, what is pending, or the arena */
            :: bin[cache] != 0 ->
                take_one(block, bin[cache], IN_BIN(cache));
                atomic {
                    assert(HOME(block) == arena);
                    held = held | (1 << block);
                    move(block, IN_TRANSIT, HELD);
                    block = 0
                }
            :: bin[cache] == 0 && pending[cache] != 0 ->
                take_one(block, pending[cache], IN_PENDING(cache));
                put_one(block, bin[cache], IN_BIN(cache));
                block = 0
            :: atomic {
                    bin[cache] == 0 && pending[cache] == 0 && inbox[arena] != 0 ->
                    move_all(inbox[arena], IN_INBOX, IN_PENDING(cache));
                    pending[cache] = inbox[arena];
                    inbox[arena] = 0
                }
            :: atomic {
                    bin[cache] == 0 && pending[cache] == 0 && unused[arena] != 0 ->
                    choose(block, unused[arena]);
                    unused[arena] = unused[arena] & ~(1 << block);
                    held = held | (1 << block);
                    move(block, IN_ARENA, HELD);
                    block = 0
                }
            /* free, of whatever the program holds */
            :: atomic {
                    held != 0 ->
                    choose(block, held);
                    held = held & ~(1 << block);
                    move(block, HELD, IN_TRANSIT)
                }
                if
                :: HOME(block) == arena -> put_one(block, bin[cache], IN_BIN(cache))
                :: else -> put_one(block, outbox[cache], IN_OUTBOX(cache))
                fi;
                block = 0
            :: outbox[cache] != 0 -> push_outbox(cache)
            :: true
            fi;
            operations++
        :: else -> break
        od;
        operations = 0;
        if
        :: cache != NO_CACHE -> leave()
        :: else
        fi;
        life++
    :: else -> break
    od
}

/* EMPTIED_IN_PLACE: the cache stays on the list of idle ones meanwhile. */
proctype other()
{
    byte cache, times, block, old, b;

    do
    :: times < 2 ->
        lock_heap();
        atomic {
            cache = 0;
            do
            :: cache < CACHES && !(list_of[cache] == IDLE && !is_empty[cache]) -> cache++
            :: else -> break
            od;
#ifndef EMPTIED_IN_PLACE
            if
            :: cache < CACHES -> list_of[cache] = IN_HAND
            :: else
            fi
#endif
        }
        unlock_heap();
        if
        :: cache < CACHES ->
            atomic {
                assert(user[cache] == 0);
                user[cache] = _pid
            }
            empty_all(cache);
            lock_heap();
            atomic {
                assert(user[cache] == _pid);
                user[cache] = 0;
                is_empty[cache] = true;
                list_of[cache] = IDLE
            }
            unlock_heap()
        :: else
        fi;
        cache = 0;
        times++
    :: else -> break
    od
}

init
{
    byte b, c, everything, places;

    atomic {
        unused[0] = 3;
        unused[1] = 4;
        do
        :: b < BLOCKS -> at[b] = IN_ARENA; b++
        :: else -> break
        od;
        b = 0;
        run thread();
        run thread();
        run other()
    }
    _nr_pr == 1;
    assert(threads_of[0] == 0 && threads_of[1] == 0);
    d_step {
        do
        :: b < BLOCKS ->
            places = ((held >> b) & 1) + ((inbox[HOME(b)] >> b) & 1) + ((unused[HOME(b)] >> b) & 1);
            c = 0;
            do
            :: c < CACHES ->
                places = places + ((bin[c] >> b) & 1) + ((pending[c] >> b) & 1) + ((outbox[c] >> b) & 1);
                assert(list_of[c] == UNMADE || list_of[c] == IDLE);
                assert(!is_empty[c] || (bin[c] | pending[c] | outbox[c]) == 0);
                assert(!((bin[c] | pending[c]) & (1 << b)) || arena_of[c] == HOME(b));
                c++
            :: else -> break
            od;
            assert(places == 1);
            b++
        :: else -> break
        od
    }
}
