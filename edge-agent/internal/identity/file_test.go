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
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki"
)

// issued is an identity of that name, as accept returns it.
func issued(t testing.TB, ca *pki.CA, node string) *Identity {
	t.Helper()
	key, request, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	hub, err := joinapi.ParseHub("https://hub.example.com:8443")
	if err != nil {
		t.Fatal(err)
	}
	identity, err := accept(&answer{Response: issue(ca, request, node), chain: serverChain(t, ca)}, key, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	identity.joined = hub
	return identity
}

// encoded is the file of an identity of that name.
func encoded(t testing.TB, ca *pki.CA, node string) []byte {
	t.Helper()
	data, err := issued(t, ca, node).encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whenever the machine dies, the old identity is there or the new one, whole, and
// writing can begin again.
func TestCrashAtEachStepOfWriting(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	before, after := encoded(t, ca, "before"), encoded(t, ca, "after")
	const renamed = 4 // the number of steps after which the new identity stands
	total := len((&replacement{file: &os.File{}}).steps(nil))
	for done := range total + 1 {
		for _, had := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d steps, had an identity: %t", done, had), func(t *testing.T) {
				t.Parallel()
				g := NewWithT(t)
				dir := t.TempDir()
				g.Expect(os.Chmod(dir, 0o700)).To(Succeed())
				path := filepath.Join(dir, FileName)
				if had {
					g.Expect(os.WriteFile(path, before, 0o600)).To(Succeed())
				}

				file, err := newReplacement(path)
				g.Expect(err).NotTo(HaveOccurred())
				for _, step := range file.steps(after)[:done] {
					g.Expect(step()).To(Succeed())
				}
				file.die()

				expectIdentity(g, dir, had, done >= renamed)
				again, err := newReplacement(path)
				g.Expect(err).NotTo(HaveOccurred())
				defer again.discard()
				g.Expect(again.commit(after)).To(Succeed())
				g.Expect(nodeIn(g, dir)).To(Equal("after"))
			})
		}
	}
}

func expectIdentity(g Gomega, dir string, had, replaced bool) {
	identity, err := Load(dir)
	if !had && !replaced {
		g.Expect(errors.Is(err, fs.ErrNotExist)).To(BeTrue())
		g.Expect(err).To(MatchError(ContainSubstring("edge-agent join")))
		return
	}
	g.Expect(err).NotTo(HaveOccurred())
	want := "before"
	if replaced {
		want = "after"
	}
	g.Expect(identity.Node()).To(Equal(want))
}

// Half of the data written and then no more space: the old identity stays.
func TestFailedWriteKeepsTheIdentity(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca, dir := newCA(t), t.TempDir()
	g.Expect(os.Chmod(dir, 0o700)).To(Succeed())
	path := filepath.Join(dir, FileName)
	g.Expect(os.WriteFile(path, encoded(t, ca, "before"), 0o600)).To(Succeed())
	file, err := newReplacement(path)
	g.Expect(err).NotTo(HaveOccurred())
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(file.file.Close()).To(Succeed())
	file.file = full

	g.Expect(file.commit(encoded(t, ca, "after"))).NotTo(Succeed())

	file.discard()
	g.Expect(nodeIn(g, dir)).To(Equal("before"))
}

func TestLoadRefusesLoosePermissions(t *testing.T) {
	t.Parallel()
	data := encoded(t, newCA(t), "edge-1")
	tests := map[string]struct {
		dir, file fs.FileMode
		err       string
	}{
		"private":             {0o700, 0o600, ""},
		"read only":           {0o500, 0o400, ""},
		"directory for group": {0o750, 0o600, "chmod 0700"},
		"directory for all":   {0o701, 0o600, "chmod 0700"},
		"file for group":      {0o700, 0o640, "chmod 0600"},
		"file for all":        {0o700, 0o604, "chmod 0600"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			g.Expect(os.WriteFile(path, data, 0o600)).To(Succeed())
			g.Expect(os.Chmod(path, test.file)).To(Succeed())
			g.Expect(os.Chmod(dir, test.dir)).To(Succeed())
			t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
			_, err := Load(dir)
			if test.err == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(test.err)))
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	good, other := string(encoded(t, ca, "edge-1")), string(encoded(t, ca, "edge-2"))
	blocks := strings.SplitAfter(good, "-----\n") // begin and end lines alternate
	hub, key, cert, trust := strings.Join(blocks[0:2], ""), strings.Join(blocks[2:4], ""), strings.Join(blocks[4:6], ""), strings.Join(blocks[6:8], "")
	otherKey := strings.Join(strings.SplitAfter(other, "-----\n")[2:4], "")
	g.Expect(hub + key + cert + trust).To(Equal(good))

	_, err := parse([]byte("# a comment\n" + good + "-----BEGIN LATER-----\nAAAA\n-----END LATER-----\n"))
	g.Expect(err).NotTo(HaveOccurred())
	for name, data := range map[string]string{
		"nothing":        "",
		"no hub":         key + cert + trust,
		"bad hub":        strings.Replace(good, "https://", "http://", 1),
		"no key":         hub + cert + trust,
		"another key":    hub + otherKey + cert + trust,
		"no certificate": hub + key,
		"no CA":          hub + key + cert,
		"CA first":       hub + key + trust + cert,
		"a node as CA":   good + cert,
		"cut off":        good[:len(good)-100],
	} {
		_, err := parse([]byte(data))
		g.Expect(err).To(HaveOccurred(), name)
	}
}

func TestLoadNamesABrokenFile(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(os.Chmod(dir, 0o700)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(dir, FileName), []byte("x"), 0o600)).To(Succeed())
	_, err := Load(dir)
	g.Expect(err).To(MatchError(And(ContainSubstring(filepath.Join(dir, FileName)), ContainSubstring("--force"))))
}

func FuzzParse(f *testing.F) {
	ca := newCA(f)
	good := encoded(f, ca, "edge-1")
	announced := issued(f, ca, "edge-1")
	announced.announced = []*url.URL{announced.joined, announced.joined}
	sealed, err := announced.encode(someSealKey(f, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(sealed)
	f.Add(append(good, sealed...))
	f.Add([]byte("-----BEGIN EDGESYNC HUB-----\nURL: https://hub:1\n\n-----END EDGESYNC HUB-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		identity, err := parse(data)
		if err != nil {
			return
		}
		encoded, err := identity.encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(encoded)
		if err != nil {
			t.Fatalf("what was accepted does not survive: %v", err)
		}
		if again.Node() != identity.Node() || !slices.Equal(again.Hubs(), identity.Hubs()) ||
			again.HubInfoDigest() != identity.HubInfoDigest() || !bytes.Equal(again.sealed, identity.sealed) {
			t.Fatal("what was accepted changes")
		}
		_, _ = identity.unseal(someSealKey(t, 1))
	})
}
