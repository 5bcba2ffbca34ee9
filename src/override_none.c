#include "override.h"

#include "os.h"

/* A sanitizer's malloc does not use the break; libc's does. */
_Atomic bool hs_os_break_is_ours = HS_HAS_SHADOW;

void hs_override_settle(void)
{
}
