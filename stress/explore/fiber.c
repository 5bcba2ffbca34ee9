#include "fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "build.h"
#include "fiber_context.h"
#include "fiber_sanitizer.h"

enum { FIBERS_MOST = 8 };

struct fiber {
    struct fiber_context context;
    struct fiber_shadow shadow;
    char *stack; /* NULL of the adopted one */
    fiber_body *body;
    void *body_context;
};

static struct fiber fibers[FIBERS_MOST];
static unsigned fiber_count;
static char *stacks;

static void map_stacks(void)
{
    if (stacks != NULL)
        return;
    stacks = mmap(NULL, FIBERS_MOST * FIBER_STACK_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stacks == MAP_FAILED) {
        (void)fputs("heapster-explore: no memory for stacks\n", stderr);
        exit(2);
    }
}

struct fiber *fiber_adopt(void)
{
    struct fiber *fiber = &fibers[fiber_count++];

    fiber_shadow_adopt(&fiber->shadow);
    return fiber;
}

struct fiber *fiber_create(void)
{
    struct fiber *fiber;

    map_stacks();
    if (fiber_count == FIBERS_MOST)
        abort();
    fiber = &fibers[fiber_count];
    fiber->stack = stacks + fiber_count * FIBER_STACK_BYTES;
    fiber_count++;
    return fiber;
}

/* Where a fiber begins, on its own stack. */
static void enter(void *context)
{
    struct fiber *fiber = context;

    fiber_shadow_arrived(&fiber->shadow);
    fiber->body(fiber->body_context);
    abort();
}

void fiber_restart(struct fiber *fiber, fiber_body *body, void *context)
{
    fiber->body = body;
    fiber->body_context = context;
    fiber_shadow_restart(&fiber->shadow, fiber->stack, FIBER_STACK_BYTES);
    fiber_context_make(&fiber->context, fiber->stack, FIBER_STACK_BYTES, enter, fiber);
}

void fiber_join(struct fiber *fiber)
{
    fiber_shadow_join(&fiber->shadow);
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
    fiber_shadow_leave(&from->shadow, &to->shadow);
    fiber_context_switch(&from->context, &to->context);
    fiber_shadow_arrived(&from->shadow);
}

int fiber_owns(const volatile void *address)
{
    return (uintptr_t)address - (uintptr_t)stacks < FIBERS_MOST * FIBER_STACK_BYTES;
}
