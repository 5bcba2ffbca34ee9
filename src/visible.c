#include "visible.h"

#include "block.h"
#include "os.h"
#include "region.h"

#if HS_VISIBLE

/* Of a block that the caller owns. */
static size_t usable_bytes_of(const void *payload)
{
    const struct hs_block *block = hs_block_of(payload);

    if (hs_block_state(block) != HS_STATE_LARGE)
        return hs_block_usable_bytes(block);
    /* Relaxed: asked by the block's owner. */
    return hs_load_relaxed(&hs_region_find(payload)->bytes) - hs_os_page_bytes();
}

void *hs_visible_allocated(void *payload, size_t bytes, bool zeroed)
{
    if (payload != NULL)
        hs_tool_allocated(payload, bytes, usable_bytes_of(payload), zeroed);
    return payload;
}

void hs_visible_freed(void *payload)
{
    hs_tool_freed(payload, usable_bytes_of(payload));
}

void hs_visible_resized(void *payload, size_t old_bytes, size_t bytes)
{
    hs_tool_resized(payload, old_bytes, bytes, usable_bytes_of(payload));
}

size_t hs_visible_bytes(const void *payload, size_t unseen_bytes)
{
    (void)unseen_bytes;
    return hs_tool_bytes(payload, usable_bytes_of(payload));
}

#endif
