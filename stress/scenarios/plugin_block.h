/* plugin_block: a block of the process's malloc that carries its size and the key of its pattern. */
#ifndef STRESS_PLUGIN_BLOCK_H
#define STRESS_PLUGIN_BLOCK_H

#include <stddef.h>

#include "pattern.h"

struct plugin_block {
    size_t bytes; /* of the content */
    uint64_t key;
    unsigned char content[];
};

static inline void plugin_block_fill(struct plugin_block *block, size_t bytes, uint64_t key)
{
    block->bytes = bytes;
    block->key = key;
    kit_pattern_fill(block->content, 0, bytes, key);
}

static inline bool plugin_block_is_intact(const struct plugin_block *block, size_t bytes, uint64_t key)
{
    return block->bytes == bytes && block->key == key &&
           kit_pattern_mismatch(block->content, 0, bytes, key) == KIT_INTACT;
}

#endif
