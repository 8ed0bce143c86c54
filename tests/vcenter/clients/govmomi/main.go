// SPDX-License-Identifier: BSD-3-Clause
//
// Looks at a vCenter with govmomi, the client library that VMware's simulator vcsim belongs to:
//
//	govmomi HOST:PORT CAFILE PATH [CHANGE-ID]
//
// It prints the same lines as ../pyvmomi_client.py, which says what they are.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

var ctx = context.Background()

func must(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%T: %v\n", err, err)
		os.Exit(1)
	}
}

func require(ok bool, what string) {
	if !ok {
		must(fmt.Errorf("%s", what))
	}
}

// faultOf returns the fault of an error: of a call, or of a task.
func faultOf(err error) types.AnyType {
	if t, ok := err.(task.Error); ok {
		return t.Fault()
	}
	require(err != nil && soap.IsSoapFault(err), fmt.Sprintf("no fault: %v", err))
	return soap.ToSoapFault(err).VimFault()
}

// say prints words as Python does.
func say(words ...interface{}) {
	line := fmt.Sprintln(words...)
	line = strings.ReplaceAll(strings.ReplaceAll(line, " true", " True"), " false", " False")
	fmt.Print(line)
}

func refused(fault types.AnyType, tell interface{}) {
	kind := fmt.Sprintf("%T", fault)
	kind = strings.TrimPrefix(kind[strings.LastIndex(kind, ".")+1:], "*")
	say("fault", kind, tell)
}

func connect(password string) (*govmomi.Client, error) {
	u := &url.URL{Scheme: "https", Host: os.Args[1], Path: "/sdk"}
	raw := soap.NewClient(u, false)
	must(raw.SetRootCAs(os.Args[2]))
	vimClient, err := vim25.NewClient(ctx, raw)
	must(err)
	client := &govmomi.Client{Client: vimClient, SessionManager: session.NewManager(vimClient)}
	return client, client.Login(ctx, url.UserPassword("administrator@vsphere.local", password))
}

func disksOf(config *types.VirtualMachineConfigInfo) []*types.VirtualDisk {
	var disks []*types.VirtualDisk
	for _, device := range config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disks = append(disks, disk)
		}
	}
	return disks
}

func machine(c *govmomi.Client, ref types.ManagedObjectReference) *mo.VirtualMachine {
	var vm mo.VirtualMachine
	must(property.DefaultCollector(c.Client).RetrieveOne(ctx, ref,
		[]string{"name", "config", "runtime", "snapshot", "capability", "parent"}, &vm))
	return &vm
}

func query(c *govmomi.Client, vm, snapshot types.ManagedObjectReference, key int32, at int64, id string) (*types.DiskChangeInfo, error) {
	response, err := methods.QueryChangedDiskAreas(ctx, c.Client, &types.QueryChangedDiskAreas{
		This: vm, Snapshot: &snapshot, DeviceKey: key, StartOffset: at, ChangeId: id})
	if err != nil {
		return nil, err
	}
	return &response.Returnval, nil
}

func areas(c *govmomi.Client, vm, snapshot types.ManagedObjectReference, disk *types.VirtualDisk, id string) {
	for at := int64(0); at < disk.CapacityInBytes; {
		page, err := query(c, vm, snapshot, disk.Key, at, id)
		must(err)
		require(page.StartOffset == at, "startOffset")
		for _, area := range page.ChangedArea {
			say("area", area.Start, area.Length)
		}
		at += page.Length
	}
}

func find(c *govmomi.Client, path string) *object.VirtualMachine {
	index := object.NewSearchIndex(c.Client)
	found, err := index.FindByInventoryPath(ctx, path)
	must(err)
	vm, ok := found.(*object.VirtualMachine)
	require(ok, "not a virtual machine")
	one := machine(c, vm.Reference())
	say("vm", vm.Reference().Value, one.Name, one.Config.Uuid, one.Config.InstanceUuid, one.Runtime.PowerState)
	yes, no := true, false
	bios, err := index.FindByUuid(ctx, nil, one.Config.Uuid, true, &no)
	must(err)
	instance, err := index.FindByUuid(ctx, nil, one.Config.InstanceUuid, true, &yes)
	must(err)
	say("found", bios.Reference().Value, instance.Reference().Value)

	container, err := view.NewManager(c.Client).CreateContainerView(ctx, c.ServiceContent.RootFolder, []string{"VirtualMachine"}, true)
	must(err)
	var all []mo.VirtualMachine
	must(container.Retrieve(ctx, []string{"VirtualMachine"}, []string{"name"}, &all))
	must(container.Destroy(ctx))
	names := []string{}
	for _, each := range all {
		names = append(names, each.Name)
	}
	sort.Strings(names)
	say("all", strings.Join(names, " "))

	ancestors, err := mo.Ancestors(ctx, c.Client, c.ServiceContent.PropertyCollector, vm.Reference())
	must(err)
	full := ""
	for _, ancestor := range ancestors[1:] {
		full += "/" + ancestor.Name
	}
	say("path", full)
	for _, disk := range disksOf(one.Config) {
		backing := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		var datastore mo.Datastore
		must(property.DefaultCollector(c.Client).RetrieveOne(ctx, *backing.Datastore, []string{"name"}, &datastore))
		say("disk", disk.Key, disk.CapacityInBytes, disk.DeviceInfo.GetDescription().Label, backing.FileName, datastore.Name)
	}
	return vm
}

