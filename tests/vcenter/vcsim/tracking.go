// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The reasons why changes are not known: the last part of the message key of a FileFault.
var (
	errNoEpoch    = errors.New("noEpoch")
	errNoTrack    = errors.New("noTrack")
	errNotChanges = errors.New("cannotGetChanges")
)

func newUUID() string {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		panic(err)
	}
	raw[0] = 0x52
	return fmt.Sprintf("% x-% x", raw[:8], raw[8:])
}

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

// changes returns the blocks changed since changeID ("*": the allocated blocks) up to a snapshot, or up to
// now.
func (d *disk) changes(changeID string, until *diskSnapshot) (map[int64]bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := diskSnapshot{uuid: d.uuid, epoch: d.epoch + 1, allocated: d.allocated}
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
