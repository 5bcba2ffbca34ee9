#include "region.h"

#include "pool.h"

enum { ADDRESS_BITS = 48, GRANULE_SHIFT = 16, LEAF_SHIFT = 32 };
#define LEAF_ENTRIES ((size_t)1 << (LEAF_SHIFT - GRANULE_SHIFT))
#define ROOT_ENTRIES ((size_t)1 << (ADDRESS_BITS - LEAF_SHIFT))

struct hs_region_leaf {
    _Atomic(struct hs_region *) entry[LEAF_ENTRIES];
};

static _Atomic(struct hs_region_leaf *) root[ROOT_ENTRIES];

/* Guards making leaves and the spare one. */
static struct {
    struct hs_mutex lock;
    struct hs_region_leaf *spare;
} leaves = {HS_MUTEX_INITIALIZER(HS_RANK_REGION_MAP), NULL};

static struct {
    struct hs_mutex lock;
    struct hs_region *head;
    _Atomic size_t count;
} overlays = {HS_MUTEX_INITIALIZER(HS_RANK_OVERLAYS), NULL, 0};

static struct hs_pool descriptors = HS_POOL_INITIALIZER(struct hs_region, (size_t)16 * 1024);

/* Stands in the map where a region was released, for the sake of the message about a pointer into it. */
static struct hs_region released;

struct hs_region *hs_region_take(void)
{
    struct hs_region *region = hs_pool_take(&descriptors);

    if (region != NULL)
        region->moved_by = 0;
    return region;
}

void hs_region_give(struct hs_region *region)
{
    hs_pool_give(&descriptors, region);
}

void hs_region_link(struct hs_region **list, struct hs_region *region)
{
    region->next = *list;
    region->previous = NULL;
    if (*list != NULL)
        (*list)->previous = region;
    *list = region;
}

void hs_region_unlink(struct hs_region **list, struct hs_region *region)
{
    if (region->next != NULL)
        region->next->previous = region->previous;
    if (region->previous != NULL)
        region->previous->next = region->next;
    else
        *list = region->next;
}

/* UINT64_MAX where `address` is none that a process can have. */
static uint64_t granule_of(const void *address)
{
    uint64_t number = (uintptr_t)address;

    return number >> ADDRESS_BITS != 0 ? UINT64_MAX : number >> GRANULE_SHIFT;
}

static struct hs_region *entry_at(const void *address)
{
    uint64_t granule = granule_of(address);
    struct hs_region_leaf *leaf;

    if (granule == UINT64_MAX)
        return NULL;
    /* [REGION-LEAF] the leaf's zeroes are visible before the leaf is. */
    leaf = hs_load_acquire(&root[granule / LEAF_ENTRIES]);
    if (leaf == NULL)
        return NULL;
    /* [REGION-MAP] the fields of the descriptor are visible before the entry is. */
    return hs_load_acquire(&leaf->entry[granule % LEAF_ENTRIES]);
}

struct hs_region *hs_region_find(const void *address)
{
    struct hs_region *region = entry_at(address);

    return region == &released ? NULL : region;
}

bool hs_region_was_released(const void *address)
{
    return entry_at(address) == &released;
}

/* The leaf for `granule`, made if need be, from the spare one if there is one; NULL where the OS has no memory. */
static struct hs_region_leaf *make_leaf(uint64_t granule)
{
    _Atomic(struct hs_region_leaf *) *slot = &root[granule / LEAF_ENTRIES];
    struct hs_region_leaf *leaf;

    hs_mutex_lock(&leaves.lock);
    /* Relaxed: slots are written under this lock alone. */
    leaf = hs_load_relaxed(slot);
    if (leaf == NULL) {
        leaf = leaves.spare;
        leaves.spare = NULL;
        if (leaf == NULL)
            leaf = hs_os_map(sizeof *leaf);
        if (leaf != NULL)
            hs_store_release(slot, leaf); /* [REGION-LEAF] */
    }
    hs_mutex_unlock(&leaves.lock);
    return leaf;
}

