// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// certificate is that of the server, and the CA that a client needs. (The one built into vcsim has 1024
// bits, which OpenSSL 3 refuses.)
type certificate struct {
	pair         tls.Certificate
	caFile       string
	sha1, sha256 string // thumbprints
}

func makeCertificate(directory string) (*certificate, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Simulated vCenter CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	own := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil { // adds the identifier of its key
		return nil, err
	}
	ownDER, err := x509.CreateCertificate(rand.Reader, own, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	caFile, err := filepath.Abs(filepath.Join(directory, "ca.pem"))
	if err != nil {
		return nil, err
	}
	one, two := sha1.Sum(ownDER), sha256.Sum256(ownDER)
	return &certificate{
		pair:   tls.Certificate{Certificate: [][]byte{ownDER}, PrivateKey: key},
		caFile: caFile, sha1: colons(one[:]), sha256: colons(two[:]),
	}, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o666)
}

func colons(digest []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", digest), " ", ":")
}
