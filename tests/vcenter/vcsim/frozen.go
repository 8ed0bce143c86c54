// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"strings"
)

// frozen is a disk as it was when a snapshot was taken: the blocks kept when they were overwritten; for
// the others the next newer snapshot has to be asked, and in the end the live disk.
type frozen struct {
	size      int64
	allocated map[int64]bool
	uuid      string // empty: change tracking was off
	epoch     int64
	fileName  string // of the VMDK that became read-only
	kept      map[int64][]byte
}

func (f *frozen) changeID() string {
	if f.uuid == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", f.uuid, f.epoch)
}

func (d *disk) freeze() *frozen {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	f := &frozen{size: d.size, allocated: map[int64]bool{}, uuid: d.uuid, epoch: d.epoch,
		fileName: d.fileName, kept: map[int64][]byte{}}
	for b := range d.allocated {
		f.allocated[b] = true
	}
	d.snapshots = append(d.snapshots, f)
	used := map[string]bool{}
	for _, one := range d.snapshots {
		used[one.fileName] = true
	}
	for number := 1; used[d.fileName]; number++ {
		d.fileName = fmt.Sprintf("%s-%06d.vmdk", strings.TrimSuffix(d.baseName, ".vmdk"), number)
	}
	return f
}

// thaw removes a snapshot: the older one gets the blocks it needs, the newer one (or the live disk) the
// VMDK.
func (d *disk) thaw(f *frozen) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, one := range d.snapshots {
		if one != f {
			continue
		}
		if i > 0 {
			older := d.snapshots[i-1]
			for b, data := range f.kept {
				if _, has := older.kept[b]; !has {
					older.kept[b] = data
				}
			}
		}
		if i+1 < len(d.snapshots) {
			d.snapshots[i+1].fileName = f.fileName
		} else {
			d.fileName = f.fileName
		}
		d.snapshots = append(d.snapshots[:i:i], d.snapshots[i+1:]...)
		return
	}
}

// chain lists the VMDKs below a snapshot, or, if that is nil, below the live disk, oldest first.
func (d *disk) chain(of *frozen) []*frozen {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, one := range d.snapshots {
		if one == of {
			return d.snapshots[:i:i]
		}
	}
	return append([]*frozen(nil), d.snapshots...)
}

// view reads the frozen content of a snapshot or, for nil, the live content.
type view struct {
	d *disk
	f *frozen
}

func (v view) ReadAt(p []byte, offset int64) (int, error) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	n, err := v.d.live.ReadAt(p, offset)
	asked := false
	for _, one := range v.d.snapshots {
		asked = asked || one == v.f
		for b := offset / block; asked && b*block < offset+int64(n); b++ {
			data, has := one.kept[b]
			if !has || v.claimed(b, one) {
				continue
			}
			from := max(offset, b*block)
			copy(p[from-offset:n], data[from-b*block:])
		}
	}
	return n, err
}

// claimed: an older snapshot, no older than the view's, has kept the block already.
func (v view) claimed(b int64, before *frozen) bool {
	asked := false
	for _, one := range v.d.snapshots {
		if one == before {
			return false
		}
		asked = asked || one == v.f
		if _, has := one.kept[b]; asked && has {
			return true
		}
	}
	return false
}
