/*
 * monitor: what main does while the others work: the clock, the progress line, memory, and the watchdog.
 */
#ifndef KIT_MONITOR_H
#define KIT_MONITOR_H

#include "run.h"

/* Waits until `count` threads have arrived at the gate. Sets run->stop when the time is over; reports a thread
 * without progress as a hang. */
void kit_monitor(struct kit_run *run, struct kit_gate *gate, unsigned count);

#endif
