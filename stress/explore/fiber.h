/*
 * fiber: the threads of a scenario, as stacks of one OS thread.
 *
 * A switch saves what a function call may not destroy and goes on on another stack; the sanitizers are told of it,
 * ThreadSanitizer without the order that it would otherwise derive from the switch.
 */
#ifndef EXPLORE_FIBER_H
#define EXPLORE_FIBER_H

#include <stddef.h>

#define FIBER_STACK_BYTES ((size_t)256 * 1024)

typedef void fiber_body(void *context);

struct fiber;

/* The calling thread itself, as one to come back to. */
struct fiber *fiber_adopt(void);

/* Ready to run `body`, which must not return. Its stack is used again by fiber_restart. */
struct fiber *fiber_create(void);
void fiber_restart(struct fiber *fiber, fiber_body *body, void *context);

/* All that the fiber has done comes before what the caller does next. */
void fiber_join(struct fiber *fiber);

void fiber_switch(struct fiber *from, struct fiber *to);

/* True of addresses in the stack of any fiber that was created. */
int fiber_owns(const volatile void *address);

#endif
