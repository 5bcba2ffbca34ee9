#include "queue.h"

#include "pages.h"

struct kit_queue *kit_queues_make(unsigned count)
{
    struct kit_queue *queues = kit_pages_map(count * sizeof *queues);

    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < KIT_QUEUE_CELLS; k++)
            atomic_init(&queues[i].turn[k], k);
    return queues;
}

struct kit_block *kit_queue_swap(struct kit_run *run, struct kit_queue *queues, unsigned index, enum kit_queue_end end,
                                 struct kit_block *block)
{
    struct kit_queue *queue = &queues[index];
    _Atomic uint64_t *place = end == KIT_QUEUE_FILL ? &queue->tail : &queue->head;
    uint64_t position = kit_get(*place), lag = end == KIT_QUEUE_FILL ? 0 : 1;
    struct kit_block *found;

    for (;;) {
        /* [QUEUE] what the last one to use this cell wrote, into the record and into the block, is visible. */
        uint64_t turn = atomic_load_explicit(&queue->turn[position % KIT_QUEUE_CELLS], memory_order_acquire);

        if (turn < position + lag)
            return NULL;
        if (turn > position + lag)
            position = kit_get(*place);
        else if (atomic_compare_exchange_weak_explicit(place, &position, position + 1, memory_order_relaxed,
                                                       memory_order_relaxed))
            break;
    }
    found = atomic_exchange_explicit(&run->slots[(size_t)index * KIT_QUEUE_CELLS + position % KIT_QUEUE_CELLS], block,
                                     memory_order_acq_rel);
    /* [QUEUE] */
    atomic_store_explicit(&queue->turn[position % KIT_QUEUE_CELLS], position + (lag == 0 ? 1 : KIT_QUEUE_CELLS),
                          memory_order_release);
    return found;
}
