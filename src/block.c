#include "block.h"

_Static_assert(sizeof(struct hs_block) == HS_TAG_BYTES, "a tag is 8 bytes");

uint64_t hs_block_key;

const char *hs_state_name(uint8_t state)
{
    if (hs_state_is_free(state))
        return "free";
    switch (state) {
    case HS_STATE_USED:
        return "used";
    case HS_STATE_CACHED:
    case HS_STATE_SENT:
    case HS_STATE_SEEN:
        return "cached";
    case HS_STATE_RUN:
        return "not cut yet";
    case HS_STATE_FREEING:
    case HS_STATE_BUSY:
        return "being freed";
    case HS_STATE_END:
        return "end of region";
    case HS_STATE_LARGE:
        return "large";
    case HS_STATE_DEAD:
        return "merged into a free block";
    default:
        return "no state";
    }
}
