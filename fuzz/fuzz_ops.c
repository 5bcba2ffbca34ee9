/*
 * fuzz_ops: one thread, every call of the API, chosen by the input.
 *
 * Goal: no sequence of right calls breaks the heap, a block's content, or the account. Oracle: player.h.
 */
#include "player.h"

const bool player_is_plain = false;

const struct fuzz_target fuzz_target = {
    .name = "ops",
    .serves_large = true,
    .seldom = PLAYER_SELDOM,
    .kinds = player_kinds,
    .kind_count = PLAY_KINDS,
    .prepare = player_prepare,
    .run = player_play,
    .print_header = player_print_header,
    .print_op = player_print_op,
    .emit = player_emit,
};
