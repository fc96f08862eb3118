/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// plainKeyIn tells whether the private key can be found in a file.
func plainKeyIn(g Gomega, dir string, i *Identity) bool {
	data, err := os.ReadFile(filepath.Join(dir, FileName))
	g.Expect(err).NotTo(HaveOccurred())
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	g.Expect(err).NotTo(HaveOccurred())
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if bytes.Contains(block.Bytes, der) {
			return true
		}
	}
	return false
}

func TestSealAndUnseal(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	plain := issued(t, ca, "edge-1")
	one, other := someSealKey(t, 1), someSealKey(t, 2)
	dir := stateWith(t, plain, one)
	g.Expect(plainKeyIn(g, dir, plain)).To(BeFalse())

	locked, err := Load(dir)
	g.Expect(err).NotTo(HaveOccurred(), "all but the key can be read")
	g.Expect(locked.Sealed()).To(BeTrue())
	g.Expect(locked.Node()).To(Equal("edge-1"))
	g.Expect(locked.Hubs()).To(Equal(plain.Hubs()))
	g.Expect(locked.NotAfter()).To(Equal(plain.NotAfter()))
	g.Expect(locked.TLSConfig().Certificates).To(BeEmpty())

	opened, err := locked.unseal(one)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(sameKey(opened.key.Public(), plain.key.Public())).To(BeTrue())

	_, err = locked.unseal(nil)
	g.Expect(err).To(MatchError(And(ContainSubstring("--seal-key-file"), ContainSubstring("sealKeyFile"), ContainSubstring("edgesync-seal-key"))))
	_, err = locked.unseal(other)
	g.Expect(err).To(MatchError(ErrWrongSealKey))
	_, err = withCertificate(t, ca, plain, time.Hour, time.Now()).lockedAs(locked).unseal(one)
	g.Expect(err).To(MatchError(ErrWrongSealKey), "a sealed key belongs to its certificate")
	for i := range locked.sealed {
		damaged := *locked
		damaged.sealed = bytes.Clone(locked.sealed)
		damaged.sealed[i] ^= 1
		_, err := damaged.unseal(one)
		g.Expect(err).To(MatchError(ErrWrongSealKey), "byte %d", i)
	}
}

// lockedAs is the identity with the sealed key of another one.
func (i *Identity) lockedAs(other *Identity) *Identity {
	next := *i
	next.key, next.sealed = nil, other.sealed
	return &next
}

func TestSealingTwiceShowsNoRelation(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	plain := issued(t, newCA(t), "edge-1")
	first, err := someSealKey(t, 1).seal(plain.key, plain.cert)
	g.Expect(err).NotTo(HaveOccurred())
	second, err := someSealKey(t, 1).seal(plain.key, plain.cert)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(first[:sealNonceBytes]).NotTo(Equal(second[:sealNonceBytes]))
	g.Expect(first[sealNonceBytes:]).NotTo(Equal(second[sealNonceBytes:]))
}

func TestOpenSeals(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	plain := issued(t, ca, "edge-1")
	dir := stateWith(t, plain, nil)
	g.Expect(plainKeyIn(g, dir, plain)).To(BeTrue())

	keeper, err := Open(dir, someSealKey(t, 1))

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plainKeyIn(g, dir, plain)).To(BeFalse())
	g.Expect(keeper.Current().TLSConfig().Certificates).To(HaveLen(1))
	renewed := withCertificate(t, ca, plain, time.Hour, time.Now())
	g.Expect(keeper.Replace(keeper.Current(), renewed)).To(Succeed())
	g.Expect(plainKeyIn(g, dir, plain)).To(BeFalse(), "a renewed one is sealed as well")
	g.Expect(keeper.Load()).To(HaveField("NotAfter()", renewed.NotAfter()))
	_, err = Open(dir, nil)
	g.Expect(err).To(MatchError(ErrSealed))
	_, err = Open(dir, someSealKey(t, 2))
	g.Expect(err).To(MatchError(ErrWrongSealKey))
}

func TestJoinSeals(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	o := options(t, serve(t, hubConfig(t, ca, "127.0.0.1"), signer(ca, unchanged)), ca)
	o.SealKey = someSealKey(t, 1)
	g.Expect(Join(t.Context(), o)).To(Succeed())
	keeper, err := Open(o.StateDir, o.SealKey)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plainKeyIn(g, o.StateDir, keeper.Current())).To(BeFalse())
}

func TestFindSealKey(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir, empty := t.TempDir(), t.TempDir()
	write := func(name string, size int, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		g.Expect(os.WriteFile(path, make([]byte, size), 0o600)).To(Succeed())
		g.Expect(os.Chmod(path, mode)).To(Succeed())
		return path
	}
	good, loose := write("good", minSecretBytes, 0o400), write("loose", minSecretBytes, 0o640)
	write(sealCredential, maxSecretBytes, 0o440)
	for name, test := range map[string]struct {
		path, credentials string
		found             bool
		err               string
	}{
		"none":                       {"", "", false, ""},
		"no such credential":         {"", empty, false, ""},
		"the credential":             {"", dir, true, ""},
		"a file":                     {good, empty, true, ""},
		"a file before a credential": {filepath.Join(dir, "none"), dir, false, "no such file"},
		"a loose file":               {loose, "", false, "chmod 0600"},
		"among the credentials":      {loose, dir + "/", true, ""},
		"too short":                  {write("short", minSecretBytes-1, 0o600), "", false, "between 32 and 4096 bytes, not 31"},
		"too long":                   {write("long", maxSecretBytes+1, 0o600), "", false, "between 32 and 4096 bytes"},
		"a directory":                {empty, filepath.Dir(empty), false, "is a directory"},
	} {
		key, err := FindSealKey(test.path, test.credentials)
		if test.err == "" {
			g.Expect(err).NotTo(HaveOccurred(), name)
		} else {
			g.Expect(err).To(MatchError(ContainSubstring(test.err)), name)
		}
		g.Expect(key != nil).To(Equal(test.found), name)
	}
}
