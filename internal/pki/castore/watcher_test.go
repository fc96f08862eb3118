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

package castore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/edgesync/edgesync/internal/pki"
)

// rig is a Watcher together with all that it tells.
type rig struct {
	*Watcher
	changed int

	mu     sync.Mutex
	events []string
	lines  []string
}

// Eventf implements events.EventRecorder.
func (r *rig) Eventf(about, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reference := about.(*corev1.ObjectReference)
	r.events = append(r.events, fmt.Sprintf("%s %s %s/%s: %s", kind, reason, reference.Namespace, reference.Name, fmt.Sprintf(note, args...)))
}

func newRig(t testing.TB, c client.Client) *rig {
	t.Helper()
	store := newStore(c, now)
	loaded, err := store.Load(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	authority := pki.NewAuthority(loaded.CA)
	authority.Set(loaded.Trust)
	r := &rig{}
	log := funcr.New(func(_, line string) { r.lines = append(r.lines, line) }, funcr.Options{})
	r.Watcher = &Watcher{Store: store, Authority: authority, Changed: func() { r.changed++ }, Recorder: r, Log: log}
	return r
}

func TestWatcherFollows(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := cluster(t, newCA(t))
	r, other := newRig(t, c), newRig(t, c)
	g.Expect(r.NeedLeaderElection()).To(BeFalse())
	r.poll(t.Context())
	g.Expect(r.changed).To(BeZero())

	next := newCA(t)
	supply(t, c, next)
	for range 3 {
		r.poll(t.Context())
		other.poll(t.Context())
	}

	g.Expect(r.changed).To(Equal(1))
	g.Expect(other.changed).To(Equal(1))
	g.Expect(r.Authority.Anchors()).To(HaveLen(2))
	g.Expect(r.Authority.Trust().CA.Hash()).To(Equal(next.Hash()))
	g.Expect(other.Authority.Trust().Equal(r.Authority.Trust())).To(BeTrue())
	g.Expect(r.events).To(BeEmpty())
}

func TestWatcherTellsWhatIsRefused(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	former := suppliedCA(t, newKey(t), pathLength0)
	c := cluster(t, former)
	r := newRig(t, c)
	next := newCA(t)
	supply(t, c, next)

	for range 3 {
		r.poll(t.Context())
	}

	g.Expect(r.changed).To(BeZero())
	g.Expect(r.Authority.Trust().CA.Hash()).To(Equal(former.Hash()))
	g.Expect(r.events).To(HaveLen(3), "Events do not last")
	g.Expect(r.events[2]).To(And(
		HavePrefix("Warning CARefused edgesync-system/edgesync-ca: "),
		ContainSubstring("kubectl -n edgesync-system annotate secret edgesync-ca "+AcceptStranding+"="+next.Hash())))
	g.Expect(r.lines).To(HaveLen(1))

	secret := read(t, c, SecretName)
	secret.Annotations = map[string]string{AcceptStranding: next.Hash()}
	g.Expect(c.Update(t.Context(), secret)).To(Succeed())
	r.poll(t.Context())
	g.Expect(r.changed).To(Equal(1))
	g.Expect(r.events).To(HaveLen(3))
	for _, told := range append(r.events, r.lines...) {
		g.Expect(told).NotTo(ContainSubstring(secretOf(t, next)[:8]))
	}
}

func TestWatcherGoesOnWithoutTheAPIServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	inner := cluster(t, newCA(t))
	broken := false
	c := interceptor.NewClient(inner, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if broken {
				return errors.New(strings.Repeat("é", 1024))
			}
			return c.Get(ctx, key, obj, opts...)
		},
	})
	r := newRig(t, c)
	before := r.Authority.Trust()
	broken = true
	r.poll(t.Context())
	r.poll(t.Context())
	g.Expect(r.Authority.Trust().Equal(before)).To(BeTrue())
	g.Expect(r.events).To(HaveEach(HavePrefix("Warning CAUnreadable ")))
	_, note, _ := strings.Cut(r.events[0], ": ")
	g.Expect(len(note)).To(BeNumerically("<=", maxNoteBytes))
	g.Expect(r.lines).To(HaveLen(1))

	broken = false
	r.poll(t.Context())
	broken = true
	r.poll(t.Context())
	g.Expect(r.lines).To(HaveLen(2), "it is news again")
}

func TestWatcherStops(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := cluster(t, newCA(t))
	next := newCA(t)
	supply(t, c, next)
	r := newRig(t, cluster(t, newCA(t)))
	r.Store = newStore(c, now)
	ctx, cancel := context.WithCancel(t.Context())
	r.Changed = cancel

	g.Expect(r.Start(ctx)).To(Succeed())
	g.Expect(r.Authority.Trust().CA.Hash()).To(Equal(next.Hash()), "it looks at once, and not after the first interval")
}

// A node whose certificate comes from another replica's newer CA is not refused for long.
func TestWatcherLooksSoonerForStrangers(t *testing.T) {
	t.Parallel()
	c := cluster(t, newCA(t))
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		r := newRig(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Start(ctx) }()
		synctest.Wait()
		next := newCA(t)
		supply(t, c, next)
		cert, err := next.IssueNode(pki.Node{Name: "edge-1", UID: "1", Join: 1}, newKey(t).Public(), time.Hour, now)
		g.Expect(err).NotTo(HaveOccurred())

		g.Expect(r.Authority.Verify(cert, now)).NotTo(Succeed())
		time.Sleep(nudgeInterval + time.Millisecond)
		synctest.Wait()
		g.Expect(r.Authority.Verify(cert, now)).To(Succeed())

		cancel()
		g.Expect(<-ended).To(Succeed())
	})
}

func TestStrangersCannotHaveTheAPIServerAskedAtWill(t *testing.T) {
	t.Parallel()
	inner := cluster(t, newCA(t))
	stranger, key := newCA(t), newKey(t)
	cert, err := stranger.IssueNode(pki.Node{Name: "edge-1", UID: "1", Join: 1}, key.Public(), time.Hour, now)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		var gets atomic.Int32
		r := newRig(t, interceptor.NewClient(inner, interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				gets.Add(1)
				return c.Get(ctx, key, obj, opts...)
			},
		}))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Start(ctx) }()
		synctest.Wait()
		each := gets.Swap(0)
		for range 1000 {
			g.Expect(r.Authority.Verify(cert, now)).NotTo(Succeed())
			time.Sleep(10 * time.Millisecond)
		}
		g.Expect(gets.Load()).To(BeNumerically("<=", 10*each), "once a second")
		cancel()
		g.Expect(<-ended).To(Succeed())
	})
}
