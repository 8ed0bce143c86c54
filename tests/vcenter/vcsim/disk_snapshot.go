// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"strings"
)

// diskSnapshot is the snapshot of one disk. It has the old content of the blocks that were written after
// it. The other blocks are those of the next newer snapshot, or in the end of the live disk.
type diskSnapshot struct {
	size      int64
	allocated map[int64]bool
	uuid      string // empty: change tracking was off
	epoch     int64
	fileName  string // of the VMDK that became read-only
	kept      map[int64][]byte
}

func (f *diskSnapshot) changeID() string {
	if f.uuid == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", f.uuid, f.epoch)
}

func (d *disk) takeSnapshot() *diskSnapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	f := &diskSnapshot{size: d.size, allocated: map[int64]bool{}, uuid: d.uuid, epoch: d.epoch,
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

// removeSnapshot gives the next older snapshot the blocks that it needs, and the next newer one, or the
// live disk, the VMDK.
func (d *disk) removeSnapshot(f *diskSnapshot) {
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

// chain returns the snapshots older than one, or all if that is nil, oldest first.
func (d *disk) chain(of *diskSnapshot) []*diskSnapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, one := range d.snapshots {
		if one == of {
			return d.snapshots[:i:i]
		}
	}
	return append([]*diskSnapshot(nil), d.snapshots...)
}

// view reads the content of a snapshot or, if that is nil, of the live disk.
type view struct {
	d *disk
	f *diskSnapshot
}

func (v view) ReadAt(p []byte, offset int64) (int, error) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	n, err := v.d.live.ReadAt(p, offset)
	inView := false
	for _, one := range v.d.snapshots {
		inView = inView || one == v.f
		for b := offset / block; inView && b*block < offset+int64(n); b++ {
			data, has := one.kept[b]
			if !has || v.keptEarlier(b, one) {
				continue
			}
			from := max(offset, b*block)
			copy(p[from-offset:n], data[from-b*block:])
		}
	}
	return n, err
}

// keptEarlier tells whether an older snapshot, but not older than that of the view, has the block.
func (v view) keptEarlier(b int64, before *diskSnapshot) bool {
	inView := false
	for _, one := range v.d.snapshots {
		if one == before {
			return false
		}
		inView = inView || one == v.f
		if _, has := one.kept[b]; inView && has {
			return true
		}
	}
	return false
}