static bool set_entry(const char *base, struct hs_region *region)
{
    uint64_t granule = granule_of(base);
    struct hs_region_leaf *leaf;

    if (granule == UINT64_MAX)
        return false;
    leaf = hs_load_acquire(&root[granule / LEAF_ENTRIES]); /* [REGION-LEAF] */
    if (leaf == NULL)
        leaf = make_leaf(granule);
    if (leaf == NULL)
        return false;
    hs_store_release(&leaf->entry[granule % LEAF_ENTRIES], region); /* [REGION-MAP] */
    return true;
}

bool hs_region_enter(struct hs_region *region, const char *base, size_t bytes)
{
    for (size_t offset = 0; offset < bytes; offset += HS_GRANULE_BYTES) {
        if (!set_entry(base + offset, region)) {
            hs_region_leave(base, offset);
            return false;
        }
    }
    return true;
}

void hs_region_leave(const char *base, size_t bytes)
{
    for (size_t offset = 0; offset < bytes; offset += HS_GRANULE_BYTES)
        (void)set_entry(base + offset, &released);
}

struct hs_region_leaf *hs_region_reserve_leaf(void)
{
    struct hs_region_leaf *leaf;

    hs_mutex_lock(&leaves.lock);
    leaf = leaves.spare;
    leaves.spare = NULL;
    hs_mutex_unlock(&leaves.lock);
    return leaf != NULL ? leaf : hs_os_map(sizeof *leaf);
}

void hs_region_enter_reserved(struct hs_region *region, const char *base, struct hs_region_leaf *reserved)
{
    _Atomic(struct hs_region_leaf *) *slot = &root[granule_of(base) / LEAF_ENTRIES];

    hs_mutex_lock(&leaves.lock);
    /* Relaxed: slots are written under this lock alone. */
    if (hs_load_relaxed(slot) == NULL) {
        hs_store_release(slot, reserved); /* [REGION-LEAF] */
        reserved = NULL;
    } else if (leaves.spare == NULL) {
        leaves.spare = reserved;
        reserved = NULL;
    }
    hs_mutex_unlock(&leaves.lock);
    if (reserved != NULL)
        (void)hs_os_unmap(reserved, sizeof *reserved);
    (void)set_entry(base, region);
}

bool hs_region_holds(const struct hs_region *region, const void *address)
{
    uintptr_t begin = (uintptr_t)region->base, at = (uintptr_t)address;

    /* Relaxed: a bound; whoever owns a block in the region has seen the bytes that hold it. */
    return at >= begin && at - begin < hs_load_relaxed(&region->bytes);
}

void hs_region_overlay_add(struct hs_region *region)
{
    hs_mutex_lock(&overlays.lock);
    region->overlay_next = overlays.head;
    region->overlay_previous = NULL;
    if (overlays.head != NULL)
        overlays.head->overlay_previous = region;
    overlays.head = region;
    (void)hs_add_relaxed(&overlays.count, 1);
    hs_mutex_unlock(&overlays.lock);
}

void hs_region_overlay_remove(struct hs_region *region)
{
    hs_mutex_lock(&overlays.lock);
    if (region->overlay_next != NULL)
        region->overlay_next->overlay_previous = region->overlay_previous;
    if (region->overlay_previous != NULL)
        region->overlay_previous->overlay_next = region->overlay_next;
    else
        overlays.head = region->overlay_next;
    (void)hs_subtract_relaxed(&overlays.count, 1);
    hs_mutex_unlock(&overlays.lock);
}

struct hs_region *hs_region_overlay_find(const void *address)
{
    struct hs_region *innermost = NULL;

    /* Relaxed: whoever holds a block of an overlay's arena has seen that arena made. */
    if (hs_load_relaxed(&overlays.count) == 0)
        return NULL;
    hs_mutex_lock(&overlays.lock);
    for (struct hs_region *region = overlays.head; region != NULL; region = region->overlay_next)
        if (hs_region_holds(region, address) &&
            (innermost == NULL || hs_load_relaxed(&region->bytes) < hs_load_relaxed(&innermost->bytes)))
            innermost = region;
    hs_mutex_unlock(&overlays.lock);
    return innermost;
}

struct hs_mutex *hs_region_lock(enum hs_region_lock_name name)
{
    switch (name) {
    case HS_REGION_LOCK_OVERLAYS:
        return &overlays.lock;
    case HS_REGION_LOCK_LEAVES:
        return &leaves.lock;
    default:
        return &descriptors.lock;
    }
}
