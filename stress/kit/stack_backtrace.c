/* stack: by backtrace, for a libc that has execinfo.h. */
#include <execinfo.h>

#include "stack.h"

const bool kit_stack_is_known = true;

void kit_stack_prepare(void)
{
    void *frame;

    (void)backtrace(&frame, 1);
}

unsigned kit_stack_take(void **frames, unsigned room)
{
    int count = backtrace(frames, (int)room);

    return count > 0 ? (unsigned)count : 0;
}
