/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AppSheath: the CPU's side, as the machine and the controller see it.
 */
#ifndef HW_APPSHEATH_SLB_H
#define HW_APPSHEATH_SLB_H

#include "hw/appsheath/arbiter.h"

#define TYPE_APPSHEATH_SLB "appsheath-slb"
OBJECT_DECLARE_SIMPLE_TYPE(AppSheathSlb, APPSHEATH_SLB)

/**
 * slb_install - make every x86 CPU class of this process ask the SLB
 *
 * Copies and overrides the TCG operations; call before CPUs are made.
 */
void slb_install(void);

/**
 * slb_attach - give a vCPU its SLB
 * @cs: the vCPU; its cs->opaque becomes ours
 * @arbiter: whom the SLB asks
 * @entries: capacity, a multiple of @ways
 * @ways: associativity, 1 to 64
 *
 * The SLB becomes the vCPU's QOM child "slb", with statistics.
 */
void slb_attach(CPUState *cs, AppSheathArbiter *arbiter, uint32_t entries,
                uint32_t ways);

/**
 * slb_throw_out - X5: if this vCPU is inside the context, it no longer is
 *
 * Only while the vCPU is stopped.
 */
void slb_throw_out(CPUState *cs, AsContext *context);

/**
 * slb_map_port - put the port page (W6) where only the SLB can reach it
 */
void slb_map_port(AppSheathArbiter *arbiter);

#endif
