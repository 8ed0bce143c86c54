// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
)

const block = 64 << 10 // the granularity of change tracking

var zeroes = make([]byte, block)

// Why the changes asked for are not known: the end of a FileFault's message key.
var (
	errNoEpoch    = errors.New("noEpoch")
	errNoTrack    = errors.New("noTrack")
	errNotChanges = errors.New("cannotGetChanges")
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

// disk is a virtual disk whose live content is a raw file that only this process writes.
type disk struct {
	key      int32
	baseName string // in the datastore, such as web1/web1.vmdk
	path     string

	mu        sync.Mutex // of all below and the content
	live      *os.File
	size      int64
	fileName  string // of the VMDK that is written now
	allocated map[int64]bool
	uuid      string
	epoch     int64
	changed   map[int64]map[int64]bool // epoch -> blocks written in it
	snapshots []*frozen                // oldest first
}

func openDisk(key int32, path, baseName string) (*disk, error) {
	live, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := live.Stat()
	if err != nil {
		return nil, err
	}
	d := &disk{key: key, baseName: baseName, fileName: baseName, path: path, live: live,
		size: info.Size(), allocated: map[int64]bool{}}
	for b := int64(0); b*block < d.size; b++ {
		data, err := d.readLive(b)
		if err != nil {
			return nil, err
		}
		if !isZero(data) {
			d.allocated[b] = true
		}
	}
	return d, nil
}

func isZero(data []byte) bool { return bytes.Equal(data, zeroes[:len(data)]) }

func newUUID() string {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		panic(err)
	}
	raw[0] = 0x52
	return fmt.Sprintf("% x-% x", raw[:8], raw[8:])
}

// --- what the guest does

func (d *disk) write(offset int64, data []byte, tracked bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writeLocked(offset, data, tracked)
}

func (d *disk) writeLocked(offset int64, data []byte, tracked bool) error {
	if err := d.aboutToChange(offset, int64(len(data)), tracked); err != nil {
		return err
	}
	if _, err := d.live.WriteAt(data, offset); err != nil {
		return err
	}
	for b := offset / block; tracked && b*block < offset+int64(len(data)); b++ {
		d.allocated[b] = true
	}
	return nil
}

func (d *disk) fill(offset, length int64, value byte, tracked bool) error {
	for length > 0 {
		piece := min(length, 1<<20)
		if err := d.write(offset, bytes.Repeat([]byte{value}, int(piece)), tracked); err != nil {
			return err
		}
		offset, length = offset+piece, length-piece
	}
	return nil
}

// unmap: zero, changed, and whole blocks are no longer allocated.
func (d *disk) unmap(offset, length int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.aboutToChange(offset, length, true); err != nil {
		return err
	}
	for at := offset; at < offset+length; {
		b := at / block
		end := min(min((b+1)*block, d.size), offset+length)
		if _, err := d.live.WriteAt(zeroes[:end-at], at); err != nil {
			return err
		}
		if at == b*block && end == min((b+1)*block, d.size) {
			delete(d.allocated, b)
		}
		at = end
	}
	return nil
}

// takeOver makes the disk equal to a raw file, block by block, and trims what became zero.
func (d *disk) takeOver(path string) (int, error) {
	source, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	if info, err := source.Stat(); err != nil || info.Size() != d.size {
		return 0, fmt.Errorf("%s: not of the disk's size, %d bytes (%v)", path, d.size, err)
	}
	changed := 0
	wanted := make([]byte, block)
	for b := int64(0); b*block < d.size; b++ {
		wanted = wanted[:min(block, d.size-b*block)]
		if _, err := io.ReadFull(io.NewSectionReader(source, b*block, block), wanted); err != nil {
			return changed, err
		}
		d.mu.Lock()
		have, err := d.readLive(b)
		d.mu.Unlock()
		if err != nil || bytes.Equal(have, wanted) {
			if err != nil {
				return changed, err
			}
			continue
		}
		changed++
		if isZero(wanted) {
			err = d.unmap(b*block, int64(len(wanted)))
		} else {
			err = d.write(b*block, wanted, true)
		}
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// --- change tracking

func (d *disk) track(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if on == (d.uuid != "") {
		return
	}
	d.uuid, d.epoch, d.changed = "", 1, map[int64]map[int64]bool{}
	if on {
		d.uuid = newUUID()
	}
}

func (d *disk) resetTracking() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.uuid != "" {
		d.uuid, d.changed = newUUID(), map[int64]map[int64]bool{}
	}
}

// changes are the blocks changed since changeID ("*": allocated) up to a snapshot, or up to now.
func (d *disk) changes(changeID string, until *frozen) (map[int64]bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := frozen{uuid: d.uuid, epoch: d.epoch + 1, allocated: d.allocated}
	if until != nil {
		state = *until
	}
	switch {
	case state.uuid == "" && changeID == "*":
		return nil, errNoEpoch
	case state.uuid == "":
		return nil, errNoTrack
	}
	found := map[int64]bool{}
	if changeID == "*" {
		for b := range state.allocated {
			found[b] = true
		}
		return found, nil
	}
	at := strings.LastIndex(changeID, "/")
	if at < 0 || changeID[:at] != state.uuid || state.uuid != d.uuid {
		return nil, errNotChanges
	}
	since, err := strconv.ParseInt(changeID[at+1:], 10, 64)
	if err != nil || since <= 0 || since > state.epoch {
		return nil, errNotChanges
	}
	for epoch := since; epoch < state.epoch; epoch++ {
		for b := range d.changed[epoch] {
			found[b] = true
		}
	}
	return found, nil
}

// --- snapshots

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

// --- with the lock held

func (d *disk) readLive(b int64) ([]byte, error) {
	data := make([]byte, min(block, d.size-b*block))
	_, err := d.live.ReadAt(data, b*block)
	return data, err
}

func (d *disk) aboutToChange(offset, length int64, tracked bool) error {
	if offset < 0 || length < 0 || offset+length > d.size {
		return fmt.Errorf("[%d, %d) is not within the disk of %d bytes", offset, offset+length, d.size)
	}
	for b := offset / block; b*block < offset+length; b++ {
		if n := len(d.snapshots); n > 0 {
			if newest := d.snapshots[n-1]; newest.kept[b] == nil {
				data, err := d.readLive(b)
				if err != nil {
					return err
				}
				newest.kept[b] = data
			}
		}
		if tracked && d.uuid != "" {
			if d.changed[d.epoch] == nil {
				d.changed[d.epoch] = map[int64]bool{}
			}
			d.changed[d.epoch][b] = true
		}
	}
	return nil
}

func min(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func max(a, b int64) int64 { return -min(-a, -b) }
