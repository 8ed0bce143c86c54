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

// machine is a VM of vcsim with change tracking. It stands in vcsim's registry in the place of the plain
// one, which must be embedded as a value: vcsim's property collector does not follow a pointer.
type machine struct {
	simulator.VirtualMachine
	disks []*disk
	page  int64
	other []types.BaseVirtualDevice // controllers and the like, as vcsim made them
	store types.ManagedObjectReference

	turn      sync.Mutex // one snapshot operation or control at a time
	snapshots []*snapshot
}

// snapshot stands in the registry in the place of vcsim's.
type snapshot struct {
	simulator.VirtualMachineSnapshot
	vm     *machine
	frozen map[int32]*frozen
}

// plain runs f while the registry has vcsim's own objects: where it handles snapshots it insists on
// their types. (A QueryChangedDiskAreas at that very moment would get MethodNotFound; tasks end before
// they are answered, so a client that waits for them never sees that.)
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
				d.thaw(one.frozen[d.key])
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
		map[int32]*frozen{}}
	for _, d := range vm.disks {
		taken.frozen[d.key] = d.freeze()
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

// stun is when a running VM reopens its disks: change tracking starts or ends, devices have changed.
func (vm *machine) stun() {
	for _, d := range vm.disks {
		d.track(vm.Config.ChangeTrackingEnabled != nil && *vm.Config.ChangeTrackingEnabled)
	}
	vm.Config.Hardware.Device = vm.devices(nil)
	for _, one := range vm.snapshots {
		one.Config.Hardware.Device = vm.devices(one)
	}
}

// devices as of a snapshot, or of now. vcsim lets a snapshot share them with the VM: we never do.
func (vm *machine) devices(of *snapshot) []types.BaseVirtualDevice {
	devices := append([]types.BaseVirtualDevice(nil), vm.other...)
	for number, d := range vm.disks {
		capacity, name, changeID := d.size, d.fileName, ""
		var state *frozen
		if of != nil {
			state = of.frozen[d.key]
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
