/* The inbox of an arena: what threads of other arenas give back, pushed and taken without a lock.
 *
 * Memory is sequentially consistent here. That a taker sees the links and states of a chain, which the code has by
 * release and acquire [INBOX], is no subject of this model.
 *
 *     here            in the code
 *     sender          hs_cache_send, push_outbox               src/cache_remote.c
 *     take_inbox      hs_cache_take_inbox                      src/cache_remote.c
 *     take_from       take_from_chain, hs_cache_next_in_chain  src/cache_remote.c
 *     owner           hs_cache_sort_mail                       src/cache_remote.c
 *     give_chain      hs_cache_give_chain, by a sender past the bound and by whoever reclaims (give_back, cache_life.c)
 *
 * Each load, store and read-modify-write of a link, a state, the inbox or its account is a step of its own. A
 * compare-and-swap may fail for no reason, as the weak one of the code.
 *
 * What arrives is handed to the program once more, which writes to it and has it freed remotely again: so a block comes
 * back to the inbox while a sender may still hold its address as what it found there.
 *
 * Shows: every block that was sent arrives exactly once, as often as it was sent (`underway`), none is lost (who waits
 * for it would wait for ever: an invalid end state), a chain never leads to what the program wrote, and the inbox's
 * account is exact at rest, however far it lags behind meanwhile.
 *
 * Left out: damaged links, the key that hides them, bins and lists that blocks go to, bytes beside blocks (they are
 * added and taken off in the same places). The account is signed here and wraps in the code; there a sender takes what
 * has wrapped for no bound that was passed.
 *
 * Bounds: BLOCKS blocks, each sent ROUNDS times, two senders whose outboxes hold two, the owner, who takes two off its
 * chain at a time, and a thread that reclaims TAKES times at any moment. The inbox's bound is one block.
 *
 * Each of these breaks one thing, and is found: LINK_AFTER_PUSH STATE_AFTER_PUSH PUSH_BY_STORE STALE_LINK TAKE_IN_TWO
 * POP_ONE LINK_READ_LATE ACCOUNT_CLEARED NEVER_TAKEN_OFF.
 */
#ifndef BLOCKS
#define BLOCKS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef TAKES
#define TAKES 1
#endif
#define NONE BLOCKS
#define OUTBOX_BLOCKS 2
#define MOST 2
#define BOUND 1

#define USED 1
#define SENT 2
#define CACHED 3

byte state[BLOCKS];
byte next[BLOCKS];
byte sent[BLOCKS];     /* how often, so far */
byte underway[BLOCKS]; /* sent and not arrived: 0 or 1 */
byte held;             /* by the program, to be freed remotely: a bit for each block */
byte inbox = NONE;
short inbox_blocks;
byte arrivals;

#define ALL_SENT_AND_ARRIVED (arrivals == BLOCKS * ROUNDS)

/* Arrived, and handed to the program again, which writes what it likes. */
inline arrive(b)
{
    atomic {
        assert(state[b] == CACHED && underway[b] == 1);
        underway[b] = 0;
        arrivals++;
        if
        :: sent[b] < ROUNDS ->
            state[b] = USED;
            next[b] = BLOCKS + 1;
            held = held | (1 << b)
        :: else
        fi
    }
}

/* TAKE_IN_TWO: the inbox is read and then emptied.
 * POP_ONE: the newest block alone is taken, by compare-and-swap with its link. */
#if defined(TAKE_IN_TWO)
inline take_inbox(chain)
{
    chain = inbox;
    inbox = NONE
}
#elif defined(POP_ONE)
inline take_inbox(chain)
{
    do
    :: chain = inbox;
        if
        :: chain == NONE -> break
        :: else
        fi;
        assert(chain < BLOCKS);
        link = next[chain];
        if
        :: atomic { inbox == chain -> inbox = link };
            next[chain] = NONE;
            link = NONE;
            break
        :: atomic { inbox != chain -> link = NONE }
        fi
    od
}
#else
inline take_inbox(chain)
{
    atomic {
        chain = inbox;
        inbox = NONE
    }
}
#endif

/* LINK_READ_LATE: the link is read when the block has been handed on.
 * ACCOUNT_CLEARED: the account is set to 0 instead of lowered.
 * NEVER_TAKEN_OFF: what is taken stays in the account. */
#if defined(ACCOUNT_CLEARED)
#define TAKE_OFF_ACCOUNT(n) inbox_blocks = 0
#elif defined(NEVER_TAKEN_OFF)
#define TAKE_OFF_ACCOUNT(n) skip
#else
#define TAKE_OFF_ACCOUNT(n) inbox_blocks = inbox_blocks - (n)
#endif

