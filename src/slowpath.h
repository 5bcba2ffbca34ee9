/*
 * slowpath: what every call that entered an arena does on its way out, with no lock held.
 */
#ifndef HS_SLOWPATH_H
#define HS_SLOWPATH_H

#include "options.h"
#include "sync.h"

/* Reports free memory that was found overwritten during the call, or walks the heap for option check=N. */
void hs_end_slow_path_with_work(void);

static inline void hs_end_slow_path(void)
{
    /* Relaxed: set at the start, or by a test. */
    if (HS_UNLIKELY(hs_thread()->damage != NULL || hs_load_relaxed(&hs_options.check_every) != 0))
        hs_end_slow_path_with_work();
}

#endif
