// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// folder serves the files of one VM: descriptors and base VMDKs.
type folder struct {
	vm    *machine
	o     *options
	watch *watcher
}

func (f *folder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !f.allowed(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if !f.isPlace(r.URL.Query()) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/folder/")
	w.Header().Set("Content-Type", "application/octet-stream")
	for _, d := range f.vm.disks {
		stem := strings.TrimSuffix(d.baseName, ".vmdk")
		switch name {
		case stem + "-flat.vmdk":
			f.flat(w, r, d)
			return
		case d.baseName:
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(descriptor(d)))
			return
		}
	}
	w.WriteHeader(http.StatusNotFound)
}

// flat serves a base VMDK, with the content as of the oldest snapshot. Without a snapshot, the file of a
// running VM is locked.
func (f *folder) flat(w http.ResponseWriter, r *http.Request, d *disk) {
	content, size := view{d: d}, d.size
	f.vm.turn.Lock()
	if len(f.vm.snapshots) > 0 {
		content.f = f.vm.snapshots[0].disks[d.key]
		size = content.f.size
	}
	f.vm.turn.Unlock()
	if content.f == nil && f.vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	http.ServeContent(f.watch.counted(w), r, "", time.Time{}, io.NewSectionReader(content, 0, size))
}

// allowed checks basic authentication or the cookie of a session of vcsim.
func (f *folder) allowed(r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok {
		return user == f.o.user && password == f.o.password
	}
	cookie, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return false
	}
	body := simulator.Map.SessionManager().SessionIsActive(
		&simulator.Context{Map: simulator.Map},
		&types.SessionIsActive{SessionID: strings.Trim(cookie.Value, `"`), UserName: f.o.user})
	active, ok := body.(*methods.SessionIsActiveBody)
	return ok && active.Res != nil && active.Res.Returnval
}

// isPlace compares dcPath and dsName, quoted once or twice, with those of the VM.
func (f *folder) isPlace(value url.Values) bool {
	center := ""
	for ref := f.vm.Parent; ref != nil; {
		entity := simulator.Map.Get(*ref).(mo.Entity).Entity()
		if ref.Type == "Datacenter" {
			center = entity.Name
		}
		ref = entity.Parent
	}
	return equalQuoted(value.Get("dcPath"), center) && equalQuoted(value.Get("dsName"), f.vm.storeName())
}

func equalQuoted(value, name string) bool {
	again, err := url.QueryUnescape(value)
	return strings.Trim(value, "/") == name || (err == nil && strings.Trim(again, "/") == name)
}

func descriptor(d *disk) string {
	return fmt.Sprintf("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=fffffffe\n"+
		"parentCID=ffffffff\ncreateType=\"vmfs\"\n\n# Extent description\nRW %d VMFS \"%s\"\n\n"+
		"# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\nddb.thinProvisioned = \"1\"\n",
		d.size/512, strings.TrimSuffix(path.Base(d.baseName), ".vmdk")+"-flat.vmdk")
}
