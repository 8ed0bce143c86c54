// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// build makes the VMs of the command line through the API of vcsim, and replaces them by machines.
func build(o *options, server *url.URL) ([]*machine, error) {
	ctx := context.Background()
	client, err := govmomi.NewClient(ctx, server, true) // the server in this process
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Logout(ctx) }()
	center := simulator.Map.Any("Datacenter").(*simulator.Datacenter)
	store := simulator.Map.Any("Datastore").(*simulator.Datastore)
	store.Name, store.Summary.Name = o.datastore, o.datastore
	store.Info.GetDatastoreInfo().Name = o.datastore
	var machines []*machine
	for i, wanted := range o.machines {
		names := strings.Split(strings.Trim(wanted.path, "/"), "/")
		if len(names) < 3 || names[1] != "vm" || (i > 0 && names[0] != center.Name) {
			return nil, fmt.Errorf("--vm %s: must be /DATACENTER/vm/.../NAME, the same datacenter for all",
				wanted.path)
		}
		center.Name = names[0]
		folder := object.NewFolder(client.Client, center.VmFolder)
		for _, name := range names[2 : len(names)-1] {
			if folder, err = child(ctx, folder, name); err != nil {
				return nil, err
			}
		}
		vm, err := newMachine(ctx, client, o, folder, names[len(names)-1], wanted)
		if err != nil {
			return nil, fmt.Errorf("--vm %s: %w", wanted.path, err)
		}
		machines = append(machines, vm)
	}
	return machines, nil
}

// child returns the folder with the name, which is created if it does not exist.
func child(ctx context.Context, parent *object.Folder, name string) (*object.Folder, error) {
	refs := simulator.Map.Get(parent.Reference()).(*simulator.Folder).ChildEntity
	if found := simulator.Map.FindByName(name, refs); found != nil {
		return object.NewFolder(parent.Client(), found.Reference()), nil
	}
	return parent.CreateFolder(ctx, name)
}

func newMachine(ctx context.Context, client *govmomi.Client, o *options, folder *object.Folder,
	name string, wanted machineOption) (*machine, error) {
	host := simulator.Map.Any("HostSystem").(*simulator.HostSystem)
	pool := simulator.Map.Any("ResourcePool").(*simulator.ResourcePool)
	var devices object.VirtualDeviceList
	scsi, err := devices.CreateSCSIController("pvscsi")
	if err != nil {
		return nil, err
	}
	spec := types.VirtualMachineConfigSpec{
		Name: name, GuestId: string(types.VirtualMachineGuestOsIdentifierOtherGuest),
		ChangeTrackingEnabled: types.NewBool(!o.noCBT),
		Files:                 &types.VirtualMachineFileInfo{VmPathName: "[" + o.datastore + "]"},
	}
	spec.DeviceChange, err = object.VirtualDeviceList{scsi}.ConfigSpec(
		types.VirtualDeviceConfigSpecOperationAdd)
	if err != nil {
		return nil, err
	}
	task, err := folder.CreateVM(ctx, spec, object.NewResourcePool(client.Client, pool.Self),
		object.NewHostSystem(client.Client, host.Self))
	if err != nil {
		return nil, err
	}
	info, err := task.WaitForResult(ctx, nil)
	if err != nil {
		return nil, err
	}
	created := info.Result.(types.ManagedObjectReference)
	if task, err = object.NewVirtualMachine(client.Client, created).PowerOn(ctx); err != nil {
		return nil, err
	}
	if err = task.Wait(ctx); err != nil {
		return nil, err
	}
	raw := simulator.Map.Get(created).(*simulator.VirtualMachine)
	vm := &machine{page: o.page, other: raw.Config.Hardware.Device,
		store: simulator.Map.Any("Datastore").Reference()}
	for number, option := range wanted.disks {
		stem := name
		if number > 0 {
			stem = fmt.Sprintf("%s_%d", name, number)
		}
		file, err := filepath.Abs(option.file)
		if err != nil {
			return nil, err
		}
		d, err := openDisk(option.key, file, name+"/"+stem+".vmdk")
		if err != nil {
			return nil, err
		}
		vm.disks = append(vm.disks, d)
	}
	raw.Capability.ChangeTrackingSupported = types.NewBool(true)
	if err := rename(raw, wanted.moref); err != nil {
		return nil, err
	}
	vm.VirtualMachine = *raw
	vm.stun()
	simulator.Map.Put(vm)
	return vm, nil
}

// rename gives a VM the reference of the command line, everywhere in vcsim.
func rename(vm *simulator.VirtualMachine, moref string) error {
	old := vm.Self
	if moref == old.Value {
		return nil
	}
	renamed := types.ManagedObjectReference{Type: old.Type, Value: moref}
	if simulator.Map.Get(renamed) != nil {
		return fmt.Errorf("%s is taken", moref)
	}
	simulator.Map.Remove(old)
	vm.Self = renamed
	simulator.Map.Put(vm)
	for _, one := range simulator.Map.All("") {
		var refs []types.ManagedObjectReference
		switch one := one.(type) {
		case *simulator.Folder:
			refs = one.ChildEntity
		case *simulator.HostSystem:
			refs = one.Vm
		case *simulator.ResourcePool:
			refs = one.Vm
		case *simulator.Datastore:
			refs = one.Vm
		}
		for i := range refs {
			if refs[i] == old {
				refs[i] = renamed
			}
		}
	}
	return nil
}
