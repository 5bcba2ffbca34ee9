/*
 * contention: which operations of the seam another thread could notice, and which two of them may change places.
 *
 * Two operations are independent where both orders end alike: they touch different bytes, or both only read. An
 * operation needs a point before it, where somebody else may go on, only where another thread has one that depends on
 * it and that could come in between. It needs none
 *
 *   - on bytes that one thread alone uses, or that nobody writes while threads run: nothing depends on it;
 *
 *   - on bytes that all use with one and the same lock in hand: what depends on it waits for that lock.
 *
 * In both cases all that the others could do at the point, up to where they wait, is independent of the operation, so
 * that it may as well be done at the thread's next point, with as many preemptions: no execution is lost, but for the
 * order of independent operations. Which bytes are which is learned from execution to execution; what was searched
 * before something new was learned is searched again (contention_has_grown). That is enough: were the first operation
 * that breaks such a rule in no execution, it would be in none that was left out either, since up to there the two are
 * the same.
 *
 * Operations without an address: fences depend on each other (memory.h: the order of fences is all that they add to).
 * TOUCH_ALL depends on everything: what gives memory back, a fork, a thread that yields. Memory that goes while another
 * thread uses it without a point is a race (memory.h); what a fork's child reads counts as read by the fork, all locks
 * in hand.
 */
#ifndef EXPLORE_CONTENTION_H
#define EXPLORE_CONTENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum touch {
    TOUCH_NOTHING, /* no operation */
    TOUCH_READ,
    TOUCH_WRITE,
    TOUCH_LOCK, /* a write that has to wait where the mutex is held */
    TOUCH_FENCE,
    TOUCH_ALL
};

/* What a thread is about to do. */
struct operation {
    enum touch touch;
    uint8_t bytes;
    const volatile void *address;
};

/* Locks in hand, a bit each, by the order in which they were met; more than there are bits for protect nothing. */
struct lock_set {
    uint64_t bits[2];
};

void contention_init(void);

/* Before the first execution of a program. */
void contention_forget(void);

/* Notes the current thread's operation. True where it needs a point. */
bool contention_note(const struct operation *operation, const struct lock_set *held);

/* Whether operations on that byte need points, as far as is known. */
bool contention_is_at(const volatile void *address);

/* True, once, where an operation needs a point that had needed none: what was searched before may lack points. */
bool contention_has_grown(void);

/* Whether the two operations, of different threads, depend on each other. */
bool contention_between(const struct operation *one, const struct operation *other);

/* The number of a lock for lock sets: the same from execution to execution. */
void contention_hold(struct lock_set *set, const volatile void *lock);
void contention_let_go(struct lock_set *set, const volatile void *lock);

#endif
