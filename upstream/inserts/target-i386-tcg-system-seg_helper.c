# SPDX-License-Identifier: GPL-2.0-or-later
file   target/i386/tcg/system/seg_helper.c
rule   E8
why    LSTAR is the 'visor's, and may be in the middle of the program: what goes there has left first, at level 3 with a frame.
test   attack 45-gate-into-the-middle: SYSCALL does not reach a gadget in own text; acs X2,E4,E8/syscall-iretq
within |void helper_syscall(CPUX86State *env, int next_eip_addend)
after  |            env->eip = env->lstar;
insert |            appsheath_transfer(env, true);