/* Takes up to MOST blocks off the chain and hands them on, the one that was taken last first. */
inline take_from(chain)
{
    count = 0;
    do
    :: chain != NONE && count < MOST ->
        assert(chain < BLOCKS && state[chain] == SENT);
#ifndef LINK_READ_LATE
        link = next[chain];
#endif
        state[chain] = CACHED;
        payloads[count] = chain;
        count++;
#ifdef LINK_READ_LATE
        arrive(payloads[count - 1]);
        link = next[chain];
#endif
        chain = link
    :: else -> break
    od;
    link = 0;
    TAKE_OFF_ACCOUNT(count);
    do
    :: count > 0 ->
        count--;
#ifndef LINK_READ_LATE
        arrive(payloads[count]);
#endif
        payloads[count] = 0
    :: else -> break
    od
}

inline give_chain(chain)
{
    do
    :: chain != NONE -> take_from(chain)
    :: else -> break
    od
}

/* LINK_AFTER_PUSH: the oldest block's link is written when the chain is in the inbox.
 * STATE_AFTER_PUSH: blocks become SENT when they are in the inbox.
 * PUSH_BY_STORE: the inbox is overwritten, whatever it holds by now.
 * STALE_LINK: a push that failed is tried again without a new link. */
#ifdef LINK_AFTER_PUSH
#define LINK_BEFORE skip
#define LINK_AFTER next[oldest] = head
#else
#define LINK_BEFORE next[oldest] = head
#define LINK_AFTER skip
#endif
#ifdef STATE_AFTER_PUSH
#define STATE_BEFORE(b) skip
#define STATE_AFTER state[oldest] = SENT; state[newest] = SENT
#else
#define STATE_BEFORE(b) state[b] = SENT
#define STATE_AFTER skip
#endif
#ifdef PUSH_BY_STORE
#define UNCHANGED true
#else
#define UNCHANGED (inbox == head)
#endif

inline push_outbox()
{
    head = inbox;
#ifdef STALE_LINK
    LINK_BEFORE;
#endif
    do
    ::
#ifndef STALE_LINK
        LINK_BEFORE;
#endif
        if
        :: atomic { UNCHANGED -> inbox = newest };
            break
        :: head = inbox
        fi
    od;
    LINK_AFTER;
    STATE_AFTER;
    atomic {
        past_bound = inbox_blocks + blocks > BOUND;
        inbox_blocks = inbox_blocks + blocks
    }
    d_step {
        blocks = 0;
        newest = NONE;
        oldest = NONE;
        head = 0
    }
    if
    :: past_bound ->
        take_inbox(head);
        give_chain(head);
        head = 0
    :: else
    fi;
    past_bound = false
}

inline choose(b)
{
    if
    :: held & 1 -> b = 0
    :: held & 2 -> b = 1
    :: held & 4 -> b = 2
    :: held & 8 -> b = 3
    fi
}

proctype sender()
{
    byte newest = NONE, oldest = NONE, blocks, head, block, link, count, payloads[MOST];
    bool past_bound;

    do
    :: atomic {
            held != 0 && blocks < OUTBOX_BLOCKS;
            choose(block);
            held = held & ~(1 << block)
        }
        assert(state[block] == USED && underway[block] == 0);
        atomic {
            STATE_BEFORE(block);
            underway[block] = 1;
            sent[block]++
        }
        next[block] = newest;
        d_step {
            newest = block;
            oldest = (oldest == NONE -> block : oldest);
            blocks++;
            block = 0
        }
    /* Full, or not used for a while, or at the end of the thread. */
    :: blocks > 0 -> push_outbox()
    :: blocks == 0 && ALL_SENT_AND_ARRIVED -> break
    od
}

proctype owner()
{
    byte pending = NONE, link, count, payloads[MOST];

    do
    :: pending != NONE || inbox != NONE ->
        if
        :: pending == NONE -> take_inbox(pending)
        :: else
        fi;
        take_from(pending)
    :: pending == NONE && ALL_SENT_AND_ARRIVED -> break
    od
}

proctype reclaimer()
{
    byte chain = NONE, link, count, payloads[MOST], takes;

    do
    :: takes < TAKES ->
        take_inbox(chain);
        give_chain(chain);
        takes++
    :: else -> break
    od
}

init
{
    byte b;

    atomic {
        do
        :: b < BLOCKS ->
            state[b] = USED;
            next[b] = BLOCKS + 1;
            held = held | (1 << b);
            b++
        :: else -> break
        od;
        b = 0;
        run sender();
        run sender();
        run owner();
        run reclaimer()
    }
    _nr_pr == 1;
    assert(inbox == NONE && inbox_blocks == 0 && held == 0);
    do
    :: b < BLOCKS ->
        assert(sent[b] == ROUNDS && underway[b] == 0);
        b++
    :: else -> break
    od
}
