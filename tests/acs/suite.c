/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The compliance suite: its tables of tests, its results as TAP. */
#include "kernel.h"

extern const struct test leave_tests[], enter_tests[], frame_tests[], port_tests[], memory_tests[], vm_tests[], exit_tests[], smp_tests[], gate_tests[], step_tests[], crowd_tests[], reset_tests[];

const struct test *const suite_tables[] = {
    leave_tests, enter_tests, frame_tests, port_tests, memory_tests, vm_tests, exit_tests, smp_tests, gate_tests, step_tests, crowd_tests, reset_tests, NULL,
};

void suite_skipped(unsigned number, const char *name, const char *why)
{
    say("ok %u - %s # SKIP %s", number, name, why);
}

void suite_result(unsigned number, const char *name, bool failed)
{
    say("%sok %u - %s", failed ? "not " : "", number, name);
}

void suite_end(unsigned number)
{
    say("1..%u", number);
}
