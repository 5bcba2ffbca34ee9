/*
 * visible_native: no tool looks. All of it compiles to nothing.
 */
#ifndef HS_VISIBLE_NATIVE_H
#define HS_VISIBLE_NATIVE_H

#define HS_VISIBLE 0
#define HS_TOOL_FOLLOWS_MREMAP 1
#define HS_VISIBLE_CALL (void)0

#define hs_memory_close(base, bytes) (void)0
#define hs_memory_open(base, bytes) ((void)(base), (void)(bytes))
#define hs_memory_hide(base, bytes) (void)0
#define hs_memory_root(base, old_bytes, bytes) (void)0

#define hs_visible_allocated(payload, bytes, zeroed) (payload)
#define hs_visible_freed(payload) (void)0
#define hs_visible_resized(payload, old_bytes, bytes) (void)(old_bytes)
#define hs_visible_bytes(payload, unseen_bytes) (unseen_bytes)

#endif
