// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// machine is a VM with change tracking. It replaces the VM of vcsim in the registry, and embeds it as a
// value, since the property collector of vcsim does not follow pointers.
type machine struct {
	simulator.VirtualMachine
	disks []*disk
	page  int64
	other []types.BaseVirtualDevice // controllers and so on, as made by vcsim
	store types.ManagedObjectReference

	turn      sync.Mutex // one snapshot operation or control at a time
	snapshots []*snapshot
}

// snapshot replaces that of vcsim in the registry.
type snapshot struct {
	simulator.VirtualMachineSnapshot
	vm    *machine
	disks map[int32]*diskSnapshot
}

// plain runs f while the registry has the objects of vcsim, since vcsim requires their types where it
// handles snapshots. A QueryChangedDiskAreas at the same time would get MethodNotFound. This does not
// happen to a client that waits for its tasks, since they end before they are answered.
func (vm *machine) plain(f func() soap.HasFault) soap.HasFault {
	simulator.Map.Put(&vm.VirtualMachine)
	for _, one := range vm.snapshots {
		simulator.Map.Put(&one.VirtualMachineSnapshot)
	}
	result := f()
	simulator.Map.Put(vm)
	var left []*snapshot
	for _, one := range vm.snapshots {
		if simulator.Map.Get(one.Self) == nil { // f removed it
			for _, d := range vm.disks {
				d.removeSnapshot(one.disks[d.key])
			}
			continue
		}
		simulator.Map.Put(one)
		left = append(left, one)
	}
	vm.snapshots = left
	return result
}

func (vm *machine) CreateSnapshotTask(req *types.CreateSnapshot_Task) soap.HasFault {
	vm.turn.Lock()
	defer vm.turn.Unlock()
	result := vm.plain(func() soap.HasFault { return vm.VirtualMachine.CreateSnapshotTask(req) })
	body, ok := result.(*methods.CreateSnapshot_TaskBody)
	if !ok || body.Res == nil {
		return result
	}
	task := simulator.Map.Get(body.Res.Returnval).(*simulator.Task)
	ref, ok := task.Info.Result.(types.ManagedObjectReference)
	if !ok {
		return result
	}
	taken := &snapshot{*simulator.Map.Get(ref).(*simulator.VirtualMachineSnapshot), vm,
		map[int32]*diskSnapshot{}}
	for _, d := range vm.disks {
		taken.disks[d.key] = d.takeSnapshot()
	}
	vm.snapshots = append(vm.snapshots, taken)
	simulator.Map.Put(taken)
	vm.stun()
	return result
}

func (vm *machine) RemoveAllSnapshotsTask(ctx *simulator.Context,
	req *types.RemoveAllSnapshots_Task) soap.HasFault {
	vm.turn.Lock()
	defer vm.turn.Unlock()
	result := vm.plain(func() soap.HasFault {
		return vm.VirtualMachine.RemoveAllSnapshotsTask(ctx, req)
	})
	vm.stun()
	return result
}

func (s *snapshot) RemoveSnapshotTask(ctx *simulator.Context,
	req *types.RemoveSnapshot_Task) soap.HasFault {
	s.vm.turn.Lock()
	defer s.vm.turn.Unlock()
	result := s.vm.plain(func() soap.HasFault {
		return s.VirtualMachineSnapshot.RemoveSnapshotTask(ctx, req)
	})
	s.vm.stun()
	return result
}

func (vm *machine) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	vm.turn.Lock()
	defer vm.turn.Unlock()
	result := vm.plain(func() soap.HasFault { return vm.VirtualMachine.ReconfigVMTask(ctx, req) })
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		vm.stun()
	}
	return result
}

// stun: a running VM reopens its disks. Change tracking starts or ends, and devices change.
func (vm *machine) stun() {
	for _, d := range vm.disks {
		d.track(vm.Config.ChangeTrackingEnabled != nil && *vm.Config.ChangeTrackingEnabled)
	}
	vm.Config.Hardware.Device = vm.devices(nil)
	for _, one := range vm.snapshots {
		one.Config.Hardware.Device = vm.devices(one)
	}
}

// devices returns those of a snapshot, or those of now, as a copy. (In vcsim a snapshot shares them with
// the VM.)
func (vm *machine) devices(of *snapshot) []types.BaseVirtualDevice {
	devices := append([]types.BaseVirtualDevice(nil), vm.other...)
	for number, d := range vm.disks {
		capacity, name, changeID := d.size, d.fileName, ""
		var state *diskSnapshot
		if of != nil {
			state = of.disks[d.key]
			capacity, name, changeID = state.size, state.fileName, state.changeID()
		}
		var parent *types.VirtualDiskFlatVer2BackingInfo
		for _, older := range d.chain(state) {
			parent = vm.backing(older.fileName, older.changeID(), parent)
		}
		unit := int32(number)
		devices = append(devices, &types.VirtualDisk{
			VirtualDevice: types.VirtualDevice{
				Key: d.key,
				DeviceInfo: &types.Description{Label: fmt.Sprintf("Hard disk %d", number+1),
					Summary: fmt.Sprintf("%d KB", capacity/1024)},
				Backing:       vm.backing(name, changeID, parent),
				ControllerKey: 1000, UnitNumber: &unit,
			},
			CapacityInKB: capacity / 1024, CapacityInBytes: capacity,
		})
	}
	return devices
}

func (vm *machine) backing(name, changeID string,
	parent *types.VirtualDiskFlatVer2BackingInfo) *types.VirtualDiskFlatVer2BackingInfo {
	store := vm.store
	return &types.VirtualDiskFlatVer2BackingInfo{
		VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{
			FileName: fmt.Sprintf("[%s] %s", vm.storeName(), name), Datastore: &store},
		DiskMode:        string(types.VirtualDiskModePersistent),
		ThinProvisioned: types.NewBool(true), ChangeId: changeID, Parent: parent,
	}
}

func (vm *machine) storeName() string {
	return simulator.Map.Get(vm.store).(*simulator.Datastore).Name
}
