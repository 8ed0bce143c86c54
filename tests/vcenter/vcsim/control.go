// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// control lets a test play the guest and the administrator.
type control struct {
	machines []*machine
	watch    *watcher
}

func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/_test/")
	answer, err := c.run(name, r.URL.Query(), r.Body)
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"error": fmt.Sprintf("/_test/%s: %v", name, err)}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	_ = encoder.Encode(answer)
}

func (c *control) run(name string, arguments url.Values, body io.Reader) (interface{}, error) {
	if name == "state" {
		return c.state(), nil
	}
	vm, err := c.machine(arguments.Get("vm"))
	if err != nil {
		return nil, err
	}
	if name == "cbt" {
		vm.turn.Lock()
		defer vm.turn.Unlock()
		vm.Config.ChangeTrackingEnabled = types.NewBool(arguments.Get("on") == "1")
		vm.stun()
		return struct{}{}, nil
	}
	d, err := vm.disk(arguments.Get("disk"))
	if err != nil {
		return nil, err
	}
	n := numbers{arguments: arguments}
	switch name {
	case "write", "lie":
		offset := n.get("offset")
		if name == "write" && !arguments.Has("length") {
			if n.err != nil {
				return nil, n.err
			}
			return copyTo(d, offset, body)
		}
		length, value := n.get("length"), n.get("byte")
		if n.err != nil {
			return nil, n.err
		}
		return struct{}{}, d.fill(offset, length, byte(value), name == "write")
	case "unmap":
		offset, length := n.get("offset"), n.get("length")
		if n.err != nil {
			return nil, n.err
		}
		return struct{}{}, d.unmap(offset, length)
	case "import":
		changed, err := d.importFile(arguments.Get("file"))
		return map[string]int{"changed": changed}, err
	case "reset":
		d.resetTracking()
		return struct{}{}, nil
	}
	return nil, errors.New("no such control; there are: cbt, import, lie, reset, state, unmap, write")
}

func copyTo(d *disk, offset int64, body io.Reader) (interface{}, error) {
	start, piece := offset, make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(body, piece)
		if n > 0 {
			if err := d.write(offset, piece[:n], true); err != nil {
				return nil, err
			}
			offset += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return map[string]int64{"written": offset - start}, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// numbers parses arguments and keeps the first error.
type numbers struct {
	arguments url.Values
	err       error
}

func (n *numbers) get(name string) int64 {
	value, err := strconv.ParseInt(n.arguments.Get(name), 0, 64)
	if err != nil && n.err == nil {
		n.err = fmt.Errorf("%s=%s: must be a number", name, n.arguments.Get(name))
	}
	return value
}

func (c *control) machine(moref string) (*machine, error) {
	for _, vm := range c.machines {
		if vm.Self.Value == moref || (moref == "" && len(c.machines) == 1) {
			return vm, nil
		}
	}
	return nil, fmt.Errorf("vm=%s: no such virtual machine", moref)
}

func (vm *machine) disk(key string) (*disk, error) {
	for _, d := range vm.disks {
		if key == strconv.Itoa(int(d.key)) || (key == "" && len(vm.disks) == 1) {
			return d, nil
		}
	}
	return nil, fmt.Errorf("disk=%s: no such disk", key)
}

type fields map[string]interface{}

func (c *control) state() interface{} {
	machines := fields{}
	for _, vm := range c.machines {
		machines[vm.Self.Value] = vm.state()
	}
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	soap := fields{}
	for method, count := range c.watch.soap {
		soap[method] = count
	}
	return fields{"vms": machines, "soap": soap,
		"folder": fields{"requests": c.watch.requests, "bytes": c.watch.bytes}}
}

func (vm *machine) state() fields {
	vm.turn.Lock()
	defer vm.turn.Unlock()
	snapshots := []fields{}
	if vm.Snapshot != nil {
		list := vm.Snapshot.RootSnapshotList
		for len(list) > 0 {
			snapshots = append(snapshots, fields{"moref": list[0].Snapshot.Value, "name": list[0].Name})
			list = list[0].ChildSnapshotList
		}
	}
	disks := fields{}
	for _, d := range vm.disks {
		d.mu.Lock()
		disks[strconv.Itoa(int(d.key))] = fields{"size": d.size, "tracked": d.uuid != "",
			"epoch": d.epoch, "uuid": d.uuid, "file": d.path, "vmdk": d.fileName,
			"allocated": len(d.allocated) * block}
		d.mu.Unlock()
	}
	return fields{"name": vm.Name, "power": vm.Runtime.PowerState, "snapshots": snapshots,
		"uuid": vm.Config.Uuid, "instance_uuid": vm.Config.InstanceUuid, "disks": disks,
		"cbt": vm.Config.ChangeTrackingEnabled != nil && *vm.Config.ChangeTrackingEnabled}
}
