/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The compliance suite: its tables of tests, its results as TAP. */
#include "kernel.h"

extern const struct test leave_tests[], enter_tests[], frame_tests[], port_tests[],
    memory_tests[], vm_tests[], exit_tests[], smp_tests[], gate_tests[], step_tests[],
    crowd_tests[], reset_tests[];

const struct test *const suite_tables[] = {
    leave_tests, enter_tests, frame_tests, port_tests, memory_tests, vm_tests, exit_tests,
    smp_tests, gate_tests, step_tests, crowd_tests, reset_tests, NULL,
};

/* For --list: no other line of a list run says a name */
void suite_name(const char *name)
{
    say_line("test: %s", name);
}

/* A test that gives up has failed */
void suite_result(unsigned number, const char *name, bool failed, bool gave_up)
{
    (void)gave_up;
    say_line("%sok %u - %s", failed ? "not " : "", number, name);
}

void suite_end(unsigned number)
{
    say_line("1..%u", number);
}
