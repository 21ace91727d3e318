# SPDX-License-Identifier: GPL-2.0-or-later
file   target/i386/tcg/system/svm_helper.c

rule   X2
why    Exit code and exit information are written to the VMCB before do_interrupt: the frame and the masking come first.
test   functional walkthrough: the OS is preempted by #VMEXIT, the 'visor sees no more than the page and kind of access
within |void cpu_vmexit(CPUX86State *env, uint64_t exit_code, uint64_t exit_info_1,
after  |    cpu_restore_state(cs, retaddr);
insert |    appsheath_vmexit(env, exit_code, &exit_info_1);

rule   E8
why    VMRUN inside a context kills it.
test   acs E8,A8/vmrun: a context that does VMRUN is killed
within |void helper_vmrun(CPUX86State *env, int aflag, int next_eip_addend)
after  |    uint64_t new_dr7;
insert |
insert |    appsheath_vmrun(env, GETPC());