// wait returns when the task has ended. (The simulator has no WaitForUpdatesEx.)
func wait(c *vim25.Client, ref types.ManagedObjectReference) *types.TaskInfo {
	for {
		var task mo.Task
		must(property.DefaultCollector(c).RetrieveOne(ctx, ref, []string{"info"}, &task))
		if task.Info.State == types.TaskInfoStateSuccess || task.Info.State == types.TaskInfoStateError {
			return &task.Info
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func taskError(info *types.TaskInfo) error {
	return task.Error{LocalizedMethodFault: info.Error}
}

func takeSnapshot(vm *object.VirtualMachine, description string) (types.ManagedObjectReference, error) {
	task, err := vm.CreateSnapshot(ctx, "by a client", description, false, false)
	must(err)
	info := wait(vm.Client(), task.Reference())
	if info.Error != nil {
		return types.ManagedObjectReference{}, taskError(info)
	}
	return info.Result.(types.ManagedObjectReference), nil
}

func remove(c *govmomi.Client, snapshot types.ManagedObjectReference) {
	response, err := methods.RemoveSnapshot_Task(ctx, c.Client, &types.RemoveSnapshot_Task{This: snapshot})
	must(err)
	info := wait(c.Client, response.Returnval)
	require(info.Error == nil, "the task failed")
}

func configOf(c *govmomi.Client, snapshot types.ManagedObjectReference) *types.VirtualMachineConfigInfo {
	var content mo.VirtualMachineSnapshot
	must(property.DefaultCollector(c.Client).RetrieveOne(ctx, snapshot, []string{"config"}, &content))
	return &content.Config
}

func look(c *govmomi.Client, vm *object.VirtualMachine) {
	one := machine(c, vm.Reference())
	say("tracking", *one.Capability.ChangeTrackingSupported, *one.Config.ChangeTrackingEnabled)
	snapshot, err := takeSnapshot(vm, "<&>\"' é")
	must(err)
	info := machine(c, vm.Reference()).Snapshot
	tree := info.RootSnapshotList
	say("tree", len(tree), tree[0].Name, tree[0].Description, tree[0].Snapshot == snapshot, *info.CurrentSnapshot == snapshot)
	disk := disksOf(configOf(c, snapshot))[0]
	say("checkpoint", disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).ChangeId)
	areas(c, vm.Reference(), snapshot, disk, "*")

	_, err = query(c, vm.Reference(), snapshot, disk.Key, disk.CapacityInBytes, "*")
	argument := faultOf(err).(types.InvalidArgument)
	refused(argument, argument.InvalidProperty)
	_, err = query(c, vm.Reference(), snapshot, disk.Key, 0, "52 00/7")
	file := faultOf(err).(types.FileFault)
	refused(file, file.FaultMessage[0].Key)

	remove(c, snapshot)
	require(machine(c, vm.Reference()).Snapshot == nil, "a snapshot is left")
	say("tree", "None")
	_, err = query(c, vm.Reference(), snapshot, disk.Key, 0, "*")
	gone := faultOf(err).(types.ManagedObjectNotFound)
	refused(gone, gone.Obj == snapshot)
	_, err = methods.RemoveSnapshot_Task(ctx, c.Client, &types.RemoveSnapshot_Task{This: snapshot})
	gone = faultOf(err).(types.ManagedObjectNotFound)
	refused(gone, gone.Obj == snapshot)

	_, err = takeSnapshot(vm, "")
	refused(faultOf(err), "")
	user, err := c.SessionManager.UserSession(ctx)
	must(err)
	say("session", user.UserName)
}

func main() {
	if len(os.Args) == 4 {
		_, err := connect("wrong")
		refused(faultOf(err), "")
	}
	c, err := connect("s3cret")
	must(err)
	say("server", c.ServiceContent.About.ApiType, c.ServiceContent.About.ApiVersion)
	vm := find(c, os.Args[3])
	if len(os.Args) == 4 {
		look(c, vm)
	} else {
		snapshot, err := takeSnapshot(vm, "")
		must(err)
		areas(c, vm.Reference(), snapshot, disksOf(configOf(c, snapshot))[0], os.Args[4])
		remove(c, snapshot)
	}
	must(c.Logout(ctx))
	_, err = object.NewSearchIndex(c.Client).FindByInventoryPath(ctx, os.Args[3])
	refused(faultOf(err), "")
}
