#include "pool.h"

#include <string.h>

#include "os.h"

struct hs_pool_item {
    struct hs_pool_item *next;
};

void *hs_pool_take(struct hs_pool *pool)
{
    void *record = NULL;

    hs_mutex_lock(&pool->lock);
    if (pool->free != NULL) {
        record = pool->free;
        pool->free = pool->free->next;
    } else {
        if (pool->fresh_bytes < pool->record_bytes) {
            char *chunk = hs_os_map(pool->chunk_bytes);

            if (chunk != NULL) {
                pool->fresh = chunk;
                pool->fresh_bytes = pool->chunk_bytes;
            }
        }
        if (pool->fresh_bytes >= pool->record_bytes) {
            record = pool->fresh;
            pool->fresh += pool->record_bytes;
            pool->fresh_bytes -= pool->record_bytes;
        }
    }
    hs_mutex_unlock(&pool->lock);
    if (record != NULL)
        memset(record, 0, pool->record_bytes);
    return record;
}

void hs_pool_give(struct hs_pool *pool, void *record)
{
    struct hs_pool_item *item = record;

    hs_mutex_lock(&pool->lock);
    item->next = pool->free;
    pool->free = item;
    hs_mutex_unlock(&pool->lock);
}
