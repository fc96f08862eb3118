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
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/enroll/joinapi"
)

// stateWith is a state directory that holds an identity.
func stateWith(t testing.TB, i *Identity, seal *SealKey) string {
	t.Helper()
	dir := t.TempDir()
	data, err := i.encode(seal)
	if err == nil {
		err = errors.Join(os.Chmod(dir, privateDir), os.WriteFile(filepath.Join(dir, FileName), data, privateFile))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// die leaves everything as the end of the process would.
func (r *replacement) die() { _ = errors.Join(r.file.Close(), r.dir.Close()) }

func errorsAs(err error) HubError {
	var answered *HubError
	if !errors.As(err, &answered) {
		return HubError{}
	}
	return *answered
}

func TestAJoinIsNotUndoneByARenewal(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	present, joined := issued(t, ca, "edge-1"), issued(t, ca, "edge-2")
	renewed := withCertificate(t, ca, present, time.Hour, time.Now())
	dir := stateWith(t, present, nil)
	keeper, err := Open(dir, nil)
	g.Expect(err).NotTo(HaveOccurred())
	data, err := joined.encode(nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(filepath.Join(dir, FileName), data, privateFile)).To(Succeed())

	g.Expect(keeper.Replace(present, renewed)).To(MatchError(ErrReplaced))

	g.Expect(nodeIn(g, dir)).To(Equal("edge-2"))
}

// What the hub has announced while a renewal was under way is not lost.
func TestARenewalKeepsWhatHasBeenAnnounced(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	present := issued(t, ca, "edge-1")
	renewed := withCertificate(t, ca, present, time.Hour, time.Now())
	keeper, err := Open(stateWith(t, present, nil), nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(keeper.Update(func(stored *Identity) (*Identity, error) {
		return stored.Announced(infoOf(ca.Certificate(), "https://new.example.com"), serverChain(t, ca), time.Now())
	})).To(Succeed())

	g.Expect(keeper.Replace(present, renewed)).To(Succeed())

	g.Expect(keeper.Load()).To(And(
		HaveField("NotAfter()", renewed.NotAfter()),
		HaveField("Hubs()", []string{"https://new.example.com", "https://hub.example.com:8443"})))
}

func TestOneReplacementAtATime(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	dir := stateWith(t, issued(t, ca, "edge-1"), nil)
	keeper, err := Open(dir, nil)
	g.Expect(err).NotTo(HaveOccurred())
	joining, err := openTarget(filepath.Join(dir, FileName), true)
	g.Expect(err).NotTo(HaveOccurred())
	write := func(i *Identity) (*Identity, error) { next := *i; return &next, nil }

	g.Expect(keeper.Update(write)).To(MatchError(ContainSubstring("another edge-agent is changing the identity")))

	joining.discard()
	g.Expect(keeper.Update(write)).To(Succeed())
}

func TestUpdatesWaitForOneAnother(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	ca := newCA(t)
	dir := stateWith(t, issued(t, ca, "edge-1"), nil)
	keeper, err := Open(dir, nil)
	g.Expect(err).NotTo(HaveOccurred())
	hub, err := joinapi.ParseHub("https://more.example.com")
	g.Expect(err).NotTo(HaveOccurred())
	const updates = 8
	var group sync.WaitGroup
	for range updates {
		group.Go(func() {
			err := keeper.Update(func(i *Identity) (*Identity, error) {
				next := *i
				next.announced = append(next.announced[:len(next.announced):len(next.announced)], hub)
				return &next, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	g.Expect(keeper.Load()).To(HaveField("HubInfo().Addresses", HaveLen(updates)), "none is lost")
}

func TestAFailedUpdateChangesNothing(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := stateWith(t, issued(t, newCA(t), "edge-1"), nil)
	path := filepath.Join(dir, FileName)
	before, err := os.Stat(path)
	g.Expect(err).NotTo(HaveOccurred())
	keeper, err := Open(dir, nil)
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(keeper.Update(func(*Identity) (*Identity, error) { return nil, os.ErrInvalid })).To(MatchError(os.ErrInvalid))
	g.Expect(keeper.Update(func(i *Identity) (*Identity, error) { return i, nil })).To(Succeed())

	after, err := os.Stat(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.SameFile(before, after)).To(BeTrue(), "it has not been replaced")
	g.Expect(os.ReadDir(dir)).To(HaveLen(1))
}
