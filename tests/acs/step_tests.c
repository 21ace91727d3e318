/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel.h"
const struct test step_tests[] = { { 0 } };
