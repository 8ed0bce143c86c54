// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

const block = 64 << 10 // the granularity of change tracking

var zeroes = make([]byte, block)

// disk is a virtual disk whose live content is a raw file that only this process writes.
type disk struct {
	key      int32
	baseName string // in the datastore, such as web1/web1.vmdk
	path     string

	mu        sync.Mutex // protects all below and the content
	live      *os.File
	size      int64
	fileName  string // of the VMDK that is written now
	allocated map[int64]bool
	uuid      string
	epoch     int64
	changed   map[int64]map[int64]bool // epoch -> blocks written in it
	snapshots []*diskSnapshot          // oldest first
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

// --- writes of the guest

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

// unmap makes zeroes, which are changed. Whole blocks are no longer allocated.
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

// importFile makes the disk equal to a raw file. It writes the blocks that differ, and trims zero blocks.
func (d *disk) importFile(path string) (int, error) {
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
