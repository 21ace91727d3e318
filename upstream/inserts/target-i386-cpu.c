# SPDX-License-Identifier: GPL-2.0-or-later
file   target/i386/cpu.c
rule   W3
why    Data accesses of a context use the trusted MMU indexes, which only the SLB fills.
test   acs F1,W3/mapped-by-the-visor, and the functional walkthrough
within |int x86_mmu_index_pl(CPUX86State *env, unsigned pl)
before |    return mmu_index_base + mmu_index_32;
insert |    mmu_index_base += appsheath_mmu_bias(env->hflags);
insert |
