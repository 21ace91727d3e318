# SPDX-License-Identifier: GPL-2.0-or-later
file   include/qemu/osdep.h
rule   house
why    The inserts in C files call what is declared there; one line here saves an #include line in each of them.
test   the build fails without it
after  |#endif /* !HAVE_SYSTEM_FUNCTION */
insert |
insert |#include "hw/appsheath/hooks.h"
