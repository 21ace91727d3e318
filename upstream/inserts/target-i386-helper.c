# SPDX-License-Identifier: GPL-2.0-or-later
file   target/i386/helper.c
rule   X2
why    INIT keeps x87, SSE and AVX state from before the reset: it has to be the flushed state, not a context's.
test   acs X2,X1/init-and-sipi: INIT during a stay shows no register of the context
within |void do_cpu_init(X86CPU *cpu)
before |    *save = *env;
insert |    appsheath_cpu_init(env);
