# SPDX-License-Identifier: GPL-2.0-or-later
# The 'visor: build/guest/visor.elf.  Included by guest/Makefile, paths relative to guest/.

VISOR_OUT := ../build/guest
VISOR_SRC := $(wildcard visor/*.c) lib/mem.c lib/keys.c
VISOR_OBJ := $(patsubst %.c,$(VISOR_OUT)/visor.o/%.o,$(VISOR_SRC)) \
             $(patsubst %.S,$(VISOR_OUT)/visor.o/%.o,$(wildcard visor/*.S))
VISOR_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding -fno-pic -mno-red-zone \
                -mcmodel=kernel -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
                -fno-asynchronous-unwind-tables -I. -I../include

$(VISOR_OUT)/visor.elf: $(VISOR_OBJ) visor/visor.ld
	$(CC) -nostdlib -static -no-pie -Wl,-n -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-T,visor/visor.ld \
	    -o $@ $(VISOR_OBJ)

$(VISOR_OUT)/visor.o/%.o: %.c visor/rules.mk
	@mkdir -p $(@D)
	$(CC) $(VISOR_CFLAGS) -MMD -MP -c -o $@ $<

$(VISOR_OUT)/visor.o/%.o: %.S visor/rules.mk
	@mkdir -p $(@D)
	$(CC) $(VISOR_CFLAGS) -MMD -MP -c -o $@ $<

-include $(VISOR_OBJ:.o=.d)
