/*
 * fiber_context: the registers that a switch of stacks saves: those that a called function has to preserve.
 *
 * For x86-64 and aarch64 a few instructions, some fifty times faster than swapcontext, which asks the kernel for the
 * signal mask twice; for others swapcontext itself.
 */
#ifndef EXPLORE_FIBER_CONTEXT_H
#define EXPLORE_FIBER_CONTEXT_H

#include <stddef.h>

#if defined(__x86_64__) || defined(__aarch64__)
struct fiber_context {
    void *stack_pointer; /* the registers are on the stack */
};
#else
#include <ucontext.h>
struct fiber_context {
    ucontext_t registers;
};
#endif

/* The first switch to it calls `entry`, which must not return. */
void fiber_context_make(struct fiber_context *context, char *stack, size_t stack_bytes, void (*entry)(void *),
                        void *argument);

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to);

#endif
