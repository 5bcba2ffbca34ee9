/*
 * shadow: which addresses live blocks cover, one bit for each 8 bytes of the address space.
 *
 *     address   | 47 ... 26 | 25 ... 3 |        root[upper] -> 1 MiB of bits for 64 MiB of addresses
 *
 * A block sets the bits of [payload, payload + usable) when it is born and clears them before it is given back. A bit
 * that is set already, or clear already, means that two live blocks overlap. Any thread may set and clear at any time.
 *
 * The bits are changed by relaxed operations and no lock, on purpose: of two threads that own the same address one
 * after the other, the second sees the first one's clearing only because the *allocator* ordered its free before the
 * other's malloc. A lock here would lend the allocator an ordering of its own, and hide from ThreadSanitizer that it
 * has none.
 */
#ifndef KIT_SHADOW_H
#define KIT_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kit_shadow;

struct kit_shadow *kit_shadow_make(void);
void kit_shadow_destroy(struct kit_shadow *shadow);

/* Both return 0, or the first address whose bit was not as it should have been. */
uintptr_t kit_shadow_set(struct kit_shadow *shadow, uintptr_t address, size_t bytes);
uintptr_t kit_shadow_clear(struct kit_shadow *shadow, uintptr_t address, size_t bytes);

enum kit_cover { KIT_COVERED_NOWHERE, KIT_COVERED_PARTLY, KIT_COVERED_WHOLLY };
enum kit_cover kit_shadow_cover(struct kit_shadow *shadow, uintptr_t address, size_t bytes);

#endif
