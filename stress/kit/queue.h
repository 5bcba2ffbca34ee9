/*
 * queue: bounded queues of records, for any number of threads at either end.
 *
 * A cell always holds a record: whoever fills it swaps a live one for an empty one, whoever empties it the other way
 * round. Nobody waits, and a record leaves a queue exactly once. The cells are slots of the run's exchange, queue after
 * queue.
 */
#ifndef KIT_QUEUE_H
#define KIT_QUEUE_H

#include "run.h"

enum { KIT_QUEUE_CELLS = 32 };

/* `turn` of cell i counts up: i + n * KIT_QUEUE_CELLS where it is to be filled for the n-th time, one more where it is
 * full. */
struct kit_queue {
    _Atomic uint64_t head, tail;
    _Atomic uint64_t turn[KIT_QUEUE_CELLS];
};

enum kit_queue_end { KIT_QUEUE_FILL, KIT_QUEUE_EMPTY };

/* Queues whose run has that many cells among its slots; kit_pages_unmap takes them. */
struct kit_queue *kit_queues_make(unsigned count);

/* Swaps the record with that of the next cell of queue `index` that is to be filled, or emptied; NULL where there is
 * none. */
struct kit_block *kit_queue_swap(struct kit_run *run, struct kit_queue *queues, unsigned index, enum kit_queue_end end,
                                 struct kit_block *block);

#endif
