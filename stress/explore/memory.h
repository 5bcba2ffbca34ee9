/*
 * memory: what a load may return, and which plain accesses race.
 *
 * The model, an operational reading of C11's. Stores to one atomic location are ordered as they were executed. A load
 * may return any of them that its thread has not overwritten in its knowledge: not one that is older than a store that
 * happened before, nor than one it has already seen there. Read-modify-writes see the newest. An acquire load that
 * returns a release store (or what read-modify-writes made of it) learns all that its writer knew; a seq_cst fence
 * makes a thread see every store that came before another thread's earlier fence.
 *
 * What is left out, so that a bug may hide there: stores that take effect later than they were executed (load
 * buffering), stores older than the last HISTORY of a location, and a compare-and-swap that fails for no reason or by a
 * value that is not the newest.
 *
 * Plain accesses see memory as it is. Two of them, or one and an atomic, to the same byte, one of them a write, with
 * neither ordered before the other, are a race, and the execution fails. So are an access and a later call of the
 * operating system by which the memory goes. A plain write ends what is known of atomic locations in its bytes.
 *
 * With total store order instead (memory_set_model), a store may wait in its thread's buffer, and then all that follow
 * do behind it. The thread's own loads return it; others see it when it reaches memory, in order, which is asked about
 * before each of their operations. Fences, read-modify-writes, mutexes, calls of the operating system, and the thread's
 * end empty the buffer, and so does a plain access of the thread to what waits; fork empties all. Plain accesses do not
 * wait: who may read them does so behind an operation that empties the buffer, or it is a race.
 */
#ifndef EXPLORE_MEMORY_H
#define EXPLORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock.h"
#include "sync.h"

enum memory_model {
    MODEL_SC, /* every load returns the newest store */
    MODEL_TSO,
    MODEL_C11
};

void memory_init(void);
void memory_set_model(enum memory_model model);

/* Before each execution. */
void memory_forget(void);

/* Atomic accesses of the current thread. */
uint64_t memory_load(const volatile void *address, size_t bytes, bool acquires, const void *place);
void memory_store(volatile void *address, size_t bytes, uint64_t value, bool releases, const void *place);
/* A read-modify-write: returns what was there, and stores what `next` makes of it. Where `next` returns false nothing
 * is stored. */
typedef bool memory_next(uint64_t found, uint64_t *value, const void *context);
uint64_t memory_update(volatile void *address, size_t bytes, memory_next *next, const void *context, bool acquires,
                       bool releases, const void *place);
void memory_fence(const void *place);

/* Plain ones. */
void memory_read_plain(const volatile void *address, size_t bytes, const void *place);
void memory_write_plain(volatile void *address, size_t bytes, const void *place);

/* In quiet mode. */
static inline uint64_t memory_read_quietly(const volatile void *address, size_t bytes)
{
    uint64_t value = 0;

    switch (bytes) {
    case 1:
        value = *(const volatile uint8_t *)address;
        break;
    case 2:
        value = *(const volatile uint16_t *)address;
        break;
    case 4:
        value = *(const volatile uint32_t *)address;
        break;
    default:
        value = *(const volatile uint64_t *)address;
        break;
    }
    return value;
}
void memory_write_quietly(volatile void *address, size_t bytes, uint64_t value);

/* Hand-over by a mutex: what its last holder knew, and the hash of that event. */
struct handover {
    uint32_t generation; /* of the execution it belongs to */
    int holder;          /* -1: nobody */
    int last_holder;
    const void *let_go; /* where it did; NULL: nobody held it in this execution */
    uint64_t event;
    struct knowledge knowledge;
};

/* By the address of the mutex. */
struct handover *memory_handover(const struct hs_mutex *mutex);

/* Total store order: the stores of the current thread that wait reach memory, or those of all threads. */
void memory_drain(void);
void memory_drain_all(void);

/* Whether any of the current thread's do wait, or any of anybody's. */
bool memory_waits(void);
bool memory_any_waits(void);

/* Before an operation that others could notice: stores of other threads may reach memory first. */
void memory_choose_drains(void);

#endif
