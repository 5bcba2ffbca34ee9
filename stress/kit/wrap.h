/*
 * wrap: arithmetic modulo 2^64 that is meant to be, in generators and patterns. All other arithmetic of the kit stays
 * within its type, which clang's integer checks hold it to.
 */
#ifndef KIT_WRAP_H
#define KIT_WRAP_H

#include <stdint.h>

static inline uint64_t kit_wrap_add(uint64_t left, uint64_t right)
{
    uint64_t sum;

    (void)__builtin_add_overflow(left, right, &sum);
    return sum;
}

static inline uint64_t kit_wrap_multiply(uint64_t left, uint64_t right)
{
    uint64_t product;

    (void)__builtin_mul_overflow(left, right, &product);
    return product;
}

#endif
