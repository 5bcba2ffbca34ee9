#include "override.h"

void hs_override_keep(void)
{
}
