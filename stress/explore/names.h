/*
 * names: what a person calls the addresses and values of recorded events.
 *
 * The tag of a block is called by the slots of the program that had the block; a lock as the allocator names it; the
 * fields of an arena, and its regions, by their names; variables of the library by theirs. What is left is called by
 * where it is: "break+0x40". Names are those at the end of the execution, but for slots, which are noted as they come.
 */
#ifndef EXPLORE_NAMES_H
#define EXPLORE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/* What a value is, by where it is. */
enum subject { SUBJECT_NUMBER, SUBJECT_STATE, SUBJECT_LEFT, SUBJECT_EXTENT, SUBJECT_CHECK };

/* Learns from the recorded events which slots had which blocks. */
void names_prepare(void);

/* `is_tag`: an accessor of tags was on its way to the address. */
enum subject names_add_location(uint64_t name, bool is_tag, char *text, size_t bytes);

/* Of any address, where nobody says whether it is that of a tag: where a slot's block has its tag, it is. */
void names_add_address(uint64_t name, char *text, size_t bytes);

/* Where it is, and no more: "break+0x40". */
void names_add_offset(uint64_t name, char *text, size_t bytes);

void names_add_value(enum subject subject, uint64_t value, char *text, size_t bytes);

/* Of a mutex. */
void names_add_lock(uint64_t name, char *text, size_t bytes);

#endif
