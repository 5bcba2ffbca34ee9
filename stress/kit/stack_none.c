/* stack: for a libc without backtrace. */
#include "stack.h"

const bool kit_stack_is_known = false;

void kit_stack_prepare(void)
{
}

unsigned kit_stack_take(void **frames, unsigned room)
{
    (void)frames;
    (void)room;
    return 0;
}
