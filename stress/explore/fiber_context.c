#include "fiber_context.h"

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

/* Pushes what is saved, changes stacks, and pops it there: rbp, rbx, r12 to r15, and the two control words. */
__asm__(".text\n"
        ".globl fiber_swap_stacks\n"
        ".hidden fiber_swap_stacks\n"
        ".type fiber_swap_stacks, @function\n"
        "fiber_swap_stacks:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq (%rsi), %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size fiber_swap_stacks, . - fiber_swap_stacks\n"
        ".hidden fiber_first_steps\n"
        ".type fiber_first_steps, @function\n"
        "fiber_first_steps:\n"
        "    movq %r12, %rdi\n"
        "    callq *%r13\n"
        "    ud2\n"
        ".size fiber_first_steps, . - fiber_first_steps\n");

enum { CONTROL, R15, R14, R13, R12, RBX, RBP, RETURN, WORDS };

void fiber_first_steps(void);

static void fill(uint64_t *words, void (*entry)(void *), void *argument)
{
    uint32_t mxcsr;
    uint16_t x87;

    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    words[CONTROL] = mxcsr | (uint64_t)x87 << 32;
    words[R12] = (uint64_t)(uintptr_t)argument;
    words[R13] = (uint64_t)(uintptr_t)entry;
    words[RETURN] = (uint64_t)(uintptr_t)fiber_first_steps;
}

#elif defined(__aarch64__)

/* x19 to x30 and d8 to d15. */
__asm__(".text\n"
        ".globl fiber_swap_stacks\n"
        ".hidden fiber_swap_stacks\n"
        ".type fiber_swap_stacks, %function\n"
        "fiber_swap_stacks:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x2, sp\n"
        "    str x2, [x0]\n"
        "    ldr x2, [x1]\n"
        "    mov sp, x2\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size fiber_swap_stacks, . - fiber_swap_stacks\n"
        ".hidden fiber_first_steps\n"
        ".type fiber_first_steps, %function\n"
        "fiber_first_steps:\n"
        "    mov x0, x19\n"
        "    blr x20\n"
        "    brk #0\n"
        ".size fiber_first_steps, . - fiber_first_steps\n");

enum { X19, X20, X30 = 11, WORDS = 20 };

void fiber_first_steps(void);

static void fill(uint64_t *words, void (*entry)(void *), void *argument)
{
    words[X19] = (uint64_t)(uintptr_t)argument;
    words[X20] = (uint64_t)(uintptr_t)entry;
    words[X30] = (uint64_t)(uintptr_t)fiber_first_steps;
}

#endif

#if defined(__x86_64__) || defined(__aarch64__)

void fiber_swap_stacks(void **from, void *const *to);

void fiber_context_make(struct fiber_context *context, char *stack, size_t stack_bytes, void (*entry)(void *),
                        void *argument)
{
    /* The return address of the first steps lies where a call would have put it: 16 bytes of alignment hold behind it.
     */
    uint64_t *words = (uint64_t *)(void *)(stack + stack_bytes - 64) - WORDS;

    memset(words, 0, WORDS * sizeof *words);
    fill(words, entry, argument);
    context->stack_pointer = words;
}

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to)
{
    fiber_swap_stacks(&from->stack_pointer, &to->stack_pointer);
}

#else

#include <stdlib.h>

static void start(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low)
{
    void (*entry)(void *) = (void (*)(void *))(uintptr_t)((uint64_t)entry_high << 32 | entry_low);

    entry((void *)(uintptr_t)((uint64_t)argument_high << 32 | argument_low));
}

void fiber_context_make(struct fiber_context *context, char *stack, size_t stack_bytes, void (*entry)(void *),
                        void *argument)
{
    uint64_t code = (uint64_t)(uintptr_t)entry, data = (uint64_t)(uintptr_t)argument;

    if (getcontext(&context->registers) != 0)
        abort();
    context->registers.uc_stack.ss_sp = stack;
    context->registers.uc_stack.ss_size = stack_bytes;
    context->registers.uc_link = NULL;
    makecontext(&context->registers, (void (*)(void))start, 4, (unsigned)(code >> 32), (unsigned)code,
                (unsigned)(data >> 32), (unsigned)data);
}

void fiber_context_switch(struct fiber_context *from, struct fiber_context *to)
{
    if (swapcontext(&from->registers, &to->registers) != 0)
        abort();
}

#endif
