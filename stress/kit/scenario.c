#include "scenario.h"

#include <stddef.h>

#include "compiler.h"
#include "forked.h"

const char *kit_scenario_obstacle(const struct kit_scenario *scenario, const struct kit_allocator *allocator)
{
    if ((scenario->needs & KIT_NEEDS_HEAPSTER) != 0 && !allocator->is_heapster)
        return "needs Heapster's own functions";
    if ((scenario->needs & KIT_NEEDS_NO_SHADOW) != 0 && HS_HAS_SHADOW)
        return "a sanitizer's shadow memory is beyond every limit";
    if ((scenario->needs & KIT_NEEDS_FORK) != 0 && !kit_forked_is_sound(allocator))
        return "a sanitizer's malloc does not come through a fork among threads";
    if ((scenario->needs & KIT_NEEDS_REFUSALS) != 0 && HS_HAS_SHADOW && !allocator->is_heapster)
        return "a sanitizer's malloc ends the process where it has no memory";
    if ((scenario->needs & KIT_NEEDS_LOADER) != 0 && HS_SHADOW_KNOWS_NO_LOADER)
        return "MemorySanitizer does not see what the dynamic linker does";
    return scenario->obstacle != NULL ? scenario->obstacle() : NULL;
}
