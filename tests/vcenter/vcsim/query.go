// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"sort"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// QueryChangedDiskAreas describes one page of a disk. The client continues at its end.
func (vm *machine) QueryChangedDiskAreas(req *types.QueryChangedDiskAreas) soap.HasFault {
	info, fault := vm.query(req)
	if fault != nil {
		return &methods.QueryChangedDiskAreasBody{Fault_: fault}
	}
	return &methods.QueryChangedDiskAreasBody{
		Res: &types.QueryChangedDiskAreasResponse{Returnval: *info}}
}

func (vm *machine) query(req *types.QueryChangedDiskAreas) (*types.DiskChangeInfo, *soap.Fault) {
	vm.turn.Lock()
	defer vm.turn.Unlock()
	var d *disk
	for _, one := range vm.disks {
		if one.key == req.DeviceKey {
			d = one
		}
	}
	if d == nil {
		return nil, invalidArgument("deviceKey")
	}
	var until *diskSnapshot
	size := d.size
	if req.Snapshot != nil {
		for _, one := range vm.snapshots {
			if one.Self == *req.Snapshot {
				until = one.disks[d.key]
			}
		}
		if until == nil {
			return nil, simulator.Fault("", &types.ManagedObjectNotFound{Obj: *req.Snapshot})
		}
		size = until.size
	} else if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		return nil, invalidArgument("")
	}
	if req.StartOffset < 0 || req.StartOffset >= size {
		return nil, invalidArgument("startOffset")
	}
	blocks, err := d.changes(req.ChangeId, until)
	if err != nil {
		return nil, simulator.Fault("Error caused by file "+d.fileName, &types.FileFault{
			VimFault: types.VimFault{MethodFault: types.MethodFault{
				FaultMessage: []types.LocalizableMessage{{Key: "vim.hostd.vmsvc.cbt." + err.Error()}}}},
			File: d.fileName})
	}
	end := min(req.StartOffset+vm.page, size)
	return &types.DiskChangeInfo{StartOffset: req.StartOffset, Length: end - req.StartOffset,
		ChangedArea: areas(blocks, req.StartOffset, end)}, nil
}

func invalidArgument(name string) *soap.Fault {
	return simulator.Fault("A specified parameter was not correct: "+name,
		&types.InvalidArgument{InvalidProperty: name})
}

// areas joins neighbouring blocks and clips them to [start, end).
func areas(blocks map[int64]bool, start, end int64) []types.DiskChangeExtent {
	sorted := make([]int64, 0, len(blocks))
	for b := range blocks {
		sorted = append(sorted, b)
	}
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	var found []types.DiskChangeExtent
	for _, b := range sorted {
		from, to := max(b*block, start), min((b+1)*block, end)
		if from >= to {
			continue
		}
		if n := len(found); n > 0 && found[n-1].Start+found[n-1].Length == from {
			found[n-1].Length += to - from
			continue
		}
		found = append(found, types.DiskChangeExtent{Start: from, Length: to - from})
	}
	return found
}
