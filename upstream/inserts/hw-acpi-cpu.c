# SPDX-License-Identifier: GPL-2.0-or-later
file   hw/acpi/cpu.c
rule   X6
why    A guest may eject a vCPU that nobody asked to unplug: the machine's word that it stays counts here as well.
test   qtest appsheath-life-test X6/unplug-cpu: no vCPU goes when a guest says so
within |static void cpu_hotplug_wr(void *opaque, hwaddr addr, uint64_t data,
after  |            dev = DEVICE(cdev->cpu);
insert |            if (qdev_unplug_blocked(dev, NULL)) {
insert |                break;
insert |            }
