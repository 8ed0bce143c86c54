// SPDX-License-Identifier: BSD-3-Clause

// VMware's simulator vcsim, extended by change tracking and the content of disks, which it lacks. It
// decodes requests with the types of the vSphere API, and so finds mistakes in them that the simulator in
// Python, vcenter.py, does not. It takes the same options and writes the same ready file.
//
//	vcsim --directory DIR --ready FILE --vm /DC0/vm/folder/web1=vm-42 --disk 2000=disk.img
//
// It has these controls of vcenter.py: /_test/write, unmap, lie, import, reset, cbt, state. vcsim differs
// in that tasks have ended when their reference is returned, the attribute xsi:type has another prefix,
// there is one datacenter, and sessions do not expire.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

type options struct {
	directory, ready string
	user, password   string
	datastore        string
	page             int64
	noCBT            bool
	machines         []machineOption
}

type machineOption struct {
	path, moref string
	disks       []diskOption
}

type diskOption struct {
	key  int32
	file string
}

func parse() *options {
	o := &options{}
	flag.StringVar(&o.directory, "directory", "", "for certificate, log and scratch files")
	flag.StringVar(&o.ready, "ready", "", "`FILE` written when it listens")
	flag.StringVar(&o.user, "user", "administrator@vsphere.local", "")
	flag.StringVar(&o.password, "password", "s3cret", "")
	flag.StringVar(&o.datastore, "datastore", "datastore1", "`NAME`")
	flag.BoolVar(&o.noCBT, "no-cbt", false, "change tracking is off at first")
	o.page = 256 << 20
	flag.Func("page", "`BYTES` described by one QueryChangedDiskAreas answer (default 256M)",
		func(text string) (err error) { o.page, err = size(text); return })
	flag.Func("vm", "`PATH=MOREF`", o.addMachine)
	flag.Func("disk", "`KEY=RAWFILE` of the last --vm", o.addDisk)
	flag.Parse()
	if o.directory == "" || o.ready == "" || len(o.machines) == 0 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

func (o *options) addMachine(text string) error {
	at := strings.LastIndex(text, "=")
	if at <= 0 || at == len(text)-1 {
		return fmt.Errorf("must be PATH=MOREF")
	}
	o.machines = append(o.machines, machineOption{path: text[:at], moref: text[at+1:]})
	return nil
}

func (o *options) addDisk(text string) error {
	if len(o.machines) == 0 {
		return fmt.Errorf("must follow the --vm that has it")
	}
	key, file, _ := strings.Cut(text, "=")
	number, err := strconv.ParseInt(key, 10, 32)
	if err != nil || file == "" {
		return fmt.Errorf("must be KEY=RAWFILE")
	}
	last := &o.machines[len(o.machines)-1]
	last.disks = append(last.disks, diskOption{int32(number), file})
	return nil
}

func size(text string) (int64, error) {
	factor := int64(1)
	switch {
	case strings.HasSuffix(text, "K"):
		factor = 1 << 10
	case strings.HasSuffix(text, "M"):
		factor = 1 << 20
	case strings.HasSuffix(text, "G"):
		factor = 1 << 30
	}
	number, err := strconv.ParseInt(strings.TrimRight(text, "KMG"), 10, 64)
	if err != nil || number <= 0 {
		return 0, fmt.Errorf("must be a size such as 16M")
	}
	return number * factor, nil
}

func main() {
	o := parse()
	if err := run(o); err != nil {
		log.Fatalf("vcsim: %v", err)
	}
}

func run(o *options) error {
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, os.Interrupt, syscall.SIGTERM)
	if err := os.MkdirAll(o.directory, 0o777); err != nil {
		return err
	}
	journal, err := os.OpenFile(filepath.Join(o.directory, "vcenter.log"),
		os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	certificate, err := makeCertificate(o.directory)
	if err != nil {
		return err
	}

	model := simulator.VPX()
	model.Host, model.Cluster, model.Machine, model.Portgroup = 1, 0, 0, 0
	defer model.Remove()
	if err := model.Create(); err != nil {
		return err
	}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{certificate.pair}}
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(o.user, o.password)}
	mux := http.NewServeMux()
	model.Service.ServeMux = mux // a pattern longer than "/folder/" of vcsim has precedence
	server := model.Service.NewServer()
	defer server.Close()

	machines, err := build(o, server.URL)
	if err != nil {
		return err
	}
	watch := newWatcher(server.Config.Handler, journal)
	for _, vm := range machines {
		mux.Handle("/folder/"+vm.Name+"/", &folder{vm, o, watch})
	}
	mux.Handle("/_test/", &control{machines, watch})
	server.Config.Handler = watch
	if err := writeReady(o.ready, server.URL.Host, certificate); err != nil {
		return err
	}
	<-ending
	return nil
}

// writeReady writes the file atomically.
func writeReady(path, host string, c *certificate) error {
	text, err := json.Marshal(map[string]string{"host": host, "cafile": c.caFile,
		"thumbprint": c.sha1, "thumbprint_sha256": c.sha256})
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".tmp", append(text, '\n'), 0o666); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
