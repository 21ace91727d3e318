# SPDX-License-Identifier: GPL-2.0-or-later
file   target/i386/tcg/seg_helper.c

rule   E8
why    A call gate's target is the 'visor's to choose, and may be in the middle of the program: there is no gate inside (F2).
test   attack 45-gate-into-the-middle: a far jump through a gate does not reach a gadget in own text
within |void helper_ljmp_protected(CPUX86State *env, int new_cs, target_ulong new_eip,
after  |            gate_cs = e1 >> 16;
insert |            appsheath_gate(env, GETPC());

rule   E8
why    The same for a far call, which would also push the program's RIP where the 'visor's segment says.
test   attack 45-gate-into-the-middle: a far call through a gate does not reach a gadget in own text
within |void helper_lcall_protected(CPUX86State *env, int new_cs, target_ulong new_eip,
after  |        shift = type >> 3;
insert |        appsheath_gate(env, GETPC());

rule   E8
why    SYSENTER_EIP is the 'visor's, and may be in the middle of the program: what goes there has left first.
test   attack 45-gate-into-the-middle: SYSENTER does not reach a gadget in own text
within |void helper_sysenter(CPUX86State *env)
after  |    env->eip = env->sysenter_eip;
insert |    appsheath_transfer(env, false);
