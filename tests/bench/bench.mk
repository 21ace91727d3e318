# SPDX-License-Identifier: GPL-2.0-or-later
# The bench's guest, on the 'visor's and Thimble's sources and flags:
#   make -C guest -f ../tests/bench/bench.mk bench
# makes build/guest/bench.elf (the machine's manager) and bench.sheath (the context).

include Makefile

BENCH := ../tests/bench
bench_out := $(out)/bench.o
# All of the 'visor but its main() and what serves its OS
BENCH_OBJ := $(filter-out $(patsubst %,$(VISOR_OUT)/visor.o/visor/%.o,main vm keys attack desk),$(VISOR_OBJ)) \
             $(bench_out)/manager.o $(bench_out)/caller.o

bench: $(out)/bench.elf $(out)/bench.sheath

$(bench_out)/%.o: $(BENCH)/%.c $(BENCH)/bench.mk
	@mkdir -p $(@D)
	$(CC) $(VISOR_CFLAGS) -Ivisor -MMD -MP -c -o $@ $<

$(bench_out)/%.o: $(BENCH)/%.S $(BENCH)/bench.mk
	@mkdir -p $(@D)
	$(CC) $(os_cflags) -I. -MMD -MP -c -o $@ $<

$(out)/bench.elf: $(BENCH_OBJ) visor/visor.ld
	$(CC) -nostdlib -static -no-pie -Wl,-n -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-T,visor/visor.ld \
	    -o $@ $(BENCH_OBJ)

$(bench_out)/bench.image: $(out)/os/header.o $(bench_out)/program.o os/os.lds
	$(LD) $(filter-out --defsym=%,$(os_ldflags)) -T os/os.lds -o $@ $(out)/os/header.o $(bench_out)/program.o

$(out)/bench.sheath: $(bench_out)/bench.image
	$(OBJCOPY) -O binary $< $@

.PHONY: bench

-include $(wildcard $(bench_out)/*.d)
