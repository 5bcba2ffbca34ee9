/*
 * exchange: how blocks get from one thread to another.
 *
 * The exchange holds records, empty or live, in slots that any thread may swap one of its own records with. Nothing is
 * ever pushed or popped, so nothing can run full or empty, and nobody waits.
 */
#ifndef KIT_EXCHANGE_H
#define KIT_EXCHANGE_H

#include "run.h"

/* Puts the record into the slot and returns what was there. */
static inline struct kit_block *kit_exchange(struct kit_thread *thread, struct kit_block *block, unsigned slot)
{
    _Atomic(struct kit_block *) *place = &thread->run->slots[slot & (thread->run->slot_count - 1)];

    kit_doing(thread, KIT_HAND_OVER, 0);
    /* [EXCHANGE] what the giver wrote, into the record and into the block, is visible to the taker. */
    return atomic_exchange_explicit(place, block, memory_order_acq_rel);
}

#endif
