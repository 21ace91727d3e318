/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the inserted lines find us: see hw/appsheath/hooks.h.
 */
#include "qemu/osdep.h"

AppSheathHooks appsheath_hooks;
